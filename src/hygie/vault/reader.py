"""Point reads: those that wait share one lookup, one hop to the sites, one journal COPY and one COMMIT.

The order is the invariant: located, opened, **journaled durably**, answered.  If the entry cannot be written, the
COMMIT fails and nothing is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hygie.base.clock import Clock
from hygie.base.errors import HygieError, NotFoundError
from hygie.base.permit import Permit
from hygie.database.hot import HotConnections
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.errors import KmsUnavailableError
from hygie.vault import catalogue
from hygie.vault.catalogue import LocatedRow
from hygie.vault.context import EnvironmentContext
from hygie.vault.entries import access_entry
from hygie.vault.errors import CompartmentErasedError, ObjectDeletedError
from hygie.vault.grouping import Grouping
from hygie.vault.model import Stored
from hygie.vault.reading import open_rows

GROUP_MAX = 64  # reads in one transaction


@dataclass(frozen=True, slots=True)
class _Waiting:
    permit: Permit
    type: str
    object_id: bytes
    version: int | None


class Reader:
    """Reads of one environment in one process."""

    def __init__(
        self, context: EnvironmentContext, *, database: HotConnections, journal: JournalWriter, clock: Clock
    ) -> None:
        self._context = context
        self._database = database
        self._journal = journal
        self._clock = clock
        self._group: Grouping[_Waiting, Stored] = Grouping(self._serve, size=GROUP_MAX)

    async def read(self, permit: Permit, type_: str, id_: str, version: int | None = None) -> Stored:
        """The current version, or a given one.

        Raises: NotFoundError; ObjectDeletedError; CompartmentErasedError; UnavailableError: not journaled, so not
        answered.
        """
        return await self._group.submit(_Waiting(permit, type_, self._context.index.object_id(type_, id_), version))

    async def _serve(self, group: list[_Waiting]) -> list[Stored | HygieError]:
        async with self._database.transaction(self._context.place.role) as connection:
            rows = await self._locate(connection, group)
            results = await self._open(group, rows)
            at_ms = self._clock.now_ms()
            await self._journal.append(
                connection,
                [_entry(w, row, result, at_ms) for w, row, result in zip(group, rows, results, strict=True)],
            )
        return results

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
        except KmsUnavailableError as error:
            # Asking once for each would wait as long each time.
            return [error if row is not None and row.wrap is not None else _result(row, None) for row in rows]
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
