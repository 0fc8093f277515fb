"""The door of the vault. Every method takes a permit, and does only what the permit was given for.

Plaintext enters here to be sealed and leaves here once its journal entry is durable; nothing below this room ever
holds any.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError, RefusedError
from hygie.base.permit import Permit, Place
from hygie.database.hot import HotConnections
from hygie.database.pool import Database
from hygie.journal.writer import JournalWriter
from hygie.keys.cache import CompartmentKeys
from hygie.keys.kms import Kms
from hygie.sites.placement import SiteSet
from hygie.vault.blobs import BlobStore, StreamedObject
from hygie.vault.context import EnvironmentContext, load_context
from hygie.vault.entries import Notable, nothing_notable, refusal_entry
from hygie.vault.exporting import CopyScope, ExportBound, ExportedVersion, Exporter
from hygie.vault.identities import PRODUCTION
from hygie.vault.model import Page, Query, Stored, WriteRequest, Written
from hygie.vault.reader import Reader
from hygie.vault.search import Searcher
from hygie.vault.writer import Writer

_STREAMED = (Action.OBJECT_CREATE, Action.OBJECT_UPDATE)


@dataclass(frozen=True, slots=True)
class _Rooms:
    """One environment, as this process serves it."""

    context: EnvironmentContext
    writer: Writer
    reader: Reader
    searcher: Searcher
    blobs: BlobStore
    exporter: Exporter


class Vault:
    """One per hosting process."""

    def __init__(
        self,
        *,
        database: Database,
        hot: HotConnections,
        kms: Kms,
        sites: SiteSet,
        journal: JournalWriter,
        clock: Clock,
        notable: Notable = nothing_notable,
    ) -> None:
        self._database = database
        self._hot = hot
        self._kms = kms
        self._sites = sites
        self._journal = journal
        self._clock = clock
        self._notable = notable
        self._cache = CompartmentKeys(kms)
        self._rooms: dict[bytes, asyncio.Task[_Rooms]] = {}

    async def write(self, permit: Permit, request: WriteRequest) -> list[Written]:
        """Store all of a request or none of it; durable on a quorum of sites and journaled at return.

        The change that each object turns out to be (create, update, delete) must be one the permit allows.
        Raises: see ``Writer.submit``; RefusedError.
        """
        rooms = await self._rooms_of(permit.place)
        return await rooms.writer.submit(permit, request)

    async def read(self, permit: Permit, type_: str, id_: str) -> Stored:
        """The current version. Raises: see ``Reader.read``."""
        return await (await self._admitted(permit, Action.OBJECT_READ, type_)).reader.read(permit, type_, id_)

    async def read_version(self, permit: Permit, type_: str, id_: str, version: int) -> Stored:
        """A given version. Raises: see ``Reader.read``."""
        return await (await self._admitted(permit, Action.OBJECT_READ, type_)).reader.read(permit, type_, id_, version)

    async def history(
        self,
        permit: Permit,
        type_: str | None,
        id_: str | None,
        *,
        count: int,
        cursor: str | None = None,
        since_ms: int = 0,
    ) -> Page:
        """Versions, newest first, of one object, a type, or the environment. Raises: see ``Searcher.history``."""
        rooms = await self._admitted(permit, Action.OBJECT_HISTORY, *([type_] if type_ is not None else ()))
        return await rooms.searcher.history(permit, type_=type_, id_=id_, count=count, cursor=cursor, since_ms=since_ms)

    async def search(self, permit: Permit, query: Query) -> Page:
        """One page of matches. Raises: see ``Searcher.search``."""
        rooms = await self._admitted(permit, Action.OBJECT_SEARCH, *query.types)
        return await rooms.searcher.search(permit, query, digest=_digest(query))

    async def write_stream(
        self,
        permit: Permit,
        type_: str,
        id_: str,
        chunks: AsyncIterator[bytes],
        *,
        header: bytes,
        terms: Sequence[str] = (),
        patients: tuple[str, ...] = (),
        new: bool = False,
        if_version: int | None = None,
        renew: Callable[[], Awaitable[Permit]] | None = None,
    ) -> Written:
        """Store a content of up to ``STREAM_BYTES_MAX`` without holding it whole; ``header`` becomes the body.

        Args: renew: gives the permit as it is once all was received, which may take hours; what it raises is raised.
        Raises: ObjectTooLargeError; else as ``write``. Over the quota, nothing of it is received.
        """
        rooms = await self._rooms_of(permit.place)
        if not any(permit.allows(one) and permit.reaches(one, type_) for one in _STREAMED):
            raise RefusedError()
        await rooms.writer.quotas.check(permit)  # before its content is placed
        one = await rooms.blobs.receive(
            permit, type_, id_, chunks, header=header, terms=terms, patients=patients, new=new, if_version=if_version
        )
        if renew is not None:
            permit = await renew()
        return (await rooms.writer.submit(permit, WriteRequest([one])))[0]

    async def open_stream(
        self, permit: Permit, type_: str, id_: str, version: int | None = None
    ) -> tuple[Stored, StreamedObject | None]:
        """An object and, if its content is chunked, what reads it by ranges; the read is journaled before this returns.

        Raises: see ``Reader.read``.
        """
        rooms = await self._admitted(permit, Action.OBJECT_READ, type_)
        stored = await rooms.reader.read(permit, type_, id_, version)
        return stored, await rooms.blobs.open(permit, stored) if stored.blob else None

    async def export_bound(self, permit: Permit) -> ExportBound:
        """What an export that begins now covers. Raises: RefusedError; UnavailableError."""
        return await (await self._whole(permit)).exporter.bound()

    async def export(self, permit: Permit, bound: ExportBound) -> AsyncIterator[list[ExportedVersion]]:
        """Every version of the environment, in batches, each journaled before it is given.

        Raises: RefusedError; see ``Exporter.walk``.
        """
        rooms = await self._whole(permit)
        async for batch in rooms.exporter.walk(permit, bound):
            yield batch

    async def copy_bound(self, permit: Permit) -> tuple[ExportBound, list[bytes], list[bytes]]:
        """What a copy that begins now covers, and the compartments to choose from: of one patient each, of nobody.

        Raises: RefusedError; UnavailableError.
        """
        exporter = (await self._copied(permit)).exporter
        return (await exporter.bound(), *await exporter.compartments())

    async def export_scope(
        self, permit: Permit, bound: ExportBound, scope: CopyScope
    ) -> AsyncIterator[list[ExportedVersion]]:
        """The current resources that a scope names, in batches, each journaled before it is given; for what leaves
        de-identified only. Raises: RefusedError; see ``Exporter.walk``.
        """
        rooms = await self._copied(permit)
        async for batch in rooms.exporter.walk_scope(permit, bound, scope):
            yield batch

    async def export_content(self, permit: Permit, stored: Stored) -> StreamedObject:
        """The chunked content of a version that ``export`` gave, and journaled. Raises: as ``BlobStore.open``."""
        return await (await self._whole(permit)).blobs.open(permit, stored)

    async def record_refusal(self, permit: Permit, error: HygieError) -> None:
        """Journal that an entitled caller was refused for what it sent, before it is told so.

        Raises: JournalUnavailableError: then the caller is told that instead.
        """
        await self._journal.append_now([refusal_entry(permit, error, permit.place, self._clock.now_ms())])

    async def close(self) -> None:
        """Let the writes under way end."""
        for task in self._rooms.values():
            if task.done() and task.exception() is None:
                await task.result().writer.close()

    async def _admitted(self, permit: Permit, action: Action, *types: str) -> _Rooms:
        """The rooms of a permit's environment. Args: types: that are asked for; what else comes along is left out.

        Raises: RefusedError: also journaled when it is for a type, which the gate did not know.
        """
        if not permit.allows(action):
            raise RefusedError()
        if not all(permit.reaches(action, type_) for type_ in types):
            await self.record_refusal(permit, RefusedError())
            raise RefusedError()
        return await self._rooms_of(permit.place)

    async def _whole(self, permit: Permit) -> _Rooms:
        """The same for an export, which takes all. Raises: RefusedError: also when some of it is out of reach."""
        if permit.reach is not None or permit.patients is not None:
            raise RefusedError()
        return await self._admitted(permit, Action.OBJECT_EXPORT)

    async def _copied(self, permit: Permit) -> _Rooms:
        """The same for a copy, whose other permit is for where it goes. Raises: RefusedError: not of production."""
        if permit.reach is not None or permit.place.kind != PRODUCTION:
            raise RefusedError()
        return await self._admitted(permit, Action.OBJECT_COPY)

    async def _rooms_of(self, place: Place) -> _Rooms:
        task = self._rooms.get(place.environment_id)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._rooms[place.environment_id] = asyncio.create_task(self._open_rooms(place))
        return await asyncio.shield(task)

    async def _open_rooms(self, place: Place) -> _Rooms:
        context = await load_context(place, self._kms, self._cache, self._sites)
        return _Rooms(
            context,
            Writer(context, database=self._database, journal=self._journal, clock=self._clock),
            Reader(context, database=self._hot, journal=self._journal, clock=self._clock, notable=self._notable),
            Searcher(context, database=self._hot, journal=self._journal, clock=self._clock, notable=self._notable),
            BlobStore(context, database=self._database, journal=self._journal, clock=self._clock),
            Exporter(context, database=self._database, journal=self._journal, clock=self._clock),
        )


def _digest(query: Query) -> bytes:
    """What identifies a query, its page aside."""
    identity = (
        query.types,
        [sorted(clause) for clause in query.clauses],
        query.patient,
        query.updated,
        query.ids,
        query.ascending,
        query.label,
    )
    return hashlib.sha256(msgspec.msgpack.encode(identity)).digest()[:16]
