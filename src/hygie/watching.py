"""``hygie watch``: facts are followed, rules speak, findings are opened and told. Its process has no right over data.

Each turn is one transaction: what was read, what rules remember of it, the findings and their entries.  A watch that is
killed goes on from there.  Source: docs/adr/0029-watch.md, 0030-escalation.md, 0031-host-logs.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hygie.app import House, opened
from hygie.backups.run import measure
from hygie.database.pool import Database
from hygie.feeding import Feeding, measure_exports
from hygie.journal.reader import JournalReader
from hygie.journal.writer import JournalWriter
from hygie.loops import every
from hygie.metering import Meter, run_metrics
from hygie.watch import memory
from hygie.watch.couriers import Courier
from hygie.watch.engine import Engine, Hit, Key
from hygie.watch.escalation import Escalation
from hygie.watch.events import JOURNAL
from hygie.watch.findings import Finding, keep_hits
from hygie.watch.host_setup import host_source, syslog_receiver
from hygie.watch.messages import as_drill
from hygie.watch.ruleset import RuleSet, check_samples, load_rules
from hygie.watch.sources import CheckSource, JournalSource, MeasurementSource, Page, Source

FOLLOW_EVERY_S = 0.5  # with the sealer's own half second, a second from an act to its finding
TELL_EVERY_S = 1.0  # what is due, and each channel
TICK_EVERY_S = 30.0  # silences and windows that are over
MEASURE_EVERY_S = 60.0
BEHIND_MAX = 20_000  # entries: some seconds of a busy installation
NAMES_MAX = 20
KIND = "watch"  # of its measurements
POOL = 3

log = logging.getLogger("hygie.watch")


class Watch:
    """The watch of one installation. Args: database: opened as the role ``hygie_watch``; reader: of the journal."""

    def __init__(self, house: House, database: Database, reader: JournalReader, rules: RuleSet) -> None:
        self._house = house
        self._database = database
        self._journal = JournalWriter(database, house.month_keys, house.clock)
        self._host = host_source(house.settings, house.folder, house.clock)
        self._sources: tuple[Source, ...] = (JournalSource(reader), MeasurementSource(), CheckSource(), self._host)
        self._positions: dict[str, int] = {}
        self._engine: Engine | None = None
        self._turn = asyncio.Lock()
        self._wrong = 0  # samples of rules that do not hold
        self._seen: Counter[tuple[str, str]] = Counter()  # entries by action and outcome, for the metrics
        self.rules = rules

    async def begin(self) -> None:
        """Take up what was remembered; at the very first start, what comes from now on counts."""
        async with self._database.transaction() as connection:
            kept, known = await memory.states(connection), await memory.cursors(connection)
            await self._host.begin(await memory.mark(connection, self._host.name))
            for source in self._sources:
                new = source.name not in known
                self._positions[source.name] = await source.end(connection) if new else known[source.name][0]
                if new or source is self._host:
                    mark, now_ms = self._host.mark() if source is self._host else None, self._house.clock.now_ms()
                    await memory.move(connection, source.name, self._positions[source.name], now_ms, mark)
        self._engine = Engine(self.rules.rules, kept)
        self._wrong = len(await asyncio.to_thread(check_samples, self.rules.rules))

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set."""
        telling = self._escalation()
        receiver = syslog_receiver(self._house.settings, self._house.folder, self._house.clock)
        await asyncio.gather(
            *([receiver.run(stop)] if receiver is not None else []),
            *(every(stop, FOLLOW_EVERY_S, partial(self.follow, one), share_max=1.0) for one in self._sources),
            every(stop, TICK_EVERY_S, self.tick),
            every(stop, MEASURE_EVERY_S, self.measure),
            every(stop, MEASURE_EVERY_S, self._measure_exports, after_s=MEASURE_EVERY_S),
            Feeding(self._house).run(stop),
            run_metrics(Meter(self._house, self._database, self._seen), self._house, stop),
            every(stop, TELL_EVERY_S, telling.plan, share_max=1.0),
            *(every(stop, TELL_EVERY_S, partial(telling.deliver, one), share_max=1.0) for one in telling.couriers),
            _close(stop, telling.couriers),
        )
        await self._journal.close()

    def _escalation(self) -> Escalation:
        settings, folder = self._house.settings, self._house.folder
        drill = settings.watch.drill
        known = [rule.card for rule in self.rules.rules]
        return Escalation(
            self._database,
            self._journal,
            self._house.clock,
            steps=settings.escalation,
            couriers=[Courier(one, folder) for one in settings.channels],
            repeat_minutes=settings.watch.repeat_minutes,
            cards={one.id: one if drill is None else as_drill(one, drill) for one in known},
        )

    async def follow_all(self) -> list[Finding]:
        """One turn of every source. Returns: the findings that were opened."""
        return [one for source in self._sources for one in await self.follow(source)]

    async def follow(self, source: Source) -> list[Finding]:
        """All that a source said since the last turn, through every rule. Returns: the findings that were opened.

        Raises: UnavailableError, psycopg.Error: nothing of the page counts, and the next turn reads it again.
        """
        opened_all: list[Finding] = []
        while True:
            async with self._database.transaction() as connection:  # a file that hangs holds up no other source
                page = await source.page(connection, self._positions[source.name])
            async with self._turn:
                if page.events or page.mark is not None or page.position != self._positions[source.name]:
                    opened_all += await self._take(source, page)
            if not page.more:
                return opened_all

    async def tick(self) -> list[Finding]:
        """What did not come, and what is over."""
        async with self._turn:
            engine, now_ms = self._ready()
            gone = engine.forget(now_ms)
            return await self._keep(Turn(hits=[*engine.absent(now_ms), *self._host.silent()], gone=gone))

    async def measure(self) -> None:
        """Say that the watch looks: with how many rules, and how far behind the journal it is."""
        now_ms = self._house.clock.now_ms()
        async with self._database.transaction() as connection:
            behind = await memory.journal_size(connection) - self._positions[JOURNAL]
        names = [one.file for one in self.rules.refused][:NAMES_MAX]
        facts = {"rules": len(self.rules.rules), "refused": names, "wrong": self._wrong, "behind": max(behind, 0)}
        passed = not (names or self._wrong) and behind <= BEHIND_MAX
        await measure(self._database, now_ms, KIND, passed=passed, facts=facts)

    async def _measure_exports(self) -> None:
        await measure_exports(self._house, self._database)

    def _ready(self) -> tuple[Engine, int]:
        assert self._engine is not None, "begin() comes first"
        return self._engine, self._house.clock.now_ms()

    async def _take(self, source: Source, page: Page) -> list[Finding]:
        engine, _ = self._ready()
        turn = Turn(hits=engine.take(page.events), digests=page.digests, moved=(source.name, page.position, page.mark))
        found = await self._keep(turn)
        self._positions[source.name] = page.position
        page.kept()
        if source.name == JOURNAL:
            self._seen.update((str(one.fields["action"]), str(one.fields["outcome"])) for one in page.events)
        return found

    async def _keep(self, turn: Turn) -> list[Finding]:
        """One transaction of all that a turn changed. What could not be kept is done again: from the states of the
        database, and not from those in memory, which are ahead of it."""
        engine, now_ms = self._ready()
        try:
            async with self._database.transaction() as connection:
                found, entries = await keep_hits(connection, turn.hits, turn.digests, now_ms)
                await memory.keep(connection, engine, engine.dirty)
                await memory.forget(connection, turn.gone)
                if turn.moved is not None:
                    source, position, mark = turn.moved
                    await memory.move(connection, source, position, now_ms, mark)
                await self._journal.append(connection, entries)
        except BaseException:
            await self._again()
            raise
        engine.dirty.clear()
        for one in found:
            log.warning("finding %s opened: %s, rule %s", one.id, one.level, one.rule)
        return found

    async def _again(self) -> None:
        async with self._database.transaction() as connection:
            self._engine = Engine(self.rules.rules, await memory.states(connection))


@dataclass(slots=True)
class Turn:
    """What one turn changes. digests: of what is at hand, by rank; gone: windows that are over; moved: a source, how
    far it was followed, and what it keeps beside."""

    hits: list[Hit]
    digests: dict[int, bytes] = field(default_factory=dict)
    gone: list[Key] = field(default_factory=list)
    moved: tuple[str, int, object] | None = None


async def _close(stop: asyncio.Event, couriers: Sequence[Courier]) -> None:
    """A receiver that hangs does not hold up the end of the process."""
    await stop.wait()
    for one in couriers:
        one.close()


async def open_watch(house: House, database: Database) -> Watch:
    """The watch with its rules; one that does not hold is named in the log, and leaves the others."""
    rules = await asyncio.to_thread(load_rules, rules_folder(house))
    for refused in rules.refused:
        log.error("%s %s: %s: %s", refused.code, refused.file, refused.where, refused.reason)
    watch = Watch(house, database, await house.journal_reader(database), rules)
    await watch.begin()
    return watch


async def run_watch(house: House, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """The watch until ``stop``."""
    async with opened(house.dsns.watch, size=POOL) as database:
        watch = await open_watch(house, database)
        ready.set()
        await watch.run(stop)


def rules_folder(house: House) -> Path | None:
    """Where the SOC's own rules lie."""
    folder = house.settings.watch.rules
    return house.folder.resolve(folder) if folder is not None else None
