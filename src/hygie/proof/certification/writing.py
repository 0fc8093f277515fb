"""What a write of the registers of the cycle is held to, and the tasks that an event launches, in the same write.

The engine calls both (``registers.hooks``), whichever door the write came through: command line, import of a file,
console, the working process. So a cycle is never inconsistent, and an event never without its tasks.
"""

from __future__ import annotations

from hygie.proof.certification.cycle import fold
from hygie.proof.certification.delays import own_delays
from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.certification.events import EVENT_WORDS
from hygie.proof.certification.from_registers import (
    ACTION,
    BOOKS,
    EVENT,
    SCOPING,
    SERVICE,
    answers_of,
    event_of,
    read_books,
    service_of,
)
from hygie.proof.certification.records import check_records
from hygie.proof.certification.scoping import own_words, scope
from hygie.proof.certification.tasks import Task, launched, own_tasks
from hygie.proof.model import Text
from hygie.registers.chain import RecordVersion
from hygie.registers.hooks import Hooks, Proposed
from hygie.registers.rules import Change

OWNER_DUTIES = {  # what a task's owner is called → the security duty that a person of the register holds
    "direction": "direction", "rssi": "rssi", "dpo": "dpo", "legal": "legal", "operations": "operator",
    "clients": "support",
}  # fmt: skip
ORIGIN = "certification-event"


def hooks() -> Hooks:
    """The checks and follows of this room, by register."""
    return Hooks(
        checks={
            **dict.fromkeys(BOOKS, (check_cycle,)),
            SERVICE: (check_services,),
            SCOPING: (check_scoping,),
        },
        follows={EVENT: (tasks_of_events,)},
    )


def check_cycle(proposed: Proposed) -> None:
    """Certificates, events, findings and their actions hold together, as the write would leave them.

    Raises: RecordRefusedError, TransitionRefusedError: see ``records.check_records``.
    """
    delays = own_delays()
    books = read_books(proposed.of, delays)
    check_records(books.certificates, books.events, books.findings, delays)


def check_services(proposed: Proposed) -> None:
    """Nobody performs an activity that the service does not declare. Raises: RecordRefusedError."""
    for record in proposed.written:
        if record.register == SERVICE:
            service_of(record)


def check_scoping(proposed: Proposed) -> None:
    """Answers that do not contradict one another, and a result that is the one that follows from them.

    Raises: RecordRefusedError.
    """
    for record in proposed.written:
        if record.register != SCOPING:
            continue
        found = scope(answers_of(record), [], own_words())
        said = record.fields.get("concerned")
        if said is not None and said != found.concerned.value:
            reason = Text(
                f"les réponses donnent « {found.concerned.value} »", f"the answers give '{found.concerned.value}'"
            )
            raise RecordRefusedError(record=f"{SCOPING} {record.key}", field="concerned", reason=reason)


def tasks_of_events(proposed: Proposed) -> list[Change]:
    """The actions that new events launch, each once: an action of that origin is never launched again.

    Raises: as ``check_cycle``: an event that cannot be launches nothing.
    """
    new = [one for one in proposed.written if one.register == EVENT and one.version == 1 and one.state != "void"]
    if not new:
        return []
    delays, rules = own_delays(), own_tasks()
    books = read_books(proposed.of, delays)
    check_records(books.certificates, books.events, books.findings, delays)
    known = {str(one.fields.get("origin_key", "")) for one in proposed.of(ACTION)}
    people = proposed.of("person")
    owners = {text: name for name, text in rules.owners.items()}
    found: list[Change] = []
    for record in new:
        event = event_of(record, delays)
        snapshot = fold(event.cycle, books.events, at=event.on, delays=delays)
        tasks = [task for task in launched(event, snapshot, rules, delays) if task.id not in known]
        found += [_change(task, record, _holder(people, OWNER_DUTIES[owners[task.owner]])) for task in tasks]
    return found


def _holder(people: list[RecordVersion], duty: str) -> str:
    """The first person present who holds a duty; empty: nobody does, and the action waits for an owner."""
    return next((one.key for one in people if one.state == "present" and duty in one.fields.get("duties", ())), "")


def _change(task: Task, record: RecordVersion, owner: str) -> Change:
    word = EVENT_WORDS[event_of(record).kind]
    fields: dict[str, object] = {
        "title": task.title.fr,
        "kind": "improvement",
        "origin": ORIGIN,
        "origin_key": task.id,
        "plan": f"{task.title.en}. Cycle {task.cycle}, {word.fr} / {word.en}, {record.key}.",
        "role": task.owner.fr,
        "requirements": list(task.requirements),
        "due_on": task.due_on.isoformat(),
    }
    if owner:
        fields["owner"] = owner
    return Change(ACTION, fields, reason=f"{EVENT} {record.key}")
