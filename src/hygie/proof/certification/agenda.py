"""Every date of the certification that registers tell: cycles, certificates, findings, tasks of events. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from hygie.proof.certification.calendar import Alert, AlertKind, untold
from hygie.proof.certification.clocks import (
    Deadline,
    DeadlineKind,
    certificate_deadlines,
    cycle_deadlines,
    finding_deadlines,
    in_order,
)
from hygie.proof.certification.cycle import Snapshot, expiry_event, fold
from hygie.proof.certification.delays import own_delays
from hygie.proof.certification.from_registers import ACTION, EVENT, Books, Newest, read_books
from hygie.proof.certification.records import state_for
from hygie.proof.model import Text
from hygie.registers.chain import RecordVersion
from hygie.registers.rules import Change

WARNING = "certification-warning"
TASK_SOURCE = Text("tâche lancée par un événement du cycle", "task set going by an event of the cycle")
# Tasks and corrective actions have their own due dates, shown by the registers: the cycle's dates are warned of.
_NOT_WARNED = (DeadlineKind.TASK, DeadlineKind.ACTION)


@dataclass(frozen=True, slots=True)
class Agenda:
    """The records, the cycles on a day, and their dates, by due date."""

    books: Books
    cycles: tuple[Snapshot, ...]
    deadlines: tuple[Deadline, ...]


def agenda_on(of: Newest, at: date) -> Agenda:
    """What the registers tell on a day. Raises: RecordRefusedError: a record that cannot be read."""
    delays = own_delays()
    books = read_books(of, delays)
    cycles = tuple(fold(cycle, books.events, at=at, delays=delays) for cycle in cycles_of(books))
    held = {one.certificate for one in cycles}
    certificates = [state_for(one, books.events, delays, at=at) for one in books.certificates]
    found = [deadline for cycle in cycles for deadline in cycle_deadlines(cycle, delays)]
    # The end of the certificate that a cycle holds is a date of the cycle: it is told once.
    found += [one for one in certificate_deadlines(certificates, delays) if one.subject not in held]
    found += finding_deadlines(books.findings, delays)
    found += [_task(one) for one in of(ACTION) if one.fields.get("origin") == EVENT and one.state != "dropped"]
    return Agenda(books, cycles, in_order(found))


def cycles_of(books: Books) -> list[str]:
    """The cycles, the one that began first at the head."""
    first: dict[str, date] = {}
    for event in books.events:
        first[event.cycle] = min(first.get(event.cycle, event.on), event.on)
    return sorted(first, key=lambda cycle: (first[cycle], cycle))


def expiries(agenda: Agenda) -> list[Change]:
    """The expiries that time alone has made happen, to be recorded; their key is always the same."""
    events = (expiry_event(cycle) for cycle in agenda.cycles)
    return [
        Change(
            EVENT,
            {"cycle": one.cycle, "kind": one.kind.value, "on": one.on.isoformat(), "certificate": cycle.certificate},
            key=one.id,
        )
        for cycle, one in zip(agenda.cycles, events, strict=True)
        if one is not None
    ]


def warnings(agenda: Agenda, told: list[RecordVersion], at: date) -> list[Change]:
    """The warnings whose day has come and that no record tells of. Args: told: the register of warnings.

    Nobody is warned of what is done by then: a cycle taken over in its middle brings no warnings of its past.
    """
    known = {str(one.fields["alert"]) for one in told}
    dated = [
        one for one in agenda.deadlines if one.kind not in _NOT_WARNED and (one.closed_on is None or one.closed_on > at)
    ]
    return [_warning(alert, at) for alert in untold(dated, own_delays().leads, at=at, told=known)]


def _warning(alert: Alert, at: date) -> Change:
    deadline = alert.deadline
    return Change(
        WARNING,
        {
            "alert": alert.id,
            "subject": deadline.subject,
            "title_fr": deadline.title.fr,
            "title_en": deadline.title.en,
            "kind": "late" if alert.kind is AlertKind.LATE else "warning",
            "due_on": deadline.due_on.isoformat(),
            "told_on": at.isoformat(),
            "days_left": (deadline.due_on - at).days,
            "requirements": list(deadline.requirements),
        },
    )


def _task(record: RecordVersion) -> Deadline:
    fields = record.fields
    done_on = fields.get("done_on") if record.state in ("done", "verified") else None
    due_on = date.fromisoformat(str(fields["due_on"]))
    return Deadline(
        id=f"action/{record.key}",
        kind=DeadlineKind.TASK,
        subject=str(fields.get("origin_key", "")).partition("/")[0] or record.key,
        title=Text(str(fields["title"]), str(fields["plan"]).partition(". Cycle ")[0]),
        opened_on=due_on,
        due_on=due_on,
        closed_on=date.fromisoformat(str(done_on)) if done_on else None,
        source=TASK_SOURCE,
        requirements=tuple(str(one) for one in fields.get("requirements", ())),
    )
