"""Contents too large for a pack: sealed chunks of their own on the sites, named by the object in its pack.

Source: docs/formats/blob.md v1.  A chunk authenticates its blob, its rank and whether it is the last, so chunks cannot
be reordered, cut off or moved.  Chunks become durable on a quorum before the object that names them is written: an
upload that ends half-way leaves only chunks that nothing names, and catch-up sets them aside.  It is in the journal
before its patient's key is asked for (*intent*): it may last hours, and never come to the write that is its outcome.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence

from hygie.base.canonical import canonical
from hygie.base.clock import Clock
from hygie.base.errors import RefusedError
from hygie.base.permit import Permit, Place
from hygie.base.seal import OVERHEAD_BYTES, SealBrokenError, open_sealed, seal
from hygie.database.pool import Database
from hygie.journal.writer import JournalWriter
from hygie.vault import catalogue
from hygie.vault.compartments import CompartmentRow
from hygie.vault.context import EnvironmentContext
from hygie.vault.entries import access_entry
from hygie.vault.errors import CompartmentErasedError, ObjectDamagedError, ObjectTooLargeError
from hygie.vault.model import STREAM_BYTES_MAX, Blob, NewObject, Stored
from hygie.vault.patient_sets import opened_by
from hygie.vault.planning_sets import check_patients
from hygie.vault.tokens import lock_key

CHUNK_BYTES = 4 * 1024 * 1024  # one chunk is in memory once per upload; 256 of them make a content of 1 GiB
CHUNKS_IN_FLIGHT = 2  # sealed chunks being placed while the next one is received


def chunk_name(environment_id: bytes, blob_id: bytes, number: int) -> str:
    """The chunk's name on sites and backup targets."""
    return f"blobs/{environment_id.hex()}/{blob_id.hex()}/{number:04d}"


class StreamedObject:
    """A chunked content, read by ranges. Made once the read is journaled."""

    def __init__(self, context: EnvironmentContext, blob: Blob, key: bytes) -> None:
        self._context = context
        self._blob = blob
        self._key = key

    @property
    def size_bytes(self) -> int:
        """Size of the plaintext."""
        return self._blob.size_bytes

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` to ``stop`` (exclusive), piece by piece.

        Raises: ObjectDamagedError: no site has a chunk that opens (the stream then ends short of its length).
        """
        for number in range(start // CHUNK_BYTES, (max(stop, start + 1) - 1) // CHUNK_BYTES + 1):
            plain = await self._chunk(number)
            base = number * CHUNK_BYTES
            piece = plain[max(0, start - base) : stop - base]
            if piece:
                yield piece

    async def _chunk(self, number: int) -> bytes:
        place = self._context.place
        name = chunk_name(place.environment_id, self._blob.blob_id, number)
        length = min(CHUNK_BYTES, self._blob.size_bytes - number * CHUNK_BYTES) + OVERHEAD_BYTES
        meaning = chunk_meaning(self._context.place, self._blob, number)
        (box,) = await self._context.sites.read_many([(name, 0, length)])
        if box is not None:
            try:
                return await asyncio.to_thread(open_sealed, box, key=self._key, meaning=meaning, bytes_max=CHUNK_BYTES)
            except SealBrokenError:
                pass  # another site's copy is tried below; scrub mends this one
        async for _, other in self._context.sites.copies(name, 0, length):
            try:
                return open_sealed(other, key=self._key, meaning=meaning, bytes_max=CHUNK_BYTES)
            except SealBrokenError:
                continue
        raise ObjectDamagedError(part="chunk")


class BlobStore:
    """Receives and opens chunked contents of one environment."""

    def __init__(
        self, context: EnvironmentContext, *, database: Database, journal: JournalWriter, clock: Clock
    ) -> None:
        self._context = context
        self._database = database
        self._journal = journal
        self._clock = clock

    async def receive(
        self,
        permit: Permit,
        type_: str,
        id_: str,
        chunks: AsyncIterator[bytes],
        *,
        header: bytes,
        terms: Sequence[str],
        patients: tuple[str, ...],
        new: bool,
        if_version: int | None,
    ) -> NewObject:
        """Seal and place a content as it comes; the object that names it is to be written next.

        Raises: ObjectTooLargeError; RefusedError: a patient that the permit does not open; CompartmentErasedError: its
        patient has no live compartment; UnavailableError; SiteQuorumError: nothing was written.
        """
        row = await self._compartment(permit, patients)
        compartment, item = row.compartment, (type_, self._context.index.object_id(type_, id_), 0)
        await self._journal.append_now(
            [access_entry(permit, self._clock.now_ms(), outcome="intent", subject=compartment, items=[item], count=0)]
        )
        key = (await self._context.compartments.keys([row], permit_id=permit.permit_id, reason="stream"))[compartment]
        blob_id = os.urandom(16)
        size = number = 0
        rows: list[tuple[int, bytes, int]] = []
        placing: list[asyncio.Task[None]] = []
        try:
            async for piece, last in _pieces(chunks):
                size += len(piece)
                if size > STREAM_BYTES_MAX:
                    raise ObjectTooLargeError(limit_bytes=STREAM_BYTES_MAX)
                meaning = _meaning(self._context.place, compartment, blob_id, number, last=last)
                box = await asyncio.to_thread(seal, piece, key=key, meaning=meaning, compress=False)
                rows.append((number, hashlib.sha256(box).digest(), len(box)))
                placing.append(asyncio.create_task(self._place(blob_id, number, box)))
                if len(placing) >= CHUNKS_IN_FLIGHT:
                    await placing.pop(0)
                number += 1
            await asyncio.gather(*placing)
        except BaseException:
            for task in placing:
                task.cancel()
            raise
        blob = Blob(blob_id, compartment, size, number)
        return NewObject(type_, id_, header, terms, patients, new=new, if_version=if_version, blob=blob, chunks=rows)

    async def open(self, permit: Permit, stored: Stored) -> StreamedObject:
        """The content that an object names.

        Raises: CompartmentErasedError.
        """
        assert stored.blob is not None
        async with self._database.transaction(self._context.place.role) as connection:
            rows = await self._context.compartments.by_id(connection, [stored.blob.compartment])
        if not rows:
            raise CompartmentErasedError()
        keys = await self._context.compartments.keys(list(rows.values()), permit_id=permit.permit_id, reason="stream")
        return StreamedObject(self._context, stored.blob, keys[stored.blob.compartment])

    async def _compartment(self, permit: Permit, patients: tuple[str, ...]) -> CompartmentRow:
        """The live compartment that an object of these patients would be written to."""
        kind, subject = self._context.index.owner(patients)
        async with self._database.transaction(self._context.place.role) as connection:
            opened = opened_by(self._context.index, permit.patients, self._clock.now_ms())
            if opened is not None:  # refused before a byte is taken; the writer looks again
                if not patients:
                    raise RefusedError()
                await check_patients(connection, self._context.index, opened, patients)
            await catalogue.lock(connection, [lock_key(subject)])
            found = await self._context.compartments.live(connection, [subject])
            if subject in found:
                return found[subject]
            if kind == 2:
                raise CompartmentErasedError()
            return await self._context.compartments.create(connection, subject, kind=kind)

    async def _place(self, blob_id: bytes, number: int, box: bytes) -> None:
        await self._context.sites.place(chunk_name(self._context.place.environment_id, blob_id, number), box)


def chunk_meaning(place: Place, blob: Blob, number: int) -> bytes:
    """What a chunk authenticates: moved, reordered or cut off, it does not open."""
    return _meaning(place, blob.compartment, blob.blob_id, number, last=number == blob.chunks - 1)


def _meaning(place: Place, compartment: bytes, blob_id: bytes, number: int, *, last: bool) -> bytes:
    return canonical("blob", place.tenant_id, place.environment_id, compartment, blob_id, number, int(last))


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[bytes, bool]]:
    """Regroup what arrives into pieces of ``CHUNK_BYTES``; the flag tells the last one (possibly empty)."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) > CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES]), False
            del held[:CHUNK_BYTES]
    yield bytes(held), True
