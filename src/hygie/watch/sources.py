"""Where facts come from: each source is followed from a position, a page at a time, in its own order.

The journal: one event an entry.  ``measurement``: what ``hygie work`` measures of sites, copies, backups, the door.
``check``: the verdicts of the proof plane, as evidence keeps them.  Logs of machines: :mod:`hygie.watch.host_source`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import psycopg

from hygie.journal.reader import JournalReader
from hygie.watch import memory
from hygie.watch.events import CHECK, JOURNAL, MEASUREMENT, Event, Value, of_entry
from hygie.watch.findings import digest_of

OWN_ACTIONS = frozenset({"finding:open", "finding:handle", "finding:tell"})  # what the watch itself says is no news
PAGE_ROWS = 2_000
LATE_ROWS = 50  # ids are drawn before their transaction commits: so many of before are looked at again
FACTS_MAX = 50
EACH = "each"
PARTS_MAX = 5_000  # two for each environment of a large house
TEXT_MAX = 200

Connection = psycopg.AsyncConnection[Any]


def _nothing() -> None:
    """Most sources remember their position only."""


@dataclass(slots=True)
class Page:
    """events: in order; digests: SHA-256 of what stood there, by rank; position: where the next page begins; more:
    whether there probably is one; mark: what the cursor keeps beside the position, as JSON; kept: to be called once the
    page is written down."""

    events: list[Event] = field(default_factory=list)
    digests: dict[int, bytes] = field(default_factory=dict)
    position: int = 0
    more: bool = False
    mark: object = None
    kept: Callable[[], None] = _nothing


class Source(Protocol):
    """One source."""

    @property
    def name(self) -> str:
        """As events and cursors call it."""

    async def end(self, connection: Connection) -> int:
        """The position after all that is there now."""

    async def page(self, connection: Connection, position: int) -> Page:
        """What comes from a position on."""


class JournalSource:
    """Entries, from the rows that the sealer has given an index; ``hygie work`` holds them to the published tree."""

    name = JOURNAL

    def __init__(self, reader: JournalReader, *, skipped: frozenset[str] = OWN_ACTIONS) -> None:
        self._reader = reader
        self._skipped = skipped
        self._kinds: dict[str, str] = {}  # an account never changes its kind

    async def end(self, connection: Connection) -> int:
        """See :class:`Source`."""
        return await memory.journal_size(connection)

    async def page(self, connection: Connection, position: int) -> Page:
        """See :class:`Source`. Raises: UnavailableError: a month's key cannot be had."""
        rows = await memory.page(connection, position)
        if not rows and await memory.journal_size(connection) < position:
            return Page(position=0, more=True)  # a rebuilt database begins again; a finding that is there only grows
        found = Page(position=rows[-1][0] + 1 if rows else position, more=len(rows) >= memory.PAGE_ENTRIES)
        opened = [(index, leaf, (await self._reader.open(index, leaf)).entry) for index, leaf in rows]
        await self._know(connection, {entry.account for _, _, entry in opened if entry is not None})
        for index, leaf, entry in opened:
            if entry is not None and entry.action.value not in self._skipped:
                found.events.append(of_entry(index, entry, self._kinds.get(entry.account, "")))
                found.digests[index] = digest_of(leaf)
        return found

    async def _know(self, connection: Connection, accounts: set[str]) -> None:
        """What kind these accounts are of; those of the machine's people and programs are in no table."""
        new = [one for one in accounts if one and ":" not in one and one not in self._kinds]
        if new:
            query = "SELECT id, kind FROM hygie.account WHERE id = ANY(%s)"
            self._kinds |= dict(await (await connection.execute(query, (new,))).fetchall())


class MeasurementSource:
    """Measurements, by their id."""

    name = MEASUREMENT

    def __init__(self) -> None:
        self._seen: set[int] = set()

    async def end(self, connection: Connection) -> int:
        """See :class:`Source`."""
        return await _number(connection, "SELECT coalesce(max(id), 0) FROM hygie.measurement")

    async def page(self, connection: Connection, position: int) -> Page:
        """See :class:`Source`."""
        query = "SELECT id, kind, at_ms, passed, facts FROM hygie.measurement WHERE id > %s ORDER BY id LIMIT %s"
        rows = await (await connection.execute(query, (max(position - LATE_ROWS, 0), PAGE_ROWS))).fetchall()
        first = not self._seen  # after a start, what is before the position was read by the process of before
        found = Page(position=max([position, *(row[0] for row in rows)]), more=len(rows) >= PAGE_ROWS)
        for id_, kind, at_ms, passed, facts in rows:
            if id_ > position or not (first or id_ in self._seen):
                fields: dict[str, Value] = {"source": MEASUREMENT, "measurement": kind, "passed": passed}
                found.events += [Event(MEASUREMENT, id_, at_ms, fields | part) for part in _parts(facts)]
                found.digests[id_] = digest_of(json.dumps([kind, at_ms, passed, facts], sort_keys=True).encode())
        recent = {row[0] for row in rows if row[0] > found.position - 2 * LATE_ROWS}
        found.kept = partial(setattr, self, "_seen", recent)
        return found


class CheckSource:
    """Verdicts, by the batch of evidence that has them."""

    name = CHECK

    async def end(self, connection: Connection) -> int:
        """See :class:`Source`."""
        return await _number(connection, "SELECT coalesce(max(batch), 0) FROM hygie_proof.run")

    async def page(self, connection: Connection, position: int) -> Page:
        """See :class:`Source`."""
        query = (
            "SELECT batch, place, check_id, at_ms, verdict, evidence FROM hygie_proof.run WHERE batch > %s"
            " AND batch <= (SELECT max(batch) FROM (SELECT DISTINCT batch FROM hygie_proof.run WHERE batch > %s"
            " ORDER BY batch LIMIT 20) AS next) ORDER BY batch, place"
        )
        rows = await (await connection.execute(query, (position, position))).fetchall()
        found = Page(position=rows[-1][0] if rows else position, more=bool(rows))
        for batch, place, check, at_ms, verdict, evidence in rows:
            fields: dict[str, Value] = {"source": CHECK, "check": check, "verdict": verdict, "evidence": evidence}
            rank = batch * 10_000 + place
            found.events.append(Event(CHECK, rank, at_ms, fields))
            found.digests[rank] = digest_of(json.dumps([check, at_ms, verdict]).encode())
        return found


def _parts(facts: object) -> list[dict[str, Value]]:
    """One event of a measurement, and one more for each part that it lists under ``each``."""
    each = facts.get(EACH) if isinstance(facts, Mapping) else None
    return [_facts(facts), *(_facts(one) for one in (each[:PARTS_MAX] if isinstance(each, list) else ()))]


def _facts(facts: object) -> dict[str, Value]:
    """The plain values of a measurement's facts, one level deep: ``facts.code``, ``facts.sites.paris``."""
    found: dict[str, Value] = {}
    for name, value in facts.items() if isinstance(facts, Mapping) else ():
        inner = value.items() if isinstance(value, Mapping) else ((None, value),)
        for part, one in inner:
            if len(found) >= FACTS_MAX:
                return found
            key = f"facts.{name}" if part is None else f"facts.{name}.{part}"
            if isinstance(one, str | bool | int):
                found[key] = one[:TEXT_MAX] if isinstance(one, str) else one
            elif isinstance(one, list):
                found[f"{key}.count"] = len(one)
    return found


async def _number(connection: Connection, query: str) -> int:
    row = await (await connection.execute(query.encode())).fetchone()
    return int(row[0]) if row is not None else 0
