"""Everything of one environment, version by version, for its return to the controller.

Walked compartment by compartment (one patient after another), so that a key is asked once and the journal says of each
patient that his data left, and how many versions.  The order is the invariant of every read: located, opened,
**journaled durably**, given.  What is written while the walk is under way does not come into it: the walk is bounded by
the last pack that was there when it began.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hygie.base.clock import Clock
from hygie.base.errors import IntegrityError, UnavailableError
from hygie.base.permit import Permit
from hygie.database.pool import Database
from hygie.journal.writer import JournalWriter
from hygie.vault import catalogue
from hygie.vault.catalogue import ExportRow, LocatedRow
from hygie.vault.context import EnvironmentContext
from hygie.vault.entries import read_entries
from hygie.vault.model import Stored
from hygie.vault.reading import open_rows
from hygie.vault.tokens import type_code

_Only = tuple[Sequence[bytes], Sequence[int]] | None

BATCH_ROWS = 512  # one lookup, one journal COPY and one COMMIT for so many versions
SCOPE_COMPARTMENTS = 64  # of a chosen scope, in one walk: their rows are few and their keys are asked together
EPOCH_ATTEMPTS = 3  # an epoch ends once a week
BATCH_BYTES = 4 * 1024 * 1024  # sealed and compressed: a batch of large resources is cut short, so memory stays flat


class ExportBound(NamedTuple):
    """Where an export ends. pack: number of the last pack; packs: how many there are; versions: in the catalogue."""

    pack: int
    packs: int
    versions: int


class CopyScope(NamedTuple):
    """What a copy takes: the current resources of these types, in these compartments."""

    types: Sequence[str]
    compartments: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class ExportedVersion:
    """One version as it leaves. stored: None when it cannot be read: erased, or no site has a copy that opens.

    current: the newest version of its resource inside the bound; object_id, compartment: as the journal names them;
    kind: 0 environment, 1 one patient, 2 several; erased: its compartment's key was destroyed.
    """

    stored: Stored | None
    object_id: bytes
    version: int
    compartment: bytes
    kind: int
    current: bool
    erased: bool


class Exporter:
    """Exports of one environment."""

    def __init__(
        self, context: EnvironmentContext, *, database: Database, journal: JournalWriter, clock: Clock
    ) -> None:
        self._context = context
        self._database = database
        self._journal = journal
        self._clock = clock

    async def bound(self) -> ExportBound:
        """What is committed now; waits for the writes under way."""
        async with self._database.transaction(self._context.place.role) as connection:
            return ExportBound(*await catalogue.export_bound(connection))

    async def compartments(self) -> tuple[list[bytes], list[bytes]]:
        """What a copy may choose from: (those of one patient each, those of nobody), by opaque id."""
        async with self._database.transaction(self._context.place.role) as connection:
            return (
                await catalogue.patient_compartments(connection, type_code("Patient")),
                await catalogue.common_compartments(connection),
            )

    async def walk(self, permit: Permit, bound: ExportBound) -> AsyncIterator[list[ExportedVersion]]:
        """Every version inside the bound, in batches; a batch is journaled when it is given.

        Raises: UnavailableError: not journaled, so not given; KmsUnavailableError.
        """
        async for batch in self._walk(permit, bound, None):
            yield batch

    async def walk_scope(
        self, permit: Permit, bound: ExportBound, scope: CopyScope
    ) -> AsyncIterator[list[ExportedVersion]]:
        """What a scope names of it, and nothing else is opened. Raises: as ``walk``."""
        types = [type_code(one) for one in scope.types]
        for begin in range(0, len(scope.compartments), SCOPE_COMPARTMENTS):
            chosen = scope.compartments[begin : begin + SCOPE_COMPARTMENTS]
            async for batch in self._walk(permit, bound, (chosen, types)):
                yield batch

    async def _walk(self, permit: Permit, bound: ExportBound, only: _Only) -> AsyncIterator[list[ExportedVersion]]:
        position = (b"", -1)
        attempts = 0
        while True:
            try:
                rows, batch = await self._batch(permit, position, bound, only)
            except UnavailableError as error:
                attempts += 1
                if error.facts.get("part") != "epoch" or attempts > EPOCH_ATTEMPTS:
                    raise
                continue  # the epoch ended between rows and keys: the rows say now another wrap
            attempts = 0
            if not rows:
                return
            yield batch
            position = (rows[-1].located.compartment, rows[-1].located.seq)

    async def _batch(
        self, permit: Permit, position: tuple[bytes, int], bound: ExportBound, only: _Only
    ) -> tuple[list[ExportRow], list[ExportedVersion]]:
        """Locate, open, journal; what is returned is journaled durably."""
        async with self._database.transaction(self._context.place.role) as connection:
            found = await catalogue.export_rows(connection, position, bound.pack, limit=BATCH_ROWS, only=only)
            rows = _cut(found)
            batch = await self._open(permit, rows)
            shown = [(one.compartment, (one.stored.type, one.object_id, one.version)) for one in batch if one.stored]
            if shown:
                await self._journal.append(connection, read_entries(permit, self._clock.now_ms(), shown))
        return rows, batch

    async def _open(self, permit: Permit, rows: Sequence[ExportRow]) -> list[ExportedVersion]:
        located = [row.located for row in rows]
        try:
            opened = await open_rows(self._context, permit, located, reason="export")
        except IntegrityError:
            opened = [await self._open_alone(permit, row) for row in located]
        return [
            ExportedVersion(
                stored,
                row.located.object_id,
                row.located.version,
                row.located.compartment,
                row.kind,
                row.current,
                row.located.wrap is None,
            )
            for row, stored in zip(rows, opened, strict=True)
        ]

    async def _open_alone(self, permit: Permit, row: LocatedRow) -> Stored | None:
        """One version of a batch of which one is damaged: the others must not be lost with it."""
        try:
            return (await open_rows(self._context, permit, [row], reason="export"))[0]
        except IntegrityError:
            return None  # named by the caller as one that could not be returned


def _cut(rows: list[ExportRow]) -> list[ExportRow]:
    """The first rows that fit in ``BATCH_BYTES``, one at least."""
    size = 0
    for rank, row in enumerate(rows):
        size += row.located.length
        if size > BATCH_BYTES and rank:
            return rows[:rank]
    return rows
