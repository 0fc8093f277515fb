"""Durable entries: inside the caller's transaction, or at once in one shared by all that wait (group commit)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from typing import Any

import psycopg

from hygie.base.errors import HygieError
from hygie.journal.entry import Entry, seal_entry, split_entry
from hygie.journal.errors import JournalUnavailableError
from hygie.journal.leaf import month_at
from hygie.journal.protocols import Clock, Later, MonthKeys, Transactions

QUEUE_BYTES_MAX = 16 * 1024 * 1024  # about 35,000 waiting entries: beyond, the database is down or far too slow
GROUP_BYTES_MAX = 2 * 1024 * 1024  # one COPY; keeps a group under some tens of milliseconds
COMMIT_S_MAX = 5.0  # a caller that waits longer is told 503; the faces' own limits are above

# A COPY takes two round trips, a prepared INSERT one: with 8 callers (groups of 4 to 8) 5,400 to 6,400 entries/s
# instead of 4,100 to 5,900. Above some tens of rows COPY's lower cost per row wins.
INSERT_LEAVES_MAX = 32

_COPY = "COPY hygie.journal_pending (leaf) FROM STDIN (FORMAT BINARY)"
_INSERT = "INSERT INTO hygie.journal_pending (leaf) SELECT unnest(%s::bytea[])"
_COPY_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TAIL = b"\xff\xff"
_row = struct.Struct(">hi").pack

_Group = tuple[list[bytes], "asyncio.Future[None]"]


class JournalWriter:
    """One per process. Seals entries and makes them durable; the sealer gives them their index later.

    database: must be opened with a role that may insert into hygie.journal_pending.
    """

    def __init__(self, database: Transactions, month_keys: MonthKeys, clock: Clock) -> None:
        self._database = database
        self._month_keys = month_keys
        self.clock = clock
        self._waiting: list[_Group] = []
        self._waiting_bytes = 0
        self._flusher: asyncio.Task[None] | None = None

    async def leaves(self, entries: Sequence[Entry]) -> list[bytes]:
        """The sealed leaves of entries, in order; an entry with many items becomes several leaves.

        Raises: EntryTooLargeError. JournalUnavailableError: the month key cannot be had.
        """
        keys: dict[tuple[bytes, str, str], bytes] = {}
        leaves: list[bytes] = []
        for entry in entries:
            wanted = (entry.tenant_id, entry.kind, month_at(entry.at_ms))
            key = keys.get(wanted)
            if key is None:
                key = keys[wanted] = await self._month_keys.month_key(*wanted)
            leaves.extend(seal_entry(part, month_key=key) for part in split_entry(entry))
        return leaves

    async def append(self, connection: psycopg.AsyncConnection[Any] | Later, entries: Sequence[Entry]) -> None:
        """Add entries to the caller's transaction: they exist if and only if it commits.

        Raises: EntryTooLargeError; psycopg.Error: the transaction is lost.
        """
        await self.append_leaves(connection, await self.leaves(entries))

    async def append_leaves(self, connection: psycopg.AsyncConnection[Any] | Later, leaves: Sequence[bytes]) -> None:
        """The same for leaves sealed before the locks were taken."""
        if not leaves:
            return
        if isinstance(connection, Later):
            connection.later(_INSERT, (list(leaves),))
            return
        if len(leaves) <= INSERT_LEAVES_MAX:
            await connection.execute(_INSERT, (list(leaves),))
            return
        async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            await copy.write(_copy_body(leaves))

    async def append_now(self, entries: Sequence[Entry]) -> None:
        """Durable at return. Concurrent callers share one transaction.

        Raises: JournalUnavailableError: database down, too slow or saturated; then nothing may be answered
        (the entries may or may not exist). EntryTooLargeError.
        """
        leaves = await self.leaves(entries)
        if not leaves:
            return
        size = sum(map(len, leaves))
        if self._waiting_bytes + size > QUEUE_BYTES_MAX:
            raise JournalUnavailableError(part="queue")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((leaves, done))
        self._waiting_bytes += size
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name="journal-writer")
        await done

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._flusher is not None:
            await self._flusher

    async def _flush(self) -> None:
        """Write groups until nothing waits. A failed group fails all that wait: they would meet the same database."""
        while self._waiting:
            group = self._take_group()
            try:
                async with asyncio.timeout(COMMIT_S_MAX), self._database.transaction() as connection:
                    await self.append_leaves(connection, [leaf for leaves, _ in group for leaf in leaves])
            except (psycopg.Error, OSError, TimeoutError, HygieError) as error:
                self._fail(group, error)
            except BaseException as error:
                self._fail(group, error)
                raise
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)

    def _take_group(self) -> list[_Group]:
        size = taken = 0
        for leaves, _ in self._waiting:
            size += sum(map(len, leaves))
            taken += 1
            if size >= GROUP_BYTES_MAX:
                break
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._waiting_bytes -= size
        return group

    def _fail(self, group: list[_Group], cause: BaseException) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for _, done in (*group, *waiting):
            if not done.done():
                failure = JournalUnavailableError(part="database")
                failure.__cause__ = cause
                done.set_exception(failure)


def _copy_body(leaves: Sequence[bytes]) -> bytes:
    """The whole binary COPY stream, in one write (PostgreSQL documentation, COPY, File Formats, Binary Format)."""
    parts = [_COPY_HEAD]
    for leaf in leaves:
        parts += (_row(1, len(leaf)), leaf)
    parts.append(_COPY_TAIL)
    return b"".join(parts)
