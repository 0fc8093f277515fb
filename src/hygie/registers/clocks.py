"""What is expected of a record, and by when: its due date, its review, and the clocks of its schema. Pure.

Source: docs/formats/register-schema.md v1, "Clocks".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hygie.base.civil import day_of, paris_date
from hygie.base.language import say
from hygie.registers.chain import RecordVersion
from hygie.registers.coherence import has_value
from hygie.registers.durations import INSTANT, Duration, add_duration, parse_duration
from hygie.registers.schema import Clock, Schema


class Progress(StrEnum):
    """Where a delay stands: it runs, it is over with nothing done, what it asks was done in time, or too late."""

    RUNNING = "running"
    LATE = "late"
    KEPT = "kept"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Expected:
    """One thing expected of one record.

    clock: its id, or ``due`` or ``review``; fr, en: what is expected; due: date or UTC instant, as stored; done: the
    same, empty as long as it is not; source_fr, source_en: the text that says the delay, empty when the record does;
    since, status: of a clock, when it began, and whether a text says its delay.
    """

    register: str
    key: str
    tenant: str
    clock: str
    fr: str
    en: str
    who: str
    due: str
    done: str
    progress: Progress
    source_fr: str = ""
    source_en: str = ""
    since: str = ""
    status: str = ""

    @property
    def source(self) -> str:
        """The text that says the delay, in the person's language."""
        return say(fr=self.source_fr, en=self.source_en)

    @property
    def label(self) -> str:
        """What is expected, in the person's language."""
        return say(fr=self.fr, en=self.en)


def expectations(schema: Schema, record: RecordVersion, now_ms: int, only: Collection[str] = ()) -> Iterator[Expected]:
    """What is expected of a record, as of an instant; days are those of Paris.

    Args: only: clocks to look at, all of them when none is named; due dates and reviews are told whatever it says.

    A due date is expected in the states that the schema says, a review as long as the record is open. A clock that was
    stopped tells whether it was in time; one that still runs when the record is closed expects nothing any more.
    """
    now = _stored(now_ms)
    is_open = not schema.state(record.state).closed
    due_field = schema.field(schema.due_field) if schema.due_field else None
    if is_open and due_field is not None:
        waits = not schema.due_states or record.state in schema.due_states
        if waits and (due := record.fields.get(due_field.id)):
            yield _expected(schema, record, ("due", due_field.fr, due_field.en), due, now)
    elif is_open and schema.review_days is not None:
        again = paris_date(record.at_ms) + timedelta(days=schema.review_days)
        name = ("review", "Revue de la fiche", "Review of the record")
        yield _expected(schema, record, name, again.isoformat(), now)
    for clock in schema.clocks:
        if (only and clock.id not in only) or (due := due_of(clock, record)) is None:
            continue
        done = str(record.fields.get(clock.done, "")) if clock.done else ""
        if done or is_open:
            yield Expected(
                *(schema.id, record.key, record.tenant, clock.id, clock.fr, clock.en, clock.who, due, done),
                _progress(due, done, now),
                clock.source_fr,
                clock.source_en,
                str(record.fields[clock.start]),
                clock.status,
            )


def falls_due(one: Expected, now_ms: int, days: int) -> bool:
    """Whether it is due by the end of that many days from today, in Paris."""
    last = paris_date(now_ms) + timedelta(days=days)
    return _is_within(one.due, last.isoformat())


def due_of(clock: Clock, record: RecordVersion) -> str | None:
    """When a clock ends, as a stored date or instant; None when it does not run for this record."""
    start = record.fields.get(clock.start)
    if start is None or (clock.if_field and not has_value(record.fields, clock.if_field, clock.values)):
        return None
    day = str(day_of(start))
    if day < clock.valid_from or (clock.valid_until and day > clock.valid_until):
        return None
    if not clock.minutes_field:
        return add_duration(start, parse_duration(clock.delay))
    minutes = record.fields.get(clock.minutes_field)
    return None if minutes is None else add_duration(start, Duration(0, 0, minutes))


def _expected(schema: Schema, record: RecordVersion, name: tuple[str, str, str], due: str, now: str) -> Expected:
    return Expected(
        schema.id, record.key, record.tenant, *name, "host", due=due, done="", progress=_progress(due, "", now)
    )


def _progress(due: str, done: str, now: str) -> Progress:
    on_time = _is_within(done or now, due)
    if done:
        return Progress.KEPT if on_time else Progress.MISSED
    return Progress.RUNNING if on_time else Progress.LATE


def _is_within(at: str, due: str) -> bool:
    """Two instants are compared to the second; a date is over when its day is, in Paris."""
    if "T" in at and "T" in due:
        return at <= due
    return str(day_of(at)) <= str(day_of(due))


def _stored(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime(INSTANT)
