"""Point reads: those that wait share one lookup, one hop to the sites, one journal COPY and one COMMIT.

The order is the invariant: located, opened, **journaled durably**, answered.  If the entry cannot be written, the
COMMIT fails and nothing is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hygie.base.clock import Clock
from hygie.base.errors import HygieError, NotFoundError, UnavailableError
from hygie.base.permit import Permit
from hygie.database.hot import HotConnections
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.vault import catalogue
from hygie.vault.catalogue import LocatedRow
from hygie.vault.context import EnvironmentContext
from hygie.vault.entries import access_entry
from hygie.vault.errors import CompartmentErasedError, ObjectDeletedError
from hygie.vault.model import Stored
from hygie.vault.reading import open_rows

GROUP_MAX = 64  # reads in one transaction
GROUPS_IN_FLIGHT = 2  # while one commits, the next is looked up
QUEUE_MAX = 2_000


@dataclass(slots=True)
class _Waiting:
    permit: Permit
    type: str
    object_id: bytes
    version: int | None
    answer: asyncio.Future[Stored]


class Reader:
    """Reads of one environment in one process."""

    def __init__(
        self, context: EnvironmentContext, *, database: HotConnections, journal: JournalWriter, clock: Clock
    ) -> None:
        self._context = context
        self._database = database
        self._journal = journal
        self._clock = clock
        self._queue: list[_Waiting] = []
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, permit: Permit, type_: str, id_: str, version: int | None = None) -> Stored:
        """The current version, or a given one.

        Raises: NotFoundError; ObjectDeletedError; CompartmentErasedError; UnavailableError: not journaled, so not
        answered.
        """
        if len(self._queue) >= QUEUE_MAX:
            raise UnavailableError(part="vault")
        answer: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(permit, type_, self._context.index.object_id(type_, id_), version, answer))
        self._start()
        return await answer

    def _start(self) -> None:
        if self._running < GROUPS_IN_FLIGHT and self._queue:
            self._running += 1
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        try:
            while self._queue:
                group, self._queue = self._queue[:GROUP_MAX], self._queue[GROUP_MAX:]
                await self._serve(group)
        finally:
            self._running -= 1

    async def _serve(self, group: list[_Waiting]) -> None:
        results: list[Stored | HygieError] = []
        try:
            async with self._database.transaction(self._context.place.role) as connection:
                rows = await self._locate(connection, group)
                results = await self._open(group, rows)
                at_ms = self._clock.now_ms()
                await self._journal.append(
                    connection,
                    [_entry(w, row, result, at_ms) for w, row, result in zip(group, rows, results, strict=True)],
                )
        except HygieError as error:
            results = [error] * len(group)
        except Exception:
            results = [UnavailableError(part="vault")] * len(group)
            raise
        finally:
            for waiting, result in zip(group, results, strict=True):
                if waiting.answer.done():
                    continue
                if isinstance(result, HygieError):
                    waiting.answer.set_exception(result)
                else:
                    waiting.answer.set_result(result)

    async def _locate(self, connection: catalogue.Reading, group: Sequence[_Waiting]) -> list[LocatedRow | None]:
        current = [w.object_id for w in group if w.version is None]
        versions = [(w.object_id, w.version) for w in group if w.version is not None]
        now = await catalogue.located_current(connection, current) if current else {}
        past = await catalogue.located_versions(connection, versions) if versions else {}
        return [now.get(w.object_id) if w.version is None else past.get((w.object_id, w.version)) for w in group]

    async def _open(self, group: Sequence[_Waiting], rows: Sequence[LocatedRow | None]) -> list[Stored | HygieError]:
        """Open each; a damaged object fails alone."""
        located = [row for row in rows if row is not None]
        permit = group[0].permit
        try:
            opened = dict(
                zip(
                    (row.seq for row in located),
                    await open_rows(self._context, permit, located, reason="read"),
                    strict=True,
                )
            )
        except HygieError as error:
            if len(group) == 1:
                return [error]
            # One of the group cannot be had: each alone, so that it fails alone.
            alone: list[Stored | HygieError] = []
            for waiting, row in zip(group, rows, strict=True):
                alone += await self._open([waiting], [row])
            return alone
        return [_result(row, opened.get(row.seq) if row is not None else None) for row in rows]


def _result(row: LocatedRow | None, stored: Stored | None) -> Stored | HygieError:
    if row is None:
        return NotFoundError()
    if stored is None:
        return CompartmentErasedError()
    if stored.deleted:
        return ObjectDeletedError(version=stored.version)
    return stored


def _entry(waiting: _Waiting, row: LocatedRow | None, result: Stored | HygieError, at_ms: int) -> Entry:
    if row is None:
        item = (waiting.type, waiting.object_id, waiting.version or 0)
        return access_entry(waiting.permit, at_ms, outcome="absent", items=[item], count=0)
    item = (waiting.type, row.object_id, row.version)
    failed = isinstance(result, HygieError)
    return access_entry(
        waiting.permit,
        at_ms,
        outcome="absent" if failed else "done",
        subject=row.compartment,
        items=[item],
        count=0 if failed else 1,
        detail={"code": result.code} if isinstance(result, HygieError) else None,
    )
