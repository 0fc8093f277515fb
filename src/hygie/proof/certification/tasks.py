"""What an event sets going: tasks with an owner and a last day, from ``tasks.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache

from hygie.proof.certification.clocks import DeadlineKind, cycle_deadlines
from hygie.proof.certification.cycle import Snapshot
from hygie.proof.certification.data import Row, known_tables, own_file, rows, tables
from hygie.proof.certification.delays import Delays, Unit, read_amount, shifted
from hygie.proof.certification.errors import CertificationDataError
from hygie.proof.certification.events import Event, EventKind, Outcome
from hygie.proof.model import Text

FILE = "tasks.toml"
_ANCHORS = {
    "event",
    DeadlineKind.CORRECTIONS.value,
    DeadlineKind.SURVEILLANCE1.value,
    DeadlineKind.SURVEILLANCE2.value,
    DeadlineKind.RENEWAL_AUDIT.value,
    DeadlineKind.EXPIRY.value,
}


@dataclass(frozen=True, slots=True)
class TaskRule:
    """One row of the data file. outcome: only for a decision of that sense. anchor: event, or a clock of the cycle."""

    id: str
    on: tuple[EventKind, ...]
    outcome: Outcome | None
    title: Text
    owner: str
    anchor: str
    amount: int
    unit: Unit
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskRules:
    """All rules, and the names of the owners."""

    rules: tuple[TaskRule, ...]
    owners: Mapping[str, Text]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do, set going by one event. id: ``cycle/task/event/rule``, the same each time it is computed."""

    id: str
    cycle: str
    event: str
    title: Text
    owner: Text
    opened_on: date
    due_on: date
    requirements: tuple[str, ...]


@cache
def own_tasks() -> TaskRules:
    """The rules shipped with this version."""
    return read_tasks(own_file(FILE))


def read_tasks(text: str) -> TaskRules:
    """The rules of a TOML text in the form of ``tasks.toml``.

    Raises: CertificationDataError: malformed, the same id twice, an owner without a name.
    """
    body = tables(FILE, text)
    known_tables(FILE, body, {"task", "owner"})
    owners: dict[str, Text] = {}
    for row in rows(FILE, body, "owner"):
        owners[row.text("id")] = row.both("title")
        row.done()
    rules: list[TaskRule] = []
    for row in rows(FILE, body, "task"):
        rule = _rule(row, owners)
        if any(rule.id == other.id for other in rules):
            raise row.refused("id", Text("le même identifiant deux fois", "the same identifier twice"))
        rules.append(rule)
    if not rules:
        raise CertificationDataError(file=FILE, field="task", reason=Text("il manque", "it is missing"))
    return TaskRules(tuple(rules), owners)


def _rule(row: Row, owners: Mapping[str, Text]) -> TaskRule:
    due = Row(row.file, f"{row.place}.due", row.table("due"))
    rule = TaskRule(
        id=row.text("id"),
        on=tuple(EventKind(kind) for kind in row.texts("on", set(EventKind))),
        outcome=Outcome(row.text("outcome", set(Outcome))) if row.has("outcome") else None,
        title=row.both("title"),
        owner=row.text("owner", owners or {"-"}),
        anchor=due.text("from", _ANCHORS),
        amount=read_amount(due),
        unit=Unit(due.text("unit", set(Unit))),
        requirements=row.texts("requirements"),
    )
    due.done()
    row.done()
    return rule


def launched(event: Event, snapshot: Snapshot, rules: TaskRules, delays: Delays) -> tuple[Task, ...]:
    """The tasks that an event sets going, soonest first.

    snapshot: the cycle on the day of the event, after it. A task counted from a clock that this cycle does not have,
    or has stopped, is left out; one whose day has already passed is due on the day of the event.
    """
    running = {each.kind: each for each in cycle_deadlines(snapshot, delays) if each.closed_on is None}
    found: list[Task] = []
    for rule in rules.rules:
        if event.kind not in rule.on or (event.kind is EventKind.DECISION and rule.outcome is not event.outcome):
            continue
        clock = running.get(DeadlineKind(rule.anchor)) if rule.anchor != "event" else None
        if rule.anchor != "event" and clock is None:
            continue
        anchor = event.on if clock is None else clock.due_on
        found.append(
            Task(
                id=f"{event.cycle}/task/{event.id}/{rule.id}",
                cycle=event.cycle,
                event=event.id,
                title=rule.title,
                owner=rules.owners[rule.owner],
                opened_on=event.on,
                due_on=max(event.on, shifted(anchor, rule.amount, rule.unit)),
                requirements=rule.requirements,
            )
        )
    return tuple(sorted(found, key=lambda task: (task.due_on, task.id)))
