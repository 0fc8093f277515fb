"""Who a text names, in the register of people: by key, account or name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from hygie.base.people import plain
from hygie.registers.chain import RecordVersion


def named(name: str, people: Iterable[RecordVersion]) -> frozenset[str]:
    """Keys of the persons that a text names by key, account or name; the text itself when it is nobody's."""
    wanted = plain(name)
    found = {
        one.key
        for one in people
        if wanted in {plain(str(each)) for each in (one.key, one.fields.get("account"), one.fields.get("name")) if each}
    }
    return frozenset(found or {wanted})


def has_left(record: RecordVersion, today: date) -> bool:
    """Whether a person of the register is gone: accesses end on the very day of the end date."""
    ends_on = record.fields.get("ends_on")
    return record.state == "left" or bool(ends_on and str(ends_on) <= today.isoformat())


def is_of_another(approver: str, concerned: Iterable[str], people: Sequence[RecordVersion], day: date) -> bool:
    """Whether an approval is of somebody of the register, present that day, who is none of those concerned, by
    whichever name. Somebody who shares a name with one of these counts as that one.

    Args: concerned: those who may not approve, as texts that name them.
    """
    approvers = named(approver, people)
    here = {one.key for one in people if not has_left(one, day)}
    others = frozenset[str]().union(*(named(one, people) for one in concerned))
    return approvers <= here and not approvers & others
