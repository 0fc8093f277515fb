"""What a snapshot must name, listed from the catalogues, the sites, the published journal and the KMS.

Order matters: journal first, then packs (so that all that the journal names is listed) and the logs of the proof plane
up to what that journal names, no less and no more; erasures, platform, ledgers, and the key state last, so that it
holds every key that the rest was sealed with.  If an epoch ended meanwhile, ledgers and key state are taken again:
together they must open.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from hygie.backups.platform import collect_platform
from hygie.backups.snapshot import EnvironmentPart, ObjectRef, SignedSnapshot
from hygie.backups.target import ERASED_PREFIX
from hygie.base.clock import Clock
from hygie.base.errors import IntegrityError, NotFoundError, UnavailableError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.journal.published import PublishedTree
from hygie.journal.reader import JournalReader
from hygie.journal.tiles import BUNDLE, PREFIX, TILE_WIDTH, Tile, encode_bundle, tile_at, tiles_of
from hygie.keys.cache import CompartmentKeys
from hygie.keys.errors import KeyDestroyedError
from hygie.keys.kms import Kms
from hygie.segments import rows
from hygie.segments.format import LOGS
from hygie.segments.publish import Publisher
from hygie.sites.placement import SiteSet
from hygie.vault import upkeep_rows
from hygie.vault.context import load_context
from hygie.vault.epochs import Epochs
from hygie.vault.holdings import holdings

KMS_STATE_NAME = "kms/state"
_JOURNALED = "SELECT (SELECT size FROM hygie.journal_head), (SELECT count(*) FROM hygie.journal_pending)"
log = logging.getLogger(__name__)

SEALED_S = 5.0  # the sealer takes half a second; where none runs, what was published so far must do
POLL_S = 0.1
CUT_ATTEMPTS = 5  # an evaluation is kept each minute: two looks half a second apart nearly always agree
KEYS_ATTEMPTS = 3  # an epoch ends once a week; three in a row during one backup do not


@dataclass(frozen=True, slots=True)
class Source:
    """Where a backup reads from.

    hosting: pool of the hosting role (catalogues); records: pool of the sealer's role (the list of environments);
    sealed_s: how long to wait for the sealer to index and publish what was journaled.
    """

    clock: Clock
    sites: SiteSet
    kms: Kms
    hosting: Database
    records: Database
    reader: JournalReader
    sealed_s: float = SEALED_S


@dataclass(slots=True)
class Gathered:
    """What the snapshot will name. given: bytes that are on no site under these names, or may change there."""

    environments: list[EnvironmentPart] = field(default_factory=list)
    objects: list[ObjectRef] = field(default_factory=list)
    kms_state: ObjectRef | None = None
    checkpoint: str = ""
    given: dict[str, bytes] = field(default_factory=dict)

    def give(self, name: str, data: bytes) -> ObjectRef:
        """Name bytes, and keep them for the copy."""
        self.given[name] = data
        return ref_of(name, data)


@dataclass(frozen=True, slots=True)
class Cut:
    """A published tree (None: nothing was ever published), and the last number of each log that it names; whole: it
    names all there is."""

    tree: PublishedTree | None
    note: bytes
    heads: Mapping[str, int]
    whole: bool


def ref_of(name: str, data: bytes) -> ObjectRef:
    """An object by its name and content."""
    return ObjectRef(name=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


async def places(records: Database) -> list[Place]:
    """Every environment that was not destroyed."""
    async with records.transaction() as connection:
        cursor = await connection.execute(
            "SELECT tenant, id, role FROM hygie.environment WHERE state <> 'destroyed' ORDER BY tenant, id"
        )
        return [Place(*row) for row in await cursor.fetchall()]


async def gather(source: Source, cut: Cut, *, before: SignedSnapshot | None) -> Gathered:
    """List everything.

    Args: cut: of the journal and the logs, taken just before; before: the former snapshot, whose full tiles are known.
    Raises: UnavailableError: a part does not answer, or epochs go on changing; IntegrityError: the journal is damaged.
    """
    found = Gathered()
    known = {ref.name: ref for ref in before.snapshot.objects} if before else {}
    if cut.tree is not None:
        await _journal(cut.tree, cut.note, known, found)
    listed = await places(source.records)
    packs = {place: await _packs(source, place) for place in listed}
    found.objects += await _logs(source, cut)
    for name, _ in await source.sites.list(ERASED_PREFIX):
        found.objects.append(found.give(name, await source.sites.read(name)))
    name, tables = await collect_platform(source.records, kms=source.kms, sites=source.sites, clock=source.clock)
    found.objects.append(found.give(name, tables))
    await _keys(source, packs, found)
    found.objects.sort(key=lambda ref: ref.name)
    found.environments.sort(key=lambda part: part.tenant_id + part.environment_id)
    return found


async def _packs(source: Source, place: Place) -> list[ObjectRef]:
    refs = [
        ObjectRef(name=name, sha256=sha256.hex(), bytes=size)
        async for name, sha256, size in holdings(source.hosting, place)
    ]
    return sorted(refs, key=lambda ref: ref.name)


async def take_cut(source: Source) -> Cut:
    """A tree that names exactly what the logs hold: a log that goes further comes back with writes that nothing names,
    one that goes less far with numbers that were lost. What was journaled has its index then, a snapshot that was
    recorded a moment ago included. Waits for the sealer: nothing is held meanwhile."""
    heads = await _heads(source.records)
    for attempt in range(CUT_ATTEMPTS):
        size = await _indexed(source)
        published = await _published(source, size)
        try:
            tree, note = await source.reader.tree()
        except NotFoundError:
            return Cut(None, b"", {}, whole=False)
        before, heads = heads, await _heads(source.records)
        if (published and heads == before) or attempt == CUT_ATTEMPTS - 1 or not published:
            break
    return Cut(tree, note, heads, whole=published and heads == before)


async def _indexed(source: Source) -> int:
    """Wait until what is journaled now has its index, or the time is over. Returns the size that holds all of it."""
    deadline = monotonic() + source.sealed_s
    wanted: int | None = None
    while True:
        async with source.records.transaction() as connection:
            row = await (await connection.execute(_JOURNALED)).fetchone()
        assert row is not None
        wanted = int(row[0] + row[1]) if wanted is None else wanted
        if row[0] >= wanted or monotonic() > deadline:
            return wanted
        await asyncio.sleep(POLL_S)


async def _published(source: Source, size: int) -> bool:
    """Wait until the journal shows that size, or the time is over. Returns whether it does."""
    deadline = monotonic() + source.sealed_s
    while True:
        try:
            if (await source.reader.checkpoint())[0].size >= size:
                return True
        except NotFoundError:
            pass  # the first checkpoint comes
        if monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)


async def _heads(records: Database) -> dict[str, int]:
    async with records.transaction() as connection:
        return {name: (await rows.head_of(connection, name)).seq for name in LOGS}


async def _logs(source: Source, cut: Cut) -> list[ObjectRef]:
    """Registers and evidence as published, what is new of them, and named by the snapshot's journal, published first;
    all that is new where no sealer runs: a write too many comes back, one too few is lost.

    A database that went back publishes nothing, which status says; what was published before is backed up all the same.
    """
    publisher = Publisher(source.records, kms=source.kms, sites=source.sites, clock=source.clock)
    try:
        await publisher.publish(cut.heads if cut.whole else None)
    except IntegrityError as error:
        log.error("the logs of the proof plane are backed up as they were published: %s", error.code)
    return [
        ObjectRef(name=one.name, sha256=one.sha256.hex(), bytes=one.bytes)
        async for one in rows.stored(source.records)
        if not cut.whole or one.last is None or one.last <= cut.heads[one.log]
    ]


async def _journal(tree: PublishedTree, note: bytes, known: Mapping[str, ObjectRef], found: Gathered) -> None:
    """Every tile of a signed tree, each checked up to its root; full tiles never change, so known ones are not read
    again."""
    found.checkpoint = note.decode()
    size = tree.head.size
    bundles = [tile_at(BUNDLE, number, size) for number in range(-(-size // TILE_WIDTH))]
    for tile in [*tiles_of(size), *bundles]:
        name = PREFIX + tile.name
        full = tile.width == TILE_WIDTH
        ref = known.get(name) if full else None
        if ref is None:
            data = await _tile_bytes(tree, tile)
            ref = ref_of(name, data) if full else found.give(name, data)
        found.objects.append(ref)


async def _tile_bytes(tree: PublishedTree, tile: Tile) -> bytes:
    return encode_bundle(await tree.bundle(tile.number)) if tile.level == BUNDLE else await tree.tile(tile)


async def _keys(source: Source, packs: Mapping[Place, Sequence[ObjectRef]], found: Gathered) -> None:
    """Ledgers of all environments and the key state, taken again until no epoch changed in between."""
    for _ in range(KEYS_ATTEMPTS):
        found.environments = []
        epochs: dict[Place, int] = {}
        for place, refs in packs.items():
            try:
                epochs[place] = await source.kms.current_epoch(place.tenant_id, place.environment_id)
                ledger = await _ledger(source, place, found)
            except KeyDestroyedError:
                epochs.pop(place, None)
                continue  # the environment was destroyed meanwhile: nothing of it opens any more
            found.environments.append(
                EnvironmentPart(
                    tenant_id=place.tenant_id.hex(),
                    environment_id=place.environment_id.hex(),
                    packs=list(refs),
                    ledger=ledger,
                )
            )
        found.kms_state = found.give(KMS_STATE_NAME, await source.kms.export_state())
        if epochs == {p: await source.kms.current_epoch(p.tenant_id, p.environment_id) for p in epochs}:
            return
    raise UnavailableError(part="epochs")


async def _ledger(source: Source, place: Place, found: Gathered) -> ObjectRef:
    """A fresh ledger of one environment, on the sites and for the target.

    A compartment still under an older epoch would be missing from it, and so lost in a restore: an epoch change that
    was cut half-way is ended first.
    """
    context = await load_context(place, source.kms, CompartmentKeys(source.kms), source.sites)
    epochs = Epochs(context, database=source.hosting, kms=source.kms, clock=source.clock)
    epoch = await source.kms.current_epoch(place.tenant_id, place.environment_id)
    async with source.hosting.transaction(place.role) as connection:
        stale = await upkeep_rows.stale_compartments(connection, epoch, limit=1)
    if stale:
        await epochs.advance()
    name = await epochs.publish_ledger()
    return found.give(name, await source.sites.read(name))
