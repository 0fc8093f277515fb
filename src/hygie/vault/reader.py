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
from hygie.vault.entries import Notable, access_entry, nothing_notable
from hygie.vault.errors import CompartmentErasedError, ObjectDeletedError
from hygie.vault.grouping import Grouping
from hygie.vault.model import Stored
from hygie.vault.patient_sets import is_open, opened_by
from hygie.vault.reading import open_located

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
        self,
        context: EnvironmentContext,
        *,
        database: HotConnections,
        journal: JournalWriter,
        clock: Clock,
        notable: Notable = nothing_notable,
    ) -> None:
        self._context = context
        self._database = database
        self._journal = journal
        self._clock = clock
        self._notable = notable
        self._group: Grouping[_Waiting, Stored] = Grouping(self._serve, size=GROUP_MAX)

    async def read(self, permit: Permit, type_: str, id_: str, version: int | None = None) -> Stored:
        """The current version, or a given one.

        Raises: NotFoundError; ObjectDeletedError; CompartmentErasedError; UnavailableError: not journaled, so not
        answered.
        """
        return await self._group.submit(_Waiting(permit, type_, self._context.index.object_id(type_, id_), version))

    async def _serve(self, group: list[_Waiting]) -> list[Stored | HygieError]:
        async with self._database.transaction(self._context.place.role) as connection:
            located = await self._locate(connection, group)
            pairs = list(zip(group, located, strict=True))
            rows = [row if row is not None and self._is_open(waiting, row) else None for waiting, row in pairs]
            results = await self._open(group, rows)
            at_ms = self._clock.now_ms()
            # What is closed is answered as what is not there; the entry says whose record was asked for.
            entries = [
                _closed_entry(waiting, there, at_ms)
                if row is None and there is not None
                else self._entry(waiting, row, result, at_ms)
                for (waiting, there), row, result in zip(pairs, rows, results, strict=True)
            ]
            await self._journal.append(connection, entries)
        return results

    async def _locate(self, connection: catalogue.Reading, group: Sequence[_Waiting]) -> list[LocatedRow | None]:
        """Where each is, closed or not; those who share their limits share their questions."""
        found: dict[int, LocatedRow | None] = {}
        for patients in dict.fromkeys(w.permit.patients for w in group):
            asked = [(rank, w) for rank, w in enumerate(group) if w.permit.patients == patients]
            opened = opened_by(self._context.index, patients, self._clock.now_ms())
            current = [w.object_id for _, w in asked if w.version is None]
            versions = [(w.object_id, w.version) for _, w in asked if w.version is not None]
            now = await catalogue.located_current(connection, current, opened) if current else {}
            past = await catalogue.located_versions(connection, versions, opened) if versions else {}
            for rank, w in asked:
                found[rank] = now.get(w.object_id) if w.version is None else past.get((w.object_id, w.version))
        return [found[rank] for rank in range(len(group))]

    def _entry(self, waiting: _Waiting, row: LocatedRow | None, result: Stored | HygieError, at_ms: int) -> Entry:
        if row is None:
            item = (waiting.type, waiting.object_id, waiting.version or 0)
            return access_entry(waiting.permit, at_ms, outcome="absent", items=[item], count=0)
        failed = isinstance(result, HygieError)
        note = {"code": result.code} if isinstance(result, HygieError) else self._notable(waiting.permit, result)
        return access_entry(
            waiting.permit,
            at_ms,
            outcome="absent" if failed else "done",
            subject=row.compartment,
            items=[(waiting.type, row.object_id, row.version)],
            count=0 if failed else 1,
            detail=dict(note),
        )

    def _is_open(self, waiting: _Waiting, row: LocatedRow) -> bool:
        opened = opened_by(self._context.index, waiting.permit.patients, 0)
        return is_open(self._context.index, opened, row.marks)

    async def _open(self, group: Sequence[_Waiting], rows: Sequence[LocatedRow | None]) -> list[Stored | HygieError]:
        """Open each; a damaged object fails alone."""
        located = [row for row in rows if row is not None]
        permit = group[0].permit
        try:
            opened = dict(
                zip(
                    (row.seq for row in located),
                    await open_located(self._context, permit.permit_id, located, reason="read"),
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


def _closed_entry(waiting: _Waiting, row: LocatedRow, at_ms: int) -> Entry:
    item = (waiting.type, row.object_id, row.version)
    detail = {"code": NotFoundError.code, "closed": "patients"}
    return access_entry(
        waiting.permit, at_ms, outcome="absent", subject=row.compartment, items=[item], count=0, detail=detail
    )
