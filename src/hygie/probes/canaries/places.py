"""Where canaries are sought: files of the data folder, rows as a dump reads them, indexes of other environments.

Bounded at each turn. A file is read again when it has changed; tables are read by ranges of pages, one of each in turn,
from where the turn before stopped; what held a word is looked at again at every turn, until it is gone. What was not
read, or not opened to its end, is told: a place counts as clean once it was read whole.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from hygie.database.pool import Database
from hygie.probes.canaries.record import Canary
from hygie.probes.canaries.stream import Finder, Stream
from hygie.probes.needles import CHUNK_BYTES

FILES_BYTES_MAX = 256 << 20  # of one turn: a quiet installation is read whole, a busy one in several turns
FILES_S_MAX = 15.0
ROWS_BYTES_MAX = 256 << 20
ROWS_S_MAX = 15.0
PAGES_AT_ONCE = 1_024  # 8 MiB of rows, read by the numbers of their pages
REMEMBERED_MAX = 200_000  # files: an entry takes some 200 bytes
SEALED_FOLDERS = frozenset({"packs", "blobs"})  # ciphertext by the million, of which tech-1.plaintext reads samples

_TABLES = (
    "SELECT n.nspname, c.relname, greatest(pg_relation_size(c.oid) / 8192, 1)::bigint FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm')"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2"
)

Table = tuple[str, str]  # schema, name


@dataclass(slots=True)
class Read:
    """What one turn read. count: files, or parts of tables; found: (place, canary); left: files, or tables, that were
    not read whole; closed: those of them whose frames were not opened to their end; failed: what refused."""

    count: int = 0
    bytes: int = 0
    found: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0
    closed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class _Known(NamedTuple):
    """A file as it was read. canary: found in it; closed: it was not opened to its end."""

    mtime: int
    size: int
    canary: str
    closed: bool


class _Waiting(NamedTuple):
    """A file to read, in the order of reading: what held a word, then the newest."""

    clean: bool
    newest: int
    size: int
    path: str
    name: str


class Files:
    """Files below some folders, followed from turn to turn. Args: roots: name → folder; passed: folders left out."""

    def __init__(self, roots: dict[str, Path], passed: Iterable[Path]) -> None:
        self._roots = roots
        self._passed = {str(path) for path in passed}
        self._seen: dict[str, _Known] = {}

    def read(self, finder: Finder) -> Read:
        """One turn: what changed, newest first. Blocks for some seconds at most."""
        report, until = Read(), time.monotonic() + FILES_S_MAX
        waiting: list[_Waiting] = []
        present: dict[str, _Known] = {}
        for name, path, mtime, size in self._files(report):
            known = self._seen.get(path)
            if known is not None and known[:2] == (mtime, size) and not known.canary:
                present[path] = known
                if known.closed:
                    _tell_closed(report, name)
            else:
                waiting.append(_Waiting(known is None or not known.canary, -mtime, size, path, name))
        for one in sorted(waiting):
            if report.bytes >= FILES_BYTES_MAX or time.monotonic() > until:
                report.left += 1
                if not one.clean:  # nothing says that it is gone
                    present[one.path] = self._seen[one.path]
                    report.found.append((one.name, self._seen[one.path].canary))
                continue
            found = _read_file(one, finder, report)
            if found is not None and len(present) < REMEMBERED_MAX:
                present[one.path] = found
        self._seen = present
        return report

    def forget(self) -> None:
        """Other words are sought from now on."""
        self._seen = {}

    def _files(self, report: Read) -> Iterator[tuple[str, str, int, int]]:
        """(name for people, path, time of change in ns, bytes); links are not followed, what cannot be read is told."""
        seen: set[str] = set()
        for label, root in self._roots.items():
            refused: list[OSError] = []
            for folder, folders, names in os.walk(root, onerror=refused.append):
                folders[:] = [
                    name for name in folders if name not in SEALED_FOLDERS and f"{folder}/{name}" not in self._passed
                ]
                for name in names:
                    path = f"{folder}/{name}"
                    try:
                        status = Path(path).lstat()
                    except OSError as error:
                        refused.append(error)
                        continue
                    if stat.S_ISREG(status.st_mode) and path not in seen:
                        seen.add(path)
                        yield _named(label, root, path), path, status.st_mtime_ns, status.st_size
            for one in refused:
                if not isinstance(one, FileNotFoundError) and one.filename not in seen:  # gone meanwhile, or told
                    seen.add(one.filename)
                    report.failed.append(f"{_named(label, root, one.filename)}: {type(one).__name__}")


def _named(label: str, root: Path, path: str) -> str:
    """A path for people: names of files are any bytes, what is kept is text."""
    told = f"{label}/{Path(path).relative_to(root).as_posix()}"
    return told.encode("utf-8", "backslashreplace").decode()


def _tell_closed(report: Read, name: str) -> None:
    report.left += 1
    report.closed.append(name)


def _read_file(one: _Waiting, finder: Finder, report: Read) -> _Known | None:
    """What a file holds, in the report too; None: it is gone, or cannot be read."""
    stream, canary = Stream(finder), ""
    try:
        with Path(one.path).open("rb") as file:
            while not canary and (chunk := file.read(CHUNK_BYTES)):
                report.bytes += len(chunk)
                canary = stream.feed(chunk)
    except FileNotFoundError:
        return None
    except OSError as error:
        report.failed.append(f"{one.name}: {type(error).__name__}")
        return None
    report.count += 1
    report.bytes += stream.opened
    if canary:
        report.found.append((one.name, canary))
    elif stream.closed:
        _tell_closed(report, one.name)
    return _Known(-one.newest, one.size, canary, stream.closed)


class Rows:
    """Tables as a dump reads them, by ranges of pages, followed from turn to turn.

    Each turn goes on after the table where the one before stopped, and reads one range of each table before the next
    one of any: a table of ten gigabytes takes hours, and no other waits for it.
    """

    def __init__(self) -> None:
        self._last: Table = ("", "")
        self._next: dict[Table, int] = {}
        self._whole: set[Table] = set()
        self._spoiled: set[Table] = set()  # a range of the pass under way was not read, or not opened to its end
        self._held: set[tuple[Table, int]] = set()

    async def read(self, database: Database, finder: Finder) -> Read:
        """One turn: each range that held a word, then the next ranges of all tables. left: tables that were not read
        whole since other words are sought."""
        report, until = Read(), time.monotonic() + ROWS_S_MAX
        async with database.transaction() as connection:
            rows = await (await connection.execute(_TABLES)).fetchall()
        pages: dict[Table, int] = {(schema, table): size for schema, table, size in rows}
        self._held = {one for one in self._held if one[0] in pages}
        for table, page in sorted(self._held):
            await self._range(database, finder, report, table, page)
        order = sorted(pages)
        waiting = deque([*(one for one in order if one > self._last), *(one for one in order if one <= self._last)])
        while waiting and report.bytes < ROWS_BYTES_MAX and time.monotonic() < until:
            self._last = waiting.popleft()
            if not await self._go_on(database, finder, report, self._last, pages[self._last]):
                waiting.append(self._last)
        self._whole &= pages.keys()
        report.left = len(pages) - len(self._whole)
        return report

    def forget(self) -> None:
        """Other words are sought from now on."""
        self._next, self._whole = {}, set()

    async def _go_on(self, database: Database, finder: Finder, report: Read, table: Table, pages: int) -> bool:
        """Read the next range of a table. Returns whether it was its last one."""
        at = self._next.pop(table, 0)
        if at == 0:
            self._spoiled.discard(table)
        if (table, at) not in self._held:
            await self._range(database, finder, report, table, at)
        if at + PAGES_AT_ONCE < pages:
            self._next[table] = at + PAGES_AT_ONCE
            return False
        if table not in self._spoiled:
            self._whole.add(table)
        return True

    def _spoil(self, table: Table) -> None:
        """Left from now on, until a pass over all of it: the one under way may take hours to end."""
        self._spoiled.add(table)
        self._whole.discard(table)

    async def _range(self, database: Database, finder: Finder, report: Read, table: Table, page: int) -> None:
        statement = sql.SQL("COPY (SELECT * FROM {} WHERE ctid >= {} AND ctid < {}) TO STDOUT (FORMAT binary)").format(
            sql.Identifier(*table), sql.Literal(f"({page},0)"), sql.Literal(f"({page + PAGES_AT_ONCE},0)")
        )
        name, stream, data, hit = ".".join(table), Stream(finder), bytearray(), ""
        try:
            async with database.transaction() as connection, connection.cursor().copy(statement) as copy:
                async for row in copy:
                    report.bytes += len(row)
                    data += row
                    if len(data) >= CHUNK_BYTES:
                        hit = hit or await asyncio.to_thread(stream.feed, bytes(data))
                        data.clear()
                hit = hit or await asyncio.to_thread(stream.feed, bytes(data))
        except psycopg.Error as error:
            self._spoil(table)
            report.failed.append(f"{name}: {error.sqlstate or 'error'}")
            return
        report.count += 1
        report.bytes += stream.opened
        if stream.closed:
            self._spoil(table)
            report.closed.append(name)
        if hit:
            self._held.add((table, page))
            report.found.append((name, hit))
        else:
            self._held.discard((table, page))


async def in_other_indexes(database: Database, canaries: Sequence[Canary], indexes: dict[str, Any]) -> Read:
    """Canaries that another environment has indexed, by its own blind tokens: nothing is opened.

    Args: indexes: role of each environment → its blind index.
    """
    report = Read()
    for role, index in indexes.items():
        theirs = [one for one in canaries if one.environment.place.role != role]
        tokens = {token: one.name for one in theirs for token in index.numbers(one.terms())}
        if not tokens:
            continue
        statement = sql.SQL("SELECT tokens FROM {} WHERE current AND tokens && %s LIMIT 8").format(
            sql.Identifier(role, "object")
        )
        async with database.transaction() as connection:
            rows = await (await connection.execute(statement, (list(tokens),))).fetchall()
        report.count += 1
        names = {tokens[token] for (row,) in rows for token in row if token in tokens}
        report.found += [(f"index {role}", name) for name in sorted(names)]
    return report
