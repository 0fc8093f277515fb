"""The one sealer: index, publish, sign, have cosigned, show.

1. *Move*: what is committed in the pending table gets contiguous indexes, in a transaction that compares and swaps the
   tree head (``sequence``).
2. *Tiles*: full and partial tiles and entry bundles go to a quorum of sites.
3. *Sign*: only a tree whose tiles are durable, and that continues the highest checkpoint found at start.
4. *Cosign*: the witness checks the same on its own.  A silent witness does not stop the journal (its lag is measured
   and shown); a witness that refuses does.
5. *Show*: ``journal/checkpoint`` is replaced on the sites.

A crash between any two steps is resumed by ``recover``: the database may be ahead of the sites, never the reverse
unless it lost its memory.  A batch costs the same whatever the size of the tree.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from hygie.base.errors import HygieError, UnavailableError
from hygie.journal import sequence
from hygie.journal.checkpoint import (
    ED25519,
    Checkpoint,
    VerifierKey,
    note_text,
    signature_line,
    signed_note,
    verify_checkpoint,
)
from hygie.journal.errors import (
    JournalForkError,
    JournalTamperedError,
    JournalUnavailableError,
    SealerFencedError,
    WitnessUnavailableError,
)
from hygie.journal.merkle import leaf_hash
from hygie.journal.protocols import Clock, MonthKeys, OneSite, Signer, Sites, Transactions
from hygie.journal.published import PublishedTree
from hygie.journal.recovery import Recovery
from hygie.journal.tiles import BUNDLE, CHECKPOINT, PREFIX, TILE_WIDTH, Edge, Tile, encode_bundle
from hygie.journal.witness import AddCheckpoint
from hygie.journal.witness_client import WitnessBehindError, WitnessClient
from hygie.journal.writer import JournalWriter

CLEAN_S_MAX = 1.0  # a site that hangs must not hold up what follows; the call ends when it can
INTERVAL_MS = 500
STANDBY_MS = 3_000
RETRY_MS = (500, 1_000, 2_000, 5_000)
CHECKPOINT_KEPT_MS = 60_000  # one checkpoint a minute is kept to place a forgery between two signed sizes
STRETCH_ENTRIES_MAX = 2 * sequence.BATCH_ENTRIES_MAX  # published at once: a batch and what a crash left
UPLOADS_AT_ONCE = 8
_log = logging.getLogger("hygie.journal")


@dataclass(frozen=True, slots=True)
class SealerStatus:
    """Sizes, entries: indexed, shown with a signature, cosigned (None without a witness); published_ms: the instant."""

    size: int
    published_size: int
    cosigned_size: int | None
    published_ms: int


class Sealer:
    """Runs in ``hygie work``. ``recover`` once, then ``seal_once`` again and again; ``run`` does both and resumes."""

    def __init__(
        self,
        *,
        database: Transactions,
        sites: Sites,
        signer: Signer,
        month_keys: MonthKeys,
        clock: Clock,
        witness: WitnessClient | None = None,
        former_keys: Sequence[VerifierKey] = (),
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        """Args: database: opened as hygie_sealer; former_keys: earlier keys of this journal, accepted at start;
        on_step: called with the name of each step that is done ("moved", "tiles", "signed", "cosigned", "shown")."""
        self._database = database
        self._sites = sites
        self._signer = signer
        self._clock = clock
        self._witness = witness
        self._step = on_step or _nothing
        self.log_key = VerifierKey(signer.name, ED25519, signer.public_key)
        self._writer = JournalWriter(database, month_keys, clock)
        self._recovery = Recovery(database, sites, self._writer, keys=[self.log_key, *former_keys], witness=witness)
        self._edge = Edge()
        self._published = Edge()
        self._witnessed_size: int | None = None
        self._cosigned_size: int | None = None
        self._published_ms = 0
        self._kept_ms = 0
        self._leftovers = True
        self._ready = False
        self._fenced = False

    def status(self) -> SealerStatus:
        """Where the journal is."""
        return SealerStatus(self._edge.size, self._published.size, self._cosigned_size, self._published_ms)

    async def recover(self) -> None:
        """Find the published journal, make the database follow it, show the highest checkpoint on every site.

        With too few sites to be sure which is the highest, nothing is shown, and nothing sealed until a later recovery.
        Raises: as ``Recovery.run``.
        """
        self._ready = False
        found = await self._recovery.run()
        self._edge, self._published = found.edge, found.published
        self._witnessed_size = found.witnessed_size
        self._cosigned_size = found.witnessed_size if self._witness is not None else None
        self._leftovers = True  # tiles of a tree that was never signed may lie beyond the published size
        if not found.surely:
            _log.warning("too few sites to know the highest checkpoint: nothing is signed until more answer")
            return
        if found.note and not found.on_sites:
            await self._sites.replace(PREFIX + CHECKPOINT, found.note)
        self._ready = True

    async def seal_once(self) -> int:
        """Move one batch, then publish all that is not: how many entries were published.

        Raises: SealerFencedError: another sealer works; UnavailableError: call ``recover`` and try again;
        IntegrityError: a person must decide.
        """
        if not self._ready:
            await self.recover()
        if not self._ready:
            raise JournalUnavailableError(part="sites")
        try:
            before = self._published.size
            await self._move()
            while self._published.size < self._edge.size:
                await self._publish()
            return self._published.size - before
        except BaseException:
            self._ready = False  # what is in memory may not be what is written
            raise

    async def run(self, stop: asyncio.Event, *, interval_ms: int = INTERVAL_MS) -> None:
        """Seal until ``stop`` is set.

        Raises: IntegrityError: forged, forked or damaged; nothing more is signed.
        """
        failures = 0
        while not stop.is_set():
            started_ms = self._clock.now_ms()
            wait_ms = interval_ms
            try:
                if self._fenced:
                    await self._stand_by(stop)
                elif await self.seal_once() >= sequence.BATCH_ENTRIES_MAX:
                    wait_ms = 0
                failures = 0
            except SealerFencedError:
                self._fenced = True
            except (UnavailableError, OSError, TimeoutError) as error:
                wait_ms = RETRY_MS[min(failures, len(RETRY_MS) - 1)]
                failures += 1
                _log.warning("sealing failed, trying again in %d ms: %s", wait_ms, _code(error))
            spent_ms = 0 if failures else self._clock.now_ms() - started_ms
            await _pause(stop, max(wait_ms - spent_ms, 0))

    async def _stand_by(self, stop: asyncio.Event) -> None:
        """Leave the journal to the other sealer until it stops: entries wait and the head does not move."""
        _log.warning("another sealer holds the journal: standing by")
        seen = -1
        while not stop.is_set():
            await _pause(stop, STANDBY_MS)
            async with self._database.transaction() as connection:
                cursor = await connection.execute(
                    "SELECT size, EXISTS (SELECT FROM hygie.journal_pending) FROM hygie.journal_head"
                )
                row = await cursor.fetchone()
            size, waiting = row if row is not None else (seen, False)
            if waiting and size == seen:
                self._fenced = False
                return
            seen = size

    async def _move(self) -> None:
        async with self._database.transaction() as connection:
            moved = await sequence.move_pending(connection, self._edge)
            if moved is not self._edge:
                self._step("moving")
        if moved is not self._edge:
            self._edge = moved
            self._step("moved")

    async def _publish(self) -> None:
        """Publish one stretch: tiles, signature, cosignature, checkpoint."""
        start = self._published.size
        end = min(self._edge.size, start // TILE_WIDTH * TILE_WIDTH + STRETCH_ENTRIES_MAX)
        first = start // TILE_WIDTH * TILE_WIDTH
        async with self._database.transaction() as connection:
            leaves = await sequence.read_leaves(connection, first, end)
        published = self._published.copy()
        full = published.append([leaf_hash(leaf) for leaf in leaves[start - first :]])
        if end == self._edge.size and published.root() != self._edge.root():
            raise JournalTamperedError(index=start, reason="altered between indexing and publication")
        bundles = [
            (
                Tile(BUNDLE, at // TILE_WIDTH, min(TILE_WIDTH, end - at)),
                encode_bundle(leaves[at - first :][:TILE_WIDTH]),
            )
            for at in range(first, end, TILE_WIDTH)
        ]
        await self._upload([*full, *published.partial(), *bundles])
        self._step("tiles")
        note = await self._sign(Checkpoint(self._signer.name, end, published.root()))
        self._step("signed")
        note = await self._cosign(note, published)
        self._step("cosigned")
        await self._sites.replace(PREFIX + CHECKPOINT, note)
        self._published = published
        self._published_ms = self._clock.now_ms()
        self._leftovers = False
        self._step("shown")
        await self._keep(end, note)
        await self._clean([tile for tile, _ in (*full, *bundles) if tile.width == TILE_WIDTH])

    async def _upload(self, tiles: Sequence[tuple[Tile, bytes]]) -> None:
        """Tiles to a quorum. A partial tile, and what may lie there of a tree never signed, is overwritten; a full tile
        that was signed never is."""
        places = asyncio.Semaphore(UPLOADS_AT_ONCE)

        async def put(tile: Tile, data: bytes) -> None:
            async with places:
                if self._leftovers or tile.width < TILE_WIDTH:
                    await self._sites.replace(PREFIX + tile.name, data)
                else:
                    await self._sites.place(PREFIX + tile.name, data)

        outcomes = await asyncio.gather(*(put(tile, data) for tile, data in tiles), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _sign(self, head: Checkpoint) -> bytes:
        text = note_text(head)
        signature = self._signer.sign(text)
        if inspect.isawaitable(signature):
            signature = await signature
        note = signed_note(text, signature_line(self.log_key.name, self.log_key.key_id, signature))
        verify_checkpoint(note, log_key=self.log_key)  # a false signature must not leave this process
        return note

    async def _cosign(self, note: bytes, published: Edge) -> bytes:
        """The note with the witness's line, or as it is when the witness is silent.

        Raises: WitnessRefusedError, JournalForkError: it saw another history: nothing is shown.
        """
        if self._witness is None:
            return note
        head = verify_checkpoint(note, log_key=self.log_key)
        tree = PublishedTree(self._sites, head)
        tree.adopt(published)
        old_size = self._witnessed_size or 0
        try:
            for _ in range(2):
                proof = await tree.consistency_proof(old_size)
                try:
                    cosigned = await self._witness.add_checkpoint(AddCheckpoint(old_size, proof, note))
                except WitnessBehindError as behind:
                    if behind.size > head.size:
                        raise JournalForkError(old_size=behind.size, new_size=head.size) from behind
                    old_size = behind.size
                    continue
                self._witnessed_size = self._cosigned_size = head.size
                return cosigned
        except WitnessUnavailableError as error:
            _log.warning("checkpoint of size %d is not cosigned: %s", head.size, error)
            self._witnessed_size = None
        return note

    async def _keep(self, size: int, note: bytes) -> None:
        if self._published_ms - self._kept_ms < CHECKPOINT_KEPT_MS:
            return
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO hygie.journal_checkpoint (size, note, published_ms) VALUES (%s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (size, note, self._published_ms),
            )
        self._kept_ms = self._published_ms

    async def _clean(self, full: Sequence[Tile]) -> None:
        """Remove the partial tiles that full ones replaced. A site that cannot keeps them: they do no harm."""
        for link in self._sites.links:
            try:
                async with asyncio.timeout(CLEAN_S_MAX):
                    await link.ask(partial(_clean_site, full))
            except (HygieError, OSError, TimeoutError) as error:
                _log.info("partial tiles stay on a site: %s", _code(error))


def _clean_site(full: Sequence[Tile], site: OneSite) -> None:
    for tile in full:
        for name, _ in list(site.list(PREFIX + sequence.tile_prefix(tile))):
            site.delete(name)


async def _pause(stop: asyncio.Event, wait_ms: int) -> None:
    try:
        async with asyncio.timeout(wait_ms / 1000):
            await stop.wait()
    except TimeoutError:
        return


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, HygieError) else type(error).__name__


def _nothing(_: str) -> None:
    """No one watches the steps."""
