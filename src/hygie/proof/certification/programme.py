"""The audit programme of a cycle: which audits are planned, by whom, on what; and what the programme lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise

from hygie.proof.certification.clocks import DeadlineKind, cycle_deadlines
from hygie.proof.certification.cycle import Snapshot
from hygie.proof.certification.delays import Delays
from hygie.proof.certification.events import EVENT_WORDS, EventKind
from hygie.proof.model import Text


class PlannedKind(StrEnum):
    """An audit of the body, or an internal one (conformity of the ISMS, traces of access: EXI 16)."""

    SURVEILLANCE1 = "surveillance1"
    SURVEILLANCE2 = "surveillance2"
    RENEWAL_AUDIT = "renewal_audit"
    INTERNAL_CONFORMITY = "internal_conformity"
    INTERNAL_TRACES = "internal_traces"


PLANNED_WORDS = {
    PlannedKind.SURVEILLANCE1: EVENT_WORDS[EventKind.SURVEILLANCE1],
    PlannedKind.SURVEILLANCE2: EVENT_WORDS[EventKind.SURVEILLANCE2],
    PlannedKind.RENEWAL_AUDIT: EVENT_WORDS[EventKind.RENEWAL_AUDIT],
    PlannedKind.INTERNAL_CONFORMITY: Text("audit interne de conformité", "internal audit of conformity"),
    PlannedKind.INTERNAL_TRACES: Text("audit interne des traces", "internal audit of traces"),
}
_INTERNAL = (PlannedKind.INTERNAL_CONFORMITY, PlannedKind.INTERNAL_TRACES)
_DEADLINES = {
    PlannedKind.SURVEILLANCE1: DeadlineKind.SURVEILLANCE1,
    PlannedKind.SURVEILLANCE2: DeadlineKind.SURVEILLANCE2,
    PlannedKind.RENEWAL_AUDIT: DeadlineKind.RENEWAL_AUDIT,
}


@dataclass(frozen=True, slots=True)
class PlannedAudit:
    """One audit to come, or held. auditor: who audits; audited: who answers for what is audited, never the same person;
    requirements: those looked at. Registers tell neither of an audit of the body: empty."""

    kind: PlannedKind
    planned_on: date
    auditor: str
    audited: str
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Programme:
    """The audits planned for one cycle."""

    id: str
    cycle: str
    audits: tuple[PlannedAudit, ...]


def programme_gaps(
    programme: Programme, snapshot: Snapshot, requirements: Collection[str], delays: Delays
) -> tuple[Text, ...]:
    """What the programme of a certified cycle lacks; nothing when it lacks nothing.

    An audit of the body still to be held and not planned, or planned outside its clock; more than the internal delay
    without an internal audit of either kind, from the decision to the expiry; a requirement that no internal audit of
    conformity looks at. requirements: identifiers of those that apply.
    """
    if snapshot.decided_on is None or snapshot.expires_on is None:
        return (Text("aucun certificat : rien à programmer", "no certificate: nothing to plan"),)
    found = [*_external_gaps(programme, snapshot, delays)]
    for kind in _INTERNAL:
        found += _internal_gaps(programme, kind, snapshot.decided_on, snapshot.expires_on, delays)
    conformity = [each for each in programme.audits if each.kind is PlannedKind.INTERNAL_CONFORMITY]
    looked_at = {name for each in conformity for name in each.requirements}
    found += [
        Text(f"aucun audit interne ne porte sur {name}", f"no internal audit looks at {name}")
        for name in sorted(set(requirements) - looked_at)
    ]
    return tuple(found)


def _external_gaps(programme: Programme, snapshot: Snapshot, delays: Delays) -> Iterator[Text]:
    running = {each.kind: each for each in cycle_deadlines(snapshot, delays) if each.closed_on is None}
    planned = {each.kind: each.planned_on for each in programme.audits}
    for kind, clock in _DEADLINES.items():
        deadline = running.get(clock)
        if deadline is None:
            continue
        due, on = deadline.due_on.isoformat(), planned.get(kind)
        if on is None:
            yield Text(f"{deadline.title.fr} : aucune date, échéance {due}", f"{deadline.title.en}: no date, due {due}")
        elif on > deadline.due_on:
            yield Text(
                f"{deadline.title.fr} : prévu le {on}, après l'échéance {due}",
                f"{deadline.title.en}: planned on {on}, after its due date {due}",
            )
        elif snapshot.decided_on is not None and on <= snapshot.decided_on:
            yield Text(
                f"{deadline.title.fr} : prévu le {on}, avant la décision",
                f"{deadline.title.en}: planned on {on}, before the decision",
            )


def _internal_gaps(
    programme: Programme, kind: PlannedKind, decided_on: date, expires_on: date, delays: Delays
) -> Iterator[Text]:
    word = PLANNED_WORDS[kind]
    days = [each.planned_on for each in programme.audits if each.kind is kind]
    inside = sorted(day for day in days if decided_on < day < expires_on)
    for before, after in pairwise([decided_on, *inside, expires_on]):
        due = delays.due("internal_audit", before)
        if after > due:
            yield Text(f"{word.fr} : aucun du {before} au {due}", f"{word.en}: none from {before} to {due}")
