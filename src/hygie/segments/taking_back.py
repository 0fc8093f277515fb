"""Take the logs back from the sites: what the database lacks, verified, and nothing else.

Source: docs/formats/proof-segments.md v1.  Rows that are there are never changed; what no site holds and the journal
names is said by its numbers, which are not given again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg

from hygie.base.errors import HygieError
from hygie.database.pool import Database
from hygie.segments import filling, rows
from hygie.segments.errors import SegmentBrokenError
from hygie.segments.format import (
    CATALOGUES,
    DOCUMENTS,
    LOGS,
    PREFIX,
    START,
    FileBody,
    Keys,
    Named,
    Segment,
    open_file,
    open_segment,
    read_name,
)
from hygie.segments.named import Difference, NamedWrites, Range, compare
from hygie.segments.rows import End, Stored
from hygie.sites.site import Site

T = TypeVar("T", Segment, FileBody)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class TakenBack:
    """What came back, and what did not.

    rows: added, by log; files: documents and catalogues added; damaged: copies that are not what was signed,
    ``site: name (reason)``; passed_over: intact segments that contradict what is known; lacking: numbers that nobody
    holds, by log; other: numbers that the journal names otherwise; documents: named by records and absent (SHA-256);
    unreachable: sites that did not answer.
    """

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOGS, 0))
    files: int = 0
    damaged: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    lacking: dict[str, list[Range]] = field(default_factory=lambda: {name: [] for name in LOGS})
    other: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in LOGS})
    documents: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing that is named lacks."""
        return not (any(self.lacking.values()) or any(self.other.values()) or self.documents)

    def shown(self) -> list[str]:
        """What lacks, a line each."""
        lines = [
            f"{name} {difference.shown()}"
            for name in LOGS
            if not (difference := Difference(name, self.lacking[name], self.other[name])).none
        ]
        return [*lines, *(f"documents {one}" for one in self.documents)]


class Taking:
    """Takes back the logs of one installation.

    Args: owner: opened as the database's owner; sites: the one to read first, then those to ask for what it lacks;
    now_ms: of the clock.
    """

    def __init__(self, owner: Database, sites: Sequence[Site], keys: Keys, *, now_ms: int) -> None:
        self._owner = owner
        self._sites = list(sites)
        self._keys = keys
        self._now_ms = now_ms
        self._holders: dict[str, list[Site]] = {}
        self._before: dict[tuple[str, int], bytes] = {}
        self._wanted_documents: set[bytes] = set()
        self.report = TakenBack()

    async def run(self, named: NamedWrites | None = None) -> TakenBack:
        """Add what lacks.

        Args: named: what the whole published journal names; without it nothing is said to lack.
        Raises: SiteUnavailableError: the first site does not answer; DatabaseUnavailableError.
        """
        await self._list()
        names = {name: said for name in self._holders if (said := read_name(name)) is not None}
        for kind in (CATALOGUES, DOCUMENTS):
            await self._take_files(kind, names)
        for name in LOGS:
            chosen = [(full, said) for full, said in names.items() if said.log == name]
            chosen.sort(key=lambda pair: (pair[1].first, -pair[1].last))
            await self._take_rows(name, chosen, named)
            async with self._owner.transaction() as connection:
                await filling.forget_holes(connection, name, filled=True)
        await self._look_for_documents()
        if named is not None:
            await self._settle(named)
        return self.report

    async def _list(self) -> None:
        for rank, site in enumerate(self._sites):
            try:
                found = await asyncio.to_thread(lambda one: [name for name, _ in one.list(PREFIX)], site)
            except HygieError:
                if rank == 0:
                    raise
                self.report.unreachable.append(site.name)
                continue
            for name in found:
                self._holders.setdefault(name, []).append(site)

    # -- documents and catalogues

    async def _take_files(self, kind: str, names: Mapping[str, Named]) -> None:
        async with self._owner.transaction() as connection:
            there = await filling.known_files(connection, kind)
        for full, said in sorted(names.items()):
            if said.log != kind:
                continue
            opened = await self._intact(full, open_file) if said.digest not in there else None
            async with self._owner.transaction() as connection:
                if opened is not None:
                    body, data = opened
                    await filling.put_file(connection, kind, said.digest, body)
                    await rows.add(connection, _stored_file(full, kind, said.digest, len(body.content), data))
                    self.report.files += 1

    async def _look_for_documents(self) -> None:
        async with self._owner.transaction() as connection:
            there = await filling.known_files(connection, DOCUMENTS)
        self.report.documents = sorted(one.hex() for one in self._wanted_documents - there)

    # -- rows

    async def _take_rows(self, name: str, chosen: Sequence[tuple[str, Named]], named: NamedWrites | None) -> None:
        covered = 0  # sorted by first number, the longest first: what ends before was read inside another one
        for full, said in chosen:
            if said.last <= covered:
                continue
            async with self._owner.transaction() as connection:
                if await filling.is_filled(connection, name, said.first, said.last, full):
                    covered = said.last
                    continue
            opened = await self._intact(full, open_segment)
            if opened is None:
                continue
            segment, data = opened
            if named is not None and any(named.contradicts(name, row.seq, row.digest) for row in segment.rows):
                self.report.passed_over.append(full)
                continue
            if await self._fill(segment, _stored_segment(segment, data, self._now_ms)):
                covered = said.last

    async def _fill(self, segment: Segment, noted: Stored) -> bool:
        """Add the rows of a segment that lack. Returns False when it contradicts what is there."""
        self._wanted_documents |= set(segment.documents)
        self._before[segment.log, segment.first - 1] = segment.before
        try:
            async with self._owner.transaction() as connection:
                before = START
                if segment.first > 1:
                    before = await rows.digest_at(connection, segment.log, segment.first - 1) or segment.before
                if before != segment.before:
                    self.report.passed_over.append(segment.name)
                    return False
                added = await filling.fill(connection, segment)
                if added is None:
                    self.report.passed_over.append(segment.name)
                    return False
                await rows.replace_inside(connection, noted)
        except psycopg.errors.IntegrityError as error:
            # a catalogue that lacks, or another version of a record written meanwhile: said, and nothing was changed
            log.error("segment %s does not fit: %s", segment.name, error.sqlstate)
            self.report.passed_over.append(segment.name)
            return False
        self.report.rows[segment.log] += added
        return True

    async def _settle(self, named: NamedWrites) -> None:
        """Say what the journal names and nobody holds; its numbers are not given again."""
        for name in LOGS:
            async with self._owner.transaction() as connection:
                difference = await compare(connection, named, name)
                self.report.other[name] = difference.other
                newest = named.newest(name)
                head = await rows.head_of(connection, name)
                gaps = await filling.gaps(connection, name, max(head.seq, newest.last if newest else 0))
                await filling.forget_holes(connection, name)
                for first, last in gaps:
                    write = named.writes[name].get(last)
                    digest = write.digest if write is not None else self._before.get((name, last))
                    if digest is not None:
                        await filling.add_hole(connection, name, first, End(last, digest))
                self.report.lacking[name] = gaps
                if newest is not None:
                    await filling.raise_head(connection, name, End(newest.last, newest.digest), newest.at_ms)

    # -- copies

    async def _intact(self, full: str, opening: Callable[..., T]) -> tuple[T, bytes] | None:
        """What opens of a name, from the first site whose copy is intact."""
        for site in self._holders[full]:
            try:
                data = await asyncio.to_thread(site.get, full)
                return await asyncio.to_thread(opening, data, self._keys, name=full), data
            except SegmentBrokenError as error:
                self.report.damaged.append(f"{site.name}: {full} ({error.facts['reason']})")
            except HygieError as error:
                self.report.damaged.append(f"{site.name}: {full} ({error.code})")
        return None


def _stored_segment(segment: Segment, data: bytes, now_ms: int) -> Stored:
    sha256 = hashlib.sha256(data).digest()
    numbers = (segment.first, segment.last)
    return Stored(segment.name, segment.log, *numbers, segment.digest, segment.plain, now_ms, sha256, len(data))


def _stored_file(full: str, kind: str, digest: bytes, plain: int, data: bytes) -> Stored:
    return Stored(full, kind, None, None, digest, plain, None, hashlib.sha256(data).digest(), len(data))
