"""What the sealer does before it signs anything: find the published journal, and make the database follow it.

The published journal wins.  The highest checkpoint of the sites and the witness is the journal; a database that is
behind (restored from a backup, or lost) takes the published entries back; entries that only the database has, under
indexes that were published with other entries, go back to the queue.  Then a ``journal:gap`` entry tells what may be
missing.  Every step moves the head forward in a transaction of its own, so a crash in the middle resumes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from hygie.base.actions import Action
from hygie.journal import sequence
from hygie.journal.checkpoint import Checkpoint, VerifierKey
from hygie.journal.entry import Entry
from hygie.journal.errors import (
    CheckpointInvalidError,
    JournalForkError,
    JournalTamperedError,
    JournalUnavailableError,
    TileInvalidError,
    WitnessUnavailableError,
)
from hygie.journal.merkle import HASH_BYTES, leaf_hash
from hygie.journal.protocols import Sites, Transactions
from hygie.journal.published import PublishedTree, checkpoints_on_sites, verified
from hygie.journal.tiles import TILE_WIDTH, Edge, tile_at
from hygie.journal.witness_client import WitnessClient
from hygie.journal.writer import JournalWriter

ADOPT_BUNDLES = 16  # 4,096 entries a transaction
_log = logging.getLogger("hygie.journal")


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the sealer starts. edge: of the database; published: of the highest checkpoint; note: that checkpoint;
    on_sites: whether every site that answered has it; witnessed_size: of the witness's latest, None if it is silent."""

    edge: Edge
    published: Edge
    note: bytes
    on_sites: bool
    witnessed_size: int | None


class Recovery:
    """One recovery. Reads sites and witness; writes only the database."""

    def __init__(
        self,
        database: Transactions,
        sites: Sites,
        writer: JournalWriter,
        *,
        keys: Sequence[VerifierKey],
        witness: WitnessClient | None,
    ) -> None:
        self._database = database
        self._sites = sites
        self._writer = writer
        self._keys = keys
        self._witness = witness

    async def run(self) -> Recovered:
        """Bring the database to the published journal.

        Raises: JournalForkError, JournalTamperedError, CheckpointInvalidError: a person must decide; nothing is signed.
        JournalUnavailableError: too few sites answer to know which checkpoint is the highest.
        """
        found, on_sites, witnessed_size = await self._candidates()
        async with self._database.transaction() as connection:
            edge = await sequence.read_edge(connection)
        if not found:
            return Recovered(edge, Edge(), b"", on_sites, witnessed_size)
        head, note = max(found, key=lambda item: item[0].size)
        tree = PublishedTree(self._sites, head)
        published = await tree.open()
        for other, _ in found:
            if await tree.root_at(other.size) != other.root:
                raise JournalForkError(old_size=other.size, new_size=head.size)
        edge = await self._follow(tree, edge, published)
        return Recovered(edge, published, note, on_sites and all(item[0] == head for item in found), witnessed_size)

    async def _candidates(self) -> tuple[list[tuple[Checkpoint, bytes]], bool, int | None]:
        """Checkpoints of sites and witness, whether every site shows one, and the size that the witness cosigned.

        A checkpoint counts as shown once Q of N sites have it, so any N - Q + 1 sites that can be read include one that
        shows the highest: 2 of 3 with a quorum of 2, **4 of 5 with a quorum of 2** (three that are read may be just
        those that lack it).  Nothing stands in for the sites.  Not the witness: it cosigned what it was shown, and the
        journal went on while it was silent; that it is as high as every site that was read proves nothing, for all of
        them may have been away together.  Not the database: it may have been restored to the same day.  Waiting costs
        no write and no read, whose entries wait durably; a second tree signed for the same indexes is for ever.
        A site with a false checkpoint does not tell what it had.  **Remains**: a checkpoint that reached fewer than Q
        sites before a crash, of which neither the database nor the witness knows any more.
        Raises: JournalUnavailableError, CheckpointInvalidError: as ``run``.
        """
        found, answered, false = await checkpoints_on_sites(self._sites, self._keys)
        on_sites = bool(found) and len(found) == len(self._sites.links)
        witnessed_size = None
        if self._witness is not None:
            try:
                note = await self._witness.latest(self._keys[0].name)
            except WitnessUnavailableError:
                _log.warning("the witness is silent at start: recovering from the sites alone")
            else:
                witnessed_size = 0
                if note is not None:
                    found.append((verified(note, self._keys), note))
                    witnessed_size = found[-1][0].size
        if not found and false:
            raise CheckpointInvalidError(reason="no checkpoint of the sites is signed by this journal")
        if answered - false < len(self._sites.links) - self._sites.quorum + 1:
            raise JournalUnavailableError(part="sites")
        return found, on_sites, witnessed_size

    async def _follow(self, tree: PublishedTree, edge: Edge, published: Edge) -> Edge:
        if edge.size >= published.size:
            if (await self._replayed(published, edge.size)).root() == edge.root():
                return edge
        elif await tree.root_at(edge.size) == edge.root():
            return await self._adopt(tree, edge, {"reason": "database-behind", "database_size": str(edge.size)})
        start = await self._first_difference(tree, edge)
        kept = await tree.edge_at(start)
        async with self._database.transaction() as connection:
            await sequence.lock_head(connection, edge)
            requeued = await sequence.requeue_from(connection, start)
            await sequence.swap_head(connection, edge, kept)
        _log.critical("the database's journal left the published one at index %d: %d requeued", start, requeued)
        detail = {"reason": "database-diverged", "database_size": str(edge.size), "requeued": str(requeued)}
        return await self._adopt(tree, kept, detail)

    async def _replayed(self, published: Edge, size: int) -> Edge:
        """The published tree followed by what only the database has."""
        replayed = published.copy()
        async with self._database.transaction() as connection:
            for start in range(published.size, size, sequence.READ_ROWS):
                leaves = await sequence.read_leaves(connection, start, min(start + sequence.READ_ROWS, size))
                replayed.append([leaf_hash(leaf) for leaf in leaves])
        return replayed

    async def _first_difference(self, tree: PublishedTree, edge: Edge) -> int:
        """The first index where the database and the published journal hold different entries.

        Raises: JournalTamperedError: what is published is the same, so entries not yet published were altered.
        """
        end = min(edge.size, tree.head.size)
        expected, tile = 0, b""
        async with self._database.transaction() as connection:
            async for index, found in sequence.hashes_between(connection, 0, end):
                if index != expected:
                    break
                if index % TILE_WIDTH == 0:
                    tile = await tree.tile(tile_at(0, index // TILE_WIDTH, tree.head.size))
                at = index % TILE_WIDTH * HASH_BYTES
                if tile[at : at + HASH_BYTES] != found:
                    return index
                expected += 1
        if expected < end:
            return expected
        raise JournalTamperedError(index=end, reason="entries not yet published")

    async def _adopt(self, tree: PublishedTree, edge: Edge, detail: dict[str, str]) -> Edge:
        """Take the published entries that the database lacks, then tell it in the journal."""
        first = edge.size
        size = tree.head.size
        while edge.size < size:
            end = min((edge.size // TILE_WIDTH + ADOPT_BUNDLES) * TILE_WIDTH, size)
            leaves = [leaf async for _, some in tree.bundles(edge.size, end) for leaf in some]
            moved = edge.copy()
            moved.append([leaf_hash(leaf) for leaf in leaves])
            async with self._database.transaction() as connection:
                await sequence.lock_head(connection, edge)
                await sequence.requeue_from(connection, edge.size)
                await sequence.insert_entries(connection, edge.size, leaves)
                await sequence.drop_sealed_twice(connection, edge.size)
                await sequence.swap_head(connection, edge, moved)
                if end == size:
                    if moved.root() != tree.head.root:
                        raise TileInvalidError(name="entries")
                    await self._write_gap(connection, {**detail, "published_size": str(size)})
            edge = moved
            _log.warning("took back entries %d to %d from the published journal", first, edge.size)
        return edge

    async def _write_gap(self, connection: sequence.Connection, detail: dict[str, str]) -> None:
        gap = Entry(
            action=Action.JOURNAL_GAP,
            outcome="unknown",
            kind="platform",
            at_ms=self._writer.clock.now_ms(),
            detail=detail,
        )
        await self._writer.append(connection, [gap])
