"""Keep the logs of the proof plane: published on the sites, taken back from them, held to the journal.

``hygie work`` publishes within seconds, merges what is small, and compares the database with the published journal
each minute: a log that went back turns a check red by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hygie.app import House, opened
from hygie.backups.run import measure
from hygie.base.actions import Action
from hygie.base.errors import NotFoundError
from hygie.database.pool import Database
from hygie.gate.local import LocalOperator
from hygie.journal.entry import Entry
from hygie.journal.reader import JournalReader, head_of
from hygie.journal.writer import JournalWriter
from hygie.proving import with_proof
from hygie.registers.holes import Hole
from hygie.segments import rows
from hygie.segments.format import LOGS, RECORDS
from hygie.segments.named import KINDS, Difference, NamedWrites, compare
from hygie.segments.publish import Publisher, proof_keys
from hygie.segments.taking_back import TakenBack, Taking
from hygie.sites.errors import SiteUnavailableError

MEASUREMENT = "logs"
AGAIN = 1_000  # newest writes compared at each turn: a database that went back lacks these
SLICE = 10_000  # older ones, in turn: some hundred milliseconds
FAULTS_MAX = 20  # of each log in a measurement
PUBLISHED_S_MAX = 30.0  # the sealer publishes within a second, or the journal is in trouble
PUBLISHED_POLL_S = 0.2
END_S_MAX = 5.0  # of a process that ends: whoever stops it kills it after some seconds

log = logging.getLogger("hygie.logkeeping")


class LogKeeper:
    """Keeps the logs of one installation.

    Args: records: opened as the sealer; account: who acts, as the journal names him.
    """

    def __init__(self, house: House, records: Database, account: str) -> None:
        self._house = house
        self._records = records
        self._account = account
        self._publisher = Publisher(records, kms=house.kms, sites=house.sites, clock=house.clock)
        self._watch = LogWatch(house, records)
        self._begun = False

    async def begin(self) -> None:
        """Once: take back what the sites have and the database lacks, before anything is added to it.

        A database that somebody put back (an older copy, a standby that was behind) goes on where it was.
        Raises: SiteUnavailableError: no site answers; DatabaseUnavailableError, KmsUnavailableError.
        """
        if self._begun:
            return
        taken = await take_back(self._house, self._account)
        if any(taken.rows.values()) or taken.files:
            log.warning("taken back from the sites: %s, %s files", taken.rows, taken.files)
        self._begun = True

    async def publish(self) -> int:
        """Put what is new, and named by the published journal, on the sites. Returns how many objects.

        Raises: as ``Publisher.publish``; IntegrityError: the journal is not what was signed.
        """
        await self.begin()
        await self._watch.follow()
        return await self._publisher.publish({name: self._watch.newest(name) for name in LOGS})

    async def publish_all(self) -> None:
        """The same for what is committed now, once the journal has published it: it is waited for, some seconds."""
        async with self._records.transaction() as connection:
            heads = {name: (await rows.head_of(connection, name)).seq for name in LOGS}
        end_s = time.monotonic() + END_S_MAX
        while True:
            await self.publish()
            if all(self._watch.newest(name) >= head for name, head in heads.items()) or time.monotonic() > end_s:
                return
            await asyncio.sleep(PUBLISHED_POLL_S)

    async def tidy(self) -> None:
        """Merge what is small, remove what was merged long ago. Raises: as ``Publisher.merge``."""
        await self._publisher.merge()
        await self._publisher.tidy()

    async def compare(self) -> None:
        """Hold the logs to the published journal, and record what was found.

        Raises: IntegrityError: the journal is not what was signed; UnavailableError.
        """
        looked = await self._watch.look()
        passed = all(found.none for found in looked.values())
        facts: dict[str, Any] = {}
        async with self._records.transaction() as connection:
            for name, found in looked.items():
                newest = self._watch.named.newest(name)
                facts[name] = {
                    "head": (await rows.head_of(connection, name)).seq,
                    "named": newest.last if newest else 0,
                    "published": (await rows.stored_end(connection, name)).seq,
                    "lacking": [list(one) for one in found.lacking[:FAULTS_MAX]],
                    "other": found.other[:FAULTS_MAX],
                    "shown": found.shown(),
                }
        await measure(self._records, self._house.clock.now_ms(), MEASUREMENT, passed=passed, facts=facts)


@dataclass(slots=True)
class LogWatch:
    """Follows what the published journal names of the logs, and compares the database with it.

    Reads only what is new at each turn. Args: records: opened as the sealer or the owner.
    """

    house: House
    records: Database
    named: NamedWrites = field(default_factory=NamedWrites)
    _next: int = 0
    _following: asyncio.Lock = field(default_factory=asyncio.Lock)
    _at: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOGS, 0))
    _faulty: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in LOGS})

    async def follow(self) -> None:
        """Hear what was published since the last time, one caller at a time.

        Raises: IntegrityError: it is not what was signed.
        """
        async with self._following:
            await self._follow()

    async def _follow(self) -> None:
        reader = await self.house.journal_reader(self.records)
        try:
            tree, _ = await reader.tree()
        except NotFoundError:
            return  # nothing is published yet
        async for first, leaves in tree.bundles(self._next, tree.head.size):
            for index, leaf in enumerate(leaves, first):
                if (entry := await _opened(reader, index, leaf)) is not None:
                    self.named.hear(entry)
            self._next = first + len(leaves)

    def newest(self, name: str) -> int:
        """The highest number of a log that was heard, 0 when none was."""
        return max(self.named.writes[name], default=0)

    async def look(self) -> dict[str, Difference]:
        """What is wrong among the newest writes, a slice of the older ones, and those that were wrong before."""
        await self.follow()
        found: dict[str, Difference] = {}
        for name in LOGS:
            numbers = list(self.named.writes[name])
            at = self._at[name] if self._at[name] < len(numbers) else 0
            self._at[name] = at + SLICE
            only = {*numbers[-AGAIN:], *numbers[at : at + SLICE], *self._faulty[name]}
            async with self.records.transaction() as connection:
                found[name] = await compare(connection, self.named, name, only=only)
            lacking = (seq for first, last in found[name].lacking for seq in only if first <= seq <= last)
            self._faulty[name] = {*lacking, *found[name].other}
        return found


async def _opened(reader: JournalReader, index: int, leaf: bytes) -> Entry | None:
    """An entry that may speak of the logs: others are not opened."""
    return (await reader.open(index, leaf)).entry if head_of(leaf).kind in KINDS else None


async def take_back(house: House, account: str) -> TakenBack:
    """Add to the database what the sites have and it lacks, on record when there was something.

    Raises: SiteUnavailableError: no site answers; DatabaseUnavailableError, KmsUnavailableError.
    """
    sites = list(house.sites.sites)
    keys = await proof_keys(house.kms)
    async with opened(house.dsns.owner, size=2) as owner:
        while True:
            try:
                taken = await Taking(owner, sites, keys, now_ms=house.clock.now_ms()).run()
                break
            except SiteUnavailableError:
                if len(sites) == 1:
                    raise
                sites.pop(0)  # the nearest one is away
        if any(taken.rows.values()) or taken.files:
            journal = JournalWriter(owner, house.month_keys, house.clock)
            try:
                detail = {"logs": "taken back"} | {name: str(count) for name, count in taken.rows.items()}
                count = sum(taken.rows.values())
                operator = LocalOperator(journal, house.clock, account)
                await operator.record(Action.SITE_SCRUB, detail=detail, count=count)
            finally:
                await journal.close()
    return taken


@dataclass(frozen=True, slots=True)
class Verified:
    """One log, verified: its head, what was declared lost, and how many writes the journal names."""

    seq: int
    digest: bytes
    declared: Sequence[tuple[int, int]]
    named: int


async def verify_log(house: House, name: str, account: str) -> Verified:
    """Follow the whole chain of a log, and hold it to every entry of the published journal.

    Raises: LogLackingError: names the numbers; RegisterTamperedError, EvidenceTamperedError: names the first bad one;
    IntegrityError: the journal is not what was signed.
    """
    async with opened(house.dsns.sealer, size=1) as records:
        watch = LogWatch(house, records)
        async with records.transaction() as connection:
            head = await rows.head_of(connection, name)
        end_s = time.monotonic() + PUBLISHED_S_MAX
        await watch.follow()
        while watch.newest(name) < head.seq and time.monotonic() < end_s:  # its entry is about to be published
            await asyncio.sleep(PUBLISHED_POLL_S)
            await watch.follow()
        return await hold(watch, name, account, head.seq)


async def hold(watch: LogWatch, name: str, account: str, upto: int) -> Verified:
    """The same, of a watch that has followed the journal. Args: upto: the number up to which it must name every write.

    Raises: as :func:`verify_log`.
    """
    async with watch.records.transaction() as connection:
        found = await compare(connection, watch.named, name)
        noted = await rows.holes(connection, name)
    if (newest := watch.newest(name)) < upto and newest not in watch.named.newest_at_gaps[name]:
        found.added.append(newest + 1)
    found.require_none()
    declared = watch.named.declared[name]
    holes = [Hole(first, end.seq, end.digest) for first, end in noted if (first, end.seq) in declared]
    end = await with_proof(
        watch.house,
        account,
        lambda plane: plane.registers.verify(holes) if name == RECORDS else plane.evidence.verify(holes),
    )
    return Verified(*end, found.declared, len(watch.named.writes[name]))
