"""Where canaries are sought: files of the data folder, rows as a dump reads them, indexes of other environments.

Bounded at each turn. A file is read again when it has changed; a table is read by ranges of pages, from where the turn
before stopped; what held a word is looked at again at every turn, until it is gone.
"""

from __future__ import annotations

import os
import re
import stat
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

from hygie.database.pool import Database
from hygie.probes.canaries.record import Canary
from hygie.probes.disk import frames_in
from hygie.probes.needles import CHUNK_BYTES, compile_needles

FILES_BYTES_MAX = 256 << 20  # of one turn: a quiet installation is read whole, a busy one in several turns
FILES_S_MAX = 15.0
ROWS_BYTES_MAX = 64 << 20
ROWS_S_MAX = 15.0
PAGES_AT_ONCE = 1_024  # 8 MiB of rows, read by the numbers of their pages
REMEMBERED_MAX = 200_000  # files: an entry takes some 200 bytes
SEALED_FOLDERS = frozenset({"packs", "blobs"})  # ciphertext by the million, of which tech-1.plaintext reads samples
ARCHIVES = (".zip", ".xlsx")
MEMBER_BYTES_MAX = 64 << 20

_TABLES = (
    "SELECT n.nspname, c.relname, greatest(pg_relation_size(c.oid) / 8192, 1)::bigint FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm')"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2"
)


class Finder:
    """Every word of some canaries, sought at once. Canaries beyond its bytes: none."""

    def __init__(self, canaries: Sequence[Canary]) -> None:
        self._owner = {needle: canary.name for canary in canaries for needle in canary.needles()}
        self._pattern, self.longest = compile_needles(self._owner)

    def seek(self, data: bytes) -> str | None:
        """The name of a canary whose word is in some bytes, as they are or in a compressed frame of them."""
        found = self._pattern.search(data)
        if found is None:
            found = next((hit for opened in frames_in(data) if (hit := self._pattern.search(opened))), None)
        return self._named(found) if found is not None else None

    def works(self) -> bool:
        """Whether it sees a word that it knows: one that sees nothing must not look like a clean place."""
        needle = next(iter(self._owner))
        return self.seek(os.urandom(100) + needle) is not None and self.seek(os.urandom(100)) is None

    def _named(self, found: re.Match[bytes]) -> str:
        at = found.start()  # the first byte of the needle is what the pattern consumes
        text = found.string[at : at + self.longest]
        return next(name for needle, name in self._owner.items() if text.startswith(needle))


@dataclass(slots=True)
class Read:
    """What one turn read. found: (place, canary); left: what the bounds left for later; failed: what refused."""

    count: int = 0
    bytes: int = 0
    found: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0
    failed: list[str] = field(default_factory=list)


class Files:
    """Files below some folders, followed from turn to turn. Args: roots: name → folder; passed: folders left out."""

    def __init__(self, roots: dict[str, Path], passed: Iterable[Path]) -> None:
        self._roots = roots
        self._passed = {str(path) for path in passed}
        self._seen: dict[str, tuple[int, int, str]] = {}  # path → (mtime, size, canary found in it)

    def read(self, finder: Finder) -> Read:
        """One turn: what changed, newest first. Blocks for some seconds at most."""
        report, until = Read(), time.monotonic() + FILES_S_MAX
        waiting: list[tuple[int, int, str, str]] = []
        present: dict[str, tuple[int, int, str]] = {}
        for name, path, mtime, size in self._files():
            known = self._seen.get(path)
            if known is not None and known[:2] == (mtime, size) and not known[2]:
                present[path] = known
            else:
                waiting.append((-mtime, size, path, name))
        for newest, size, path, name in sorted(waiting):
            if report.bytes >= FILES_BYTES_MAX or time.monotonic() > until:
                report.left += 1
                continue
            try:
                canary = _in_file(Path(path), finder)
            except FileNotFoundError:
                continue  # gone meanwhile
            except OSError as error:
                report.failed.append(f"{name}: {type(error).__name__}")
                continue
            report.count += 1
            report.bytes += size
            if canary:
                report.found.append((name, canary))
            if len(present) < REMEMBERED_MAX:
                present[path] = (-newest, size, canary)
        self._seen = present
        return report

    def forget(self) -> None:
        """Other words are sought from now on."""
        self._seen = {}

    def _files(self) -> Iterator[tuple[str, str, int, int]]:
        """(name for people, path, time of change in ns, bytes); links are not followed."""
        seen: set[str] = set()
        for label, root in self._roots.items():
            for folder, folders, names in os.walk(root):
                folders[:] = [
                    one for one in folders if one not in SEALED_FOLDERS and f"{folder}/{one}" not in self._passed
                ]
                for name in names:
                    path = f"{folder}/{name}"
                    try:
                        status = Path(path).lstat()
                    except OSError:
                        continue
                    if stat.S_ISREG(status.st_mode) and path not in seen:
                        seen.add(path)
                        told = f"{label}/{Path(path).relative_to(root).as_posix()}"
                        yield told, path, status.st_mtime_ns, status.st_size


def _in_file(path: Path, finder: Finder) -> str:
    if path.suffix in ARCHIVES:
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.file_size <= MEMBER_BYTES_MAX:
                        with archive.open(member) as file:
                            if canary := _in_stream(file, finder):
                                return canary
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):  # not one, or one that a password closes
            return _in_plain(path, finder)
    return _in_plain(path, finder)


def _in_plain(path: Path, finder: Finder) -> str:
    with path.open("rb") as file:
        return _in_stream(file, finder)


def _in_stream(file: IO[bytes], finder: Finder) -> str:
    tail = b""
    while chunk := file.read(CHUNK_BYTES):
        if canary := finder.seek(tail + chunk):
            return canary
        tail = chunk[-finder.longest :]
    return ""


class Rows:
    """Tables as a dump reads them, by ranges of pages, followed from turn to turn."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._held: set[tuple[str, str, int]] = set()

    async def read(self, database: Database, finder: Finder) -> Read:
        """One turn: each range that held a word, then each table from where it was left."""
        report, until = Read(), time.monotonic() + ROWS_S_MAX
        async with database.transaction() as connection:
            tables = await (await connection.execute(_TABLES)).fetchall()
        known = {(schema, table) for schema, table, _ in tables}
        for one in sorted(self._held):
            self._held.discard(one)
            if one[:2] in known:
                await self._range(database, finder, report, one)
        for schema, table, pages in tables:
            name = f"{schema}.{table}"
            at = self._next.get(name, 0)
            while at < pages:
                if report.bytes >= ROWS_BYTES_MAX or time.monotonic() > until:
                    report.left += 1
                    break
                if (schema, table, at) not in self._held:
                    await self._range(database, finder, report, (schema, table, at))
                at += PAGES_AT_ONCE
            self._next[name] = at if at < pages else 0
        return report

    async def _range(self, database: Database, finder: Finder, report: Read, place: tuple[str, str, int]) -> None:
        schema, table, page = place
        statement = sql.SQL("COPY (SELECT * FROM {} WHERE ctid >= {} AND ctid < {}) TO STDOUT (FORMAT binary)").format(
            sql.Identifier(schema, table), sql.Literal(f"({page},0)"), sql.Literal(f"({page + PAGES_AT_ONCE},0)")
        )
        tail, hit = b"", ""
        try:
            async with database.transaction() as connection, connection.cursor().copy(statement) as copy:
                async for data in copy:
                    report.bytes += len(data)
                    hit = hit or finder.seek(tail + bytes(data)) or ""
                    tail = (tail + bytes(data))[-finder.longest :]
        except psycopg.Error as error:
            report.failed.append(f"{schema}.{table}: {error.sqlstate or 'error'}")
            return
        report.count += 1
        if hit:
            self._held.add(place)
            report.found.append((f"{schema}.{table}", hit))


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
