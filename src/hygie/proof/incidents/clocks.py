"""The clocks of one incident: its own, and those of the breaches recorded for its clients. Pure.

They start by themselves, from instants of the records: the host is aware from the detection on (docs/adr/0034).
Delays, whose duty, source and days of validity are data of the schemas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hygie.base.language import say
from hygie.registers.chain import RecordVersion
from hygie.registers.clocks import Expected, Progress, expectations
from hygie.registers.schema import Schemas

INCIDENT, VIOLATION = "incident", "violation"
NEAR_SHARE = 0.25  # of a delay: past three quarters somebody is told
HOST = "host"


@dataclass(frozen=True, slots=True)
class RunningClock:
    """One clock at one instant. left_s: seconds until it ends, less than zero when that is past; of one that is
    stopped, from its stop to its end."""

    expected: Expected
    left_s: int
    near: bool

    @property
    def open(self) -> bool:
        """Whether what it asks is still to be done."""
        return not self.expected.done

    @property
    def late(self) -> bool:
        """Whether its end is past and nothing was done."""
        return self.expected.progress is Progress.LATE

    @property
    def name(self) -> str:
        """``INC-0001 nis2-warning``."""
        return f"{self.expected.key} {self.expected.clock}"

    @property
    def left(self) -> str:
        """What remains or how late, in the person's language."""
        span = spoken(abs(self.left_s))
        if self.open:
            return say(fr=f"retard de {span}", en=f"late by {span}") if self.left_s < 0 else span
        if self.left_s < 0:
            return say(fr=f"fait avec {span} de retard", en=f"done {span} late")
        return say(fr=f"fait {span} avant", en=f"done {span} before")


@dataclass(slots=True)
class Pressed:
    """What presses over all open incidents: names of the host's clocks that are late, and near; of the clients'."""

    late: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    theirs: list[str] = field(default_factory=list)


def clocks_of(
    incident: RecordVersion, violations: Sequence[RecordVersion], schemas: Schemas, now_ms: int
) -> list[RunningClock]:
    """The clocks of an incident and of its breaches, the first to end first, those that are stopped last.

    Args: violations: all of the register, of whatever incident.
    """
    records = [incident, *breaches(incident, violations)]
    found = [one for record in records for one in _running(record, schemas, now_ms)]
    return sorted(found, key=lambda one: (not one.open, one.expected.due, one.name))


def breaches(incident: RecordVersion, violations: Sequence[RecordVersion]) -> list[RecordVersion]:
    """The breaches of an incident: it names them, or they name it."""
    named = set(incident.fields.get("violations", ()))
    return [one for one in violations if one.key in named or one.fields.get("incident") == incident.key]


def pressed(records: Sequence[RecordVersion], schemas: Schemas, now_ms: int) -> Pressed:
    """What is late or near. Args: records: incidents and breaches; closed ones expect nothing."""
    found = Pressed()
    for one in (clock for record in records for clock in _running(record, schemas, now_ms)):
        if not one.open or not (one.late or one.near):
            continue
        if one.expected.who != HOST:
            found.theirs.append(one.name)
        else:
            (found.late if one.late else found.near).append(one.name)
    return found


def spoken(seconds: int) -> str:
    """``3 j 4 h``, ``5 h 10 min``, ``12 min``, in the person's language."""
    minutes, hours, days = seconds // 60 % 60, seconds // 3_600 % 24, seconds // 86_400
    if days:
        return say(fr=f"{days} j {hours} h", en=f"{days} d {hours} h")
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _running(record: RecordVersion, schemas: Schemas, now_ms: int) -> Iterator[RunningClock]:
    for one in expectations(schemas[record.register], record, now_ms):
        if one.since:
            due, since = _seconds(one.due), _seconds(one.since)
            left = due - (_seconds(one.done) if one.done else now_ms // 1_000)
            yield RunningClock(one, left, near=0 <= left < NEAR_SHARE * (due - since))


def _seconds(stored: str) -> int:
    """Of a stored instant: the clocks of these registers run from instants (tests/unit/proof/incidents)."""
    return int(datetime.fromisoformat(stored).timestamp())
