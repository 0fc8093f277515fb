"""Changes of the register made from known vulnerabilities: a patch to plan, an exception, what closed one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from hygie.base.language import say
from hygie.patching.cvss import SEVERITIES
from hygie.patching.errors import PatchRefusedError, PatchStillOpenError, VulnerabilityUnknownError
from hygie.patching.model import PatchFacts
from hygie.proof.cross.patches import DONE, REGISTER, Row, covers, rows_of
from hygie.registers.chain import RecordVersion
from hygie.registers.engine import Asked, Registers
from hygie.registers.rules import Change

TITLE_CHARACTERS_MAX = 200
STATE_OF_EXCEPTION = "assessed"


def decided(registers: Registers, known: PatchFacts, *, today: date, days_max: int) -> list[Row]:
    """Each open vulnerability with its due date and its exception."""
    records = list(registers.current(Asked(REGISTER)))
    return rows_of(known.vulnerabilities, records, registers.schemas[REGISTER], today=today, days_max=days_max)


def planned(rows: Iterable[Row], names: Sequence[str], requester: str) -> Change:
    """The change that patches these vulnerabilities wherever they are open.

    Raises: VulnerabilityUnknownError: one of them is not.
    """
    chosen = _named(rows, names)
    components = sorted({row.one.component for row in chosen})
    listed = ", ".join(components)
    return Change(REGISTER, _facts(chosen, requester) | {
        "title": say(fr=f"Correctif : {listed}", en=f"Patch: {listed}")[:TITLE_CHARACTERS_MAX],
        "reason": say(fr="Vulnérabilités connues de ce qui tourne.", en="Known vulnerabilities of what runs."),
        "due_on": min((row.due for row in chosen if row.due), default=None),
    })  # fmt: skip


def excepted(
    rows: Iterable[Row],
    name: str,
    component: str,
    *,
    until: date,
    reason: str,
    requester: str,
    approver: str,
    today: date,
    days_max: int,
) -> Change:
    """The record that puts a vulnerability of one component off, with an end. Somebody else approves it.

    Raises: VulnerabilityUnknownError; PatchRefusedError: an end that is over, or too far.
    """
    chosen = [row for row in _named(rows, [name]) if row.one.component == component]
    if not chosen:
        raise VulnerabilityUnknownError()
    if not today <= until <= today + timedelta(days=days_max):
        raise PatchRefusedError(
            reason_fr=f"une exception finit dans les {days_max} jours",
            reason_en=f"an exception ends within {days_max} days",
        )
    fields = _facts(chosen, requester) | {
        "title": say(fr=f"Exception : {name}, {component}", en=f"Exception: {name}, {component}")[
            :TITLE_CHARACTERS_MAX
        ],
        "reason": reason,
        "risk_analysis": reason,
        "exception": reason,
        "exception_until": until.isoformat(),
        "due_on": until,
    }
    return Change(REGISTER, fields, state=STATE_OF_EXCEPTION, approver=approver)


def verified(record: RecordVersion, known: PatchFacts, versions: Mapping[str, str], *, at: str) -> Change:
    """The check after a patch that was done, computed: what it was for is found no more.

    Args: versions: of what runs, by package; at: when it was looked at. Raises: PatchStillOpenError; PatchRefusedError:
    not a patch that was done, or nobody knows.
    """
    if record.state not in DONE or not record.fields.get("cves"):
        raise PatchRefusedError(
            reason_fr="ce changement n'est pas un correctif réalisé qui nomme des vulnérabilités",
            reason_en="this change is no patch that was done and names vulnerabilities",
        )
    kinds = {str(one).partition("/")[0] for one in record.fields.get("components", ())}
    if not known.feeds or kinds & set(known.uncovered):
        raise PatchRefusedError(
            reason_fr="aucun flux ne parle de ces composants", reason_en="no feed speaks of these components"
        )
    left = [f"{one.name} {one.component} {one.version}" for one in known.vulnerabilities if covers(record, one)]
    if left:
        raise PatchStillOpenError(left=", ".join(left[:5]))
    runs = ", ".join(f"{one} {versions.get(str(one), '—')}" for one in record.fields.get("components", ()))
    names = ", ".join(map(str, record.fields["cves"]))
    check = say(
        fr=f"Vu le {at} : plus aucune de {names} dans ce qui tourne. {runs}. Inventaire SHA-256 {known.sbom}.",
        en=f"Seen {at}: none of {names} in what runs any more. {runs}. Inventory SHA-256 {known.sbom}.",
    )
    return Change(REGISTER, {"check": check}, key=record.key)


def _named(rows: Iterable[Row], names: Sequence[str]) -> list[Row]:
    chosen = [row for row in rows if row.one.name in names]
    if not names or set(names) - {row.one.name for row in chosen}:
        raise VulnerabilityUnknownError()
    return chosen


def _facts(chosen: Sequence[Row], requester: str) -> dict[str, object]:
    """What the register asks of a patch, from these."""
    scores = [row.one.score for row in chosen if row.one.score is not None]
    lines = [
        f"{row.one.component} {row.one.version} → {row.one.fixed_in or '?'} ({row.one.name})"
        for row in sorted(chosen, key=lambda row: (row.one.component, row.one.name))
    ]
    return {
        "kind": "patch",
        "description": "\n".join(lines),
        "requester": requester,
        "degrading": False,
        "severity": min((row.one.severity for row in chosen), key=SEVERITIES.index),
        "cves": sorted({row.one.name for row in chosen}),
        "cvss": str(max(scores)) if scores else None,
        "published_on": min(row.since for row in chosen).isoformat(),
        "components": sorted({row.one.component for row in chosen}),
    }
