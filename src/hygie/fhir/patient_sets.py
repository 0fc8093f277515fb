"""The patients of a ``Group``, as a habilitation limited to it understands them.

Source: http://hl7.org/fhir/R4/group.html.  Counted are the members that are patients of this environment by literal
reference, not ``inactive``, during their ``period``; of a Group of real persons (``type`` person, ``actual`` true) that
is not itself inactive.  What a modifier extension may change is not counted: it opens a record only to who understands
it.
"""

from __future__ import annotations

from typing import Any, Final

from hygie.fhir.search.extraction import patient_ids
from hygie.fhir.search.values import date_bounds
from hygie.vault.model import SetMember

ALWAYS_MS: Final = 1 << 62


def members_of(group: Any, base: str) -> tuple[SetMember, ...]:
    """Members of a Group that counts as a set of patients, those to come included; nothing for any other Group.

    Args: base: our own address of this environment, so that absolute references under it are known as ours.
    """
    if group.type != "person" or group.actual is not True or group.active is False or group.modifierExtension:
        return ()
    found: list[SetMember] = []
    for member in group.member or ():
        reference = member.entity.reference
        if reference is None or member.inactive or member.modifierExtension:
            continue
        from_ms, until_ms = _bounds(member.period)
        found += [SetMember(id_, from_ms, until_ms) for id_ in patient_ids([reference], base) if from_ms < until_ms]
    return tuple(found)


def _bounds(period: Any) -> tuple[int, int]:
    """When a member counts: from inclusive, until exclusive; a day or a month that is the end belongs to it."""
    if period is None:
        return 0, ALWAYS_MS
    return (
        max(0, date_bounds(period.start)[0]) if period.start is not None else 0,
        max(0, date_bounds(period.end)[1] + 1) if period.end is not None else ALWAYS_MS,
    )
