"""What rules remember can be stored, and a turn that could not be kept is read again."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hygie.watch.engine import Engine
from hygie.watch.events import HOST, JOURNAL, MEASUREMENT, Event
from hygie.watch.ruleset import load_rules
from hygie.watch.sigma import EventRule
from hygie.watch.sources import Connection, MeasurementSource

SHIPPED = load_rules(None).rules


def test_postgresql_holds_what_every_shipped_rule_remembers() -> None:
    """A text of PostgreSQL has no NUL: one group that had one stopped every rule on measurements."""
    engine = Engine(SHIPPED, {})
    rules = [one for one in SHIPPED if isinstance(one, EventRule)]
    assert any(one.absent_ms for one in rules)
    engine.absent(1_000)
    engine.take([Event(MEASUREMENT, 1, 1_000, {"source": MEASUREMENT, "measurement": "journal", "passed": True})])
    assert engine.dirty
    assert [key for key in engine.dirty if "\0" in "".join(key)] == []


class Rows:
    """A connection that answers with the same rows each time."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows = rows

    async def execute(self, *_: object) -> Rows:
        return self

    async def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows


def test_measurements_of_a_turn_that_failed_come_again_and_those_that_count_do_not() -> None:
    source = MeasurementSource()
    rows = cast("Connection", Rows([(number, "door", 1_000, True, {}) for number in (7, 8)]))

    def ranks(position: int) -> list[int]:
        return [one.rank for one in asyncio.run(source.page(rows, position)).events]

    assert ranks(6) == [7, 8]
    assert ranks(6) == [7, 8], "the turn before was not kept: its position did not move"
    assert ranks(8) == []


def test_signs_of_several_sources_are_named_and_only_the_last_event_is_cited() -> None:
    """A rank tells nothing without its source: a measurement's would be taken for an entry of the journal."""
    engine = Engine(SHIPPED, {})
    gone = {"source": MEASUREMENT, "measurement": "backup-kept", "facts.what": "object", "facts.gone": 1}
    stopped = {"source": HOST, "event": "log.stopped", "host": "web1", "program": "auditd"}
    first = engine.take([Event(MEASUREMENT, 7, 1_000, gone)])
    assert [one.card.name for one in first] == ["backup-shrunk"]
    hits = engine.take([Event(HOST, 3, 2_000, stopped)])
    (found,) = [one for one in hits if one.card.name == "ransomware-signs"]
    assert (found.signs, found.source, found.ranks) == (("backup-shrunk", "log-silenced"), HOST, (3,))
    assert (found.first_ms, found.grouping) == (1_000, "{}")


def test_a_correlation_is_a_sign_of_another() -> None:
    engine = Engine(SHIPPED, {})
    engine.take([Event(MEASUREMENT, 1, 1_000, {"measurement": "scrub", "passed": False})])
    refused = {"action": "session:refused", "outcome": "refused", "address": "192.0.2.7"}
    hits = engine.take([Event(JOURNAL, rank, 2_000 + rank, refused) for rank in range(100)])
    assert [one.card.name for one in hits] == ["storm-of-refusals", "ransomware-signs"]
    assert hits[-1].signs == ("bytes-not-theirs", "storm-of-refusals")
