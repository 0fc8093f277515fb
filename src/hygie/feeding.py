"""A SOC is fed: a thread for each export, with a connection and keys of its own, so that a receiver that hangs holds
up no rule, no finding, and nothing that hosts.

At least once: the cursor moves after the receiver took a batch, and what it did not take is read again after a kill.
What waits is in the journal, and one batch in memory.  Source: docs/adr/0033-soc-export.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Thread
from time import monotonic

import psycopg

from hygie.app import House, open_house, opened
from hygie.backups.run import measure
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.base.soc import ExportSettings
from hygie.database.pool import Database
from hygie.watch import exports
from hygie.watch.channels import Wire
from hygie.watch.errors import ExportTenantError
from hygie.watch.events import JOURNAL, Event
from hygie.watch.outlets import BATCH_S, hand_over
from hygie.watch.sources import OWN_ACTIONS, CheckSource, JournalSource, MeasurementSource, Source

TURN_S = 1.0  # when nothing waits
AGAIN_S = (1.0, 5.0, 30.0)  # after a failure, after the second…
BATCH_MAX, BATCH_MIN = 2_000, 25  # events; halved when their time was over
HELD = frozenset({"detail.same_name", "detail.vip"})  # they tell of a person by name who a patient is: not for a SOC
END_S = 3.0  # what a thread has to end

log = logging.getLogger("hygie.watch")


@dataclass(slots=True)
class Batch:
    """What waits to be taken. positions: where each source is after it; counts: events of each."""

    events: list[Event] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    more: bool = False


class Feeder:
    """One export. Args: database: opened as ``hygie_watch``; sources: those that it follows; origin: the journal's
    name."""

    def __init__(
        self, export: ExportSettings, house: House, database: Database, sources: Mapping[str, Source], origin: str
    ) -> None:
        self._export = export
        self._house = house
        self._database = database
        self._sources = sources
        self._origin = origin
        self._positions: dict[str, int] = {}
        self._batch: Batch | None = None
        self._tenant = ""
        self._size = BATCH_MAX
        self.wire: Wire | None = None

    async def begin(self) -> None:
        """Take up where its receiver was; a new one begins now, or at the beginning. Raises: ExportTenantError."""
        async with self._database.transaction() as connection:
            if self._export.tenant is not None:
                query = "SELECT id FROM hygie.tenant WHERE name = %s"
                row = await (await connection.execute(query, (self._export.tenant,))).fetchone()
                if row is None:
                    raise ExportTenantError(export=self._export.name)
                self._tenant = bytes(row[0]).hex()
            known = await exports.positions_of(connection, self._export.name)
            new: dict[str, int] = {}
            for name, source in self._sources.items():
                if name not in known:
                    new[name] = 0 if self._export.since == "beginning" else await source.end(connection)
            await exports.move(connection, self._export.name, new, {}, self._house.clock.now_ms())
        self._positions = {name: (known | new)[name] for name in self._sources}

    async def turn(self) -> bool:
        """Read what comes next, and hand it over. Returns: whether more waits.

        Raises: HygieError, psycopg.Error: nothing moved; the batch is kept, and handed over again.
        """
        batch = self._batch = self._batch or await self._read()
        while batch.events:
            part = batch.events[: self._size]
            self.wire = wire = Wire(BATCH_S)
            try:
                hand_over(self._export, self._house.folder, part, self._origin, wire)
            except HygieError:
                self._size = max(self._size // 2, BATCH_MIN) if wire.over else self._size
                raise
            del batch.events[: len(part)]
        self._size = min(self._size * 2, BATCH_MAX)
        if batch.positions != self._positions:
            async with self._database.transaction() as connection:
                now_ms = self._house.clock.now_ms()
                await exports.move(connection, self._export.name, batch.positions, batch.counts, now_ms)
        self._positions, self._batch = batch.positions, None
        return batch.more

    async def fail(self, code: str) -> None:
        """Keep why, where people look."""
        async with self._database.transaction() as connection:
            await exports.failed(connection, self._export.name, code, self._house.clock.now_ms())

    async def _read(self) -> Batch:
        batch, pages = Batch(positions=dict(self._positions)), []
        async with self._database.transaction() as connection:
            for name, source in self._sources.items():
                page = await source.page(connection, self._positions[name])
                pages.append(page)
                chosen = [for_a_soc(one) for one in page.events if self._carries(one)]
                if name == JOURNAL:
                    chosen = await self._titled(connection, chosen)
                batch.events += chosen
                batch.counts[name] = len(chosen)
                batch.positions[name] = page.position
                batch.more = batch.more or page.more
        for page in pages:  # the batch stays here until it was taken
            page.kept()
        return batch

    def _carries(self, event: Event) -> bool:
        if self._tenant and event.fields.get("tenant") != self._tenant:
            return False
        own = event.fields.get("action") in OWN_ACTIONS
        return event.source != JOURNAL or ("findings" if own else JOURNAL) in self._export.carried

    @staticmethod
    async def _titled(connection: exports.Connection, events: list[Event]) -> list[Event]:
        """Entries about findings, with the titles of their rules."""
        ids = {str(one.fields.get("detail.finding")) for one in events if one.fields.get("action") in OWN_ACTIONS}
        if not ids:
            return events
        query = "SELECT id, title FROM hygie.finding WHERE id = ANY(%s)"
        titles = dict(await (await connection.execute(query, (list(ids),))).fetchall())
        found = []
        for one in events:
            title = titles.get(one.fields.get("detail.finding")) if one.fields.get("action") in OWN_ACTIONS else None
            more = {"title": str(title)} if title else {}
            found.append(Event(one.source, one.rank, one.at_ms, {**one.fields, **more}))
        return found


def for_a_soc(event: Event) -> Event:
    """The event without what is not for its receiver's eyes."""
    if event.fields.keys().isdisjoint(HELD):
        return event
    fields = {key: value for key, value in event.fields.items() if key not in HELD}
    return Event(event.source, event.rank, event.at_ms, fields)


class Feeding:
    """All exports of an installation, each in its thread until ``stop``."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._over = Flag()
        self._feeders: dict[str, Feeder] = {}
        self._threads = [
            Thread(target=self._run, args=(one,), name=f"export-{one.name}", daemon=True) for one in house.settings.soc
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; a receiver that hangs does not hold up the end."""
        for thread in self._threads:
            thread.start()
        await stop.wait()
        self._over.set()
        for feeder in list(self._feeders.values()):
            if feeder.wire is not None:
                feeder.wire.cut()
        end_s = monotonic() + END_S
        for thread in self._threads:
            await asyncio.to_thread(thread.join, max(end_s - monotonic(), 0.01))

    def _run(self, export: ExportSettings) -> None:
        failures = 0
        while not self._over.is_set():
            began_s = monotonic()
            try:
                asyncio.run(self._feed(export))
            except (HygieError, OSError, psycopg.Error) as error:
                log.warning("export %s: %s", export.name, _code(error))
            except Exception as error:  # a mistake of ours in one export must not end the others
                log.error("export %s: %s", export.name, type(error).__name__)
            failures = 0 if monotonic() - began_s > AGAIN_S[-1] else failures
            self._over.wait(AGAIN_S[min(failures, len(AGAIN_S) - 1)])
            failures += 1

    async def _feed(self, export: ExportSettings) -> None:
        settings, folder = self._house.settings, self._house.folder
        async with open_house(folder.path, settings) as house, opened(house.dsns.watch, size=1) as database:
            reader = await house.journal_reader(database)
            sources: dict[str, Source] = {
                one.name: one
                for one in (JournalSource(reader, skipped=frozenset()), MeasurementSource(), CheckSource())
                if one.name in exports.tables_of(export)
            }
            feeder = Feeder(export, house, database, sources, await house.origin())
            await feeder.begin()
            self._feeders[export.name] = feeder
            failures = 0
            while not self._over.is_set():
                try:
                    more = await feeder.turn()
                    failures = 0
                    if not more:
                        await self._pause(TURN_S)
                except HygieError as error:
                    code = _code(error)
                    if not self._over.is_set():
                        log.warning("export %s: %s", export.name, code)
                        await feeder.fail(code)
                    await self._pause(AGAIN_S[min(failures, len(AGAIN_S) - 1)])
                    failures += 1

    async def _pause(self, seconds: float) -> None:
        await asyncio.to_thread(self._over.wait, seconds)


async def measure_exports(house: House, database: Database) -> None:
    """Say how far each export is; none is late, or the measurement failed."""
    settings, clock = house.settings, house.clock
    if not settings.soc:
        return
    found = await states_of(settings.soc, database, clock)
    facts = {
        "exports": len(found),
        "late": [one.name for one in found if one.late],
        "behind": {one.name: one.behind for one in found},
        "waiting_s": {one.name: one.waiting_ms // 1_000 for one in found},
    }
    await measure(database, clock.now_ms(), exports.KIND, passed=not facts["late"], facts=facts)


async def states_of(settings: tuple[ExportSettings, ...], database: Database, clock: Clock) -> list[exports.State]:
    """How far each export is."""
    async with database.transaction() as connection:
        return await exports.states(connection, settings, clock.now_ms())


def _code(error: Exception) -> str:
    with suppress(AttributeError):
        return f"{error.code} {error.facts.get('reason', '')}".strip()  # type: ignore[attr-defined]
    return type(error).__name__
