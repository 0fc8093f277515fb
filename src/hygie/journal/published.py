"""The published journal as the sites hold it: every byte read is checked up to the signed root.

The right edge is taken from the first site whose edge gives the root; a full tile is checked against its parent's hash,
an entry bundle against its level-0 tile.  A damaged copy on one site is passed over for another one's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TypeVar

from hygie.base.errors import HygieError, NotFoundError, UnavailableError
from hygie.journal.checkpoint import Checkpoint, VerifierKey, verify_checkpoint
from hygie.journal.errors import (
    CheckpointInvalidError,
    EntryNotFoundError,
    JournalUnavailableError,
    TileInvalidError,
)
from hygie.journal.merkle import (
    HASH_BYTES,
    Range,
    consistency_ranges,
    inclusion_ranges,
    joined_root,
    leaf_hash,
)
from hygie.journal.protocols import Link, OneSite, Sites
from hygie.journal.tiles import (
    BUNDLE,
    CHECKPOINT,
    PREFIX,
    TILE_BYTES,
    TILE_WIDTH,
    Edge,
    Tile,
    decode_bundle,
    partial_tiles,
    range_root,
    tile_at,
    tiles_for_ranges,
)

TILES_CACHED_MAX = 512  # 4 MiB of full tiles
T = TypeVar("T")
SITE_S_MAX = 10.0  # one look at one site alone


class PublishedTree:
    """One signed tree on the sites. ``open`` it before anything else."""

    def __init__(self, sites: Sites, head: Checkpoint) -> None:
        self.head = head
        self._sites = sites
        self._edge: dict[Tile, bytes] = {}
        self._full: OrderedDict[Tile, bytes] = OrderedDict()

    async def open(self) -> Edge:
        """Read the right edge and check it against the root.

        Raises: TileInvalidError: no site has an edge that gives the signed root; JournalUnavailableError: none answers.
        """
        answered = False
        for link in self._sites.links:
            try:
                edge = await _looked_at(link, partial(_read_edge, self.head.size))
            except NotFoundError:
                answered = True
                continue
            except (UnavailableError, OSError, TimeoutError):
                continue
            except HygieError:
                answered = True
                continue
            answered = True
            if edge.root() == self.head.root:
                self.adopt(edge)
                return edge
        if not answered:
            raise JournalUnavailableError(part="sites")
        raise TileInvalidError(name="edge")

    def adopt(self, edge: Edge) -> None:
        """Take an edge that is known to be this tree's."""
        self._edge = dict(edge.partial())

    async def tile(self, tile: Tile) -> bytes:
        """The hashes of one tile of this tree, checked.

        Raises: TileInvalidError, or what the sites raise when no copy is whole.
        """
        if tile.width < TILE_WIDTH:
            return self._edge[tile]
        data = self._full.get(tile)
        if data is None:
            parent = tile_at(tile.level + 1, tile.number // TILE_WIDTH, self.head.size)
            at = tile.number % TILE_WIDTH * HASH_BYTES
            expected = (await self.tile(parent))[at : at + HASH_BYTES]
            check = partial(_checked_tile, tile, expected)
            data = await self._sites.read_valid(PREFIX + tile.name, 0, None, check)
            self._full[tile] = data
            if len(self._full) > TILES_CACHED_MAX:
                self._full.popitem(last=False)
        return data

    async def edge_at(self, size: int) -> Edge:
        """The right edge of the prefix of ``size`` leaves (0..size of this tree)."""
        levels: list[bytes] = []
        for tile in partial_tiles(size):
            levels += [b""] * (tile.level - len(levels))
            data = await self.tile(tile_at(tile.level, tile.number, self.head.size))
            levels.append(data[: tile.width * HASH_BYTES])
        return Edge(size, levels)

    async def root_at(self, size: int) -> bytes:
        """The root that this tree had at ``size`` leaves."""
        return (await self.edge_at(size)).root()

    async def inclusion_proof(self, index: int) -> list[bytes]:
        """The hashes that lead from leaf ``index`` to the root.

        Raises: EntryNotFoundError: the tree is smaller.
        """
        if not 0 <= index < self.head.size:
            raise EntryNotFoundError(index=index)
        return await self._proof(inclusion_ranges(index, self.head.size))

    async def consistency_proof(self, old_size: int) -> list[bytes]:
        """The hashes that lead from the tree of ``old_size`` leaves to this one."""
        return await self._proof(consistency_ranges(old_size, self.head.size))

    async def _proof(self, ranges: Sequence[Range]) -> list[bytes]:
        size = self.head.size
        tiles = {tile: await self.tile(tile) for tile in tiles_for_ranges(ranges, size)}
        return [range_root(start, end, size, tiles) for start, end in ranges]

    async def bundle(self, number: int) -> list[bytes]:
        """The leaves of one entry bundle, checked against the tree."""
        hashes = await self.tile(tile_at(0, number, self.head.size))
        tile = tile_at(BUNDLE, number, self.head.size)
        check = partial(_checked_bundle, tile, hashes)
        try:
            return await self._sites.read_valid(PREFIX + tile.name, 0, None, check)
        except NotFoundError:
            if tile.width == TILE_WIDTH:
                raise
            return await self._sites.read_valid(PREFIX + tile.whole.name, 0, None, check)

    async def bundles(self, start: int, end: int) -> AsyncIterator[tuple[int, list[bytes]]]:
        """The leaves of [start, end) by bundle: (index of the first, leaves)."""
        end = min(end, self.head.size)
        for number in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
            first = number * TILE_WIDTH
            leaves = await self.bundle(number)
            skipped = max(start - first, 0)
            yield first + skipped, leaves[skipped : end - first]


class EarlierTree(PublishedTree):
    """An earlier signed head of a tree, read through the present one: its own right edge is gone from the sites."""

    def __init__(self, sites: Sites, head: Checkpoint, later: PublishedTree) -> None:
        super().__init__(sites, head)
        self._later = later

    async def open(self) -> Edge:
        """Take the edge from the later tree. Raises: TileInvalidError: the earlier head is not of this tree."""
        edge = await self._later.edge_at(self.head.size)
        if edge.root() != self.head.root:
            raise TileInvalidError(name="edge")
        self.adopt(edge)
        return edge

    async def bundle(self, number: int) -> list[bytes]:
        """See ``PublishedTree``."""
        width = tile_at(BUNDLE, number, self.head.size).width
        return (await self._later.bundle(number))[:width]


async def checkpoints_on_sites(
    sites: Sites, keys: Sequence[VerifierKey]
) -> tuple[list[tuple[Checkpoint, bytes]], int, int]:
    """The checkpoint of each site whose signature holds, how many sites answered, and how many had a false one."""
    found: list[tuple[Checkpoint, bytes]] = []
    answered = false = 0
    for note in await asyncio.gather(*(_read_checkpoint(link) for link in sites.links)):
        if isinstance(note, Exception):
            continue
        answered += 1
        if note is None:
            continue
        try:
            found.append((verified(note, keys), note))
        except CheckpointInvalidError:
            false += 1
    return found, answered, false


def verified(note: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The tree head of a note signed by one of the log's keys, the present one or an earlier one.

    Raises: CheckpointInvalidError.
    """
    failure = CheckpointInvalidError(reason="no key")
    for key in keys:
        try:
            return verify_checkpoint(note, log_key=key)
        except CheckpointInvalidError as error:
            failure = error
    raise failure


async def _read_checkpoint(link: Link) -> bytes | Exception | None:
    try:
        return await _looked_at(link, lambda site: site.get(PREFIX + CHECKPOINT))
    except NotFoundError:
        return None
    except (HygieError, OSError, TimeoutError) as error:
        return error


async def _looked_at(link: Link, call: Callable[[OneSite], T]) -> T:
    async with asyncio.timeout(SITE_S_MAX):
        return await link.read(call)


def _read_edge(size: int, site: OneSite) -> Edge:
    levels: list[bytes] = []
    for tile in partial_tiles(size):
        levels += [b""] * (tile.level - len(levels))
        try:
            data = site.get(PREFIX + tile.name)
        except NotFoundError:
            data = site.get(PREFIX + tile.whole.name)
        levels.append(data[: tile.width * HASH_BYTES])
    return Edge(size, levels)


def _checked_tile(tile: Tile, expected: bytes, data: bytes) -> bytes:
    if len(data) != TILE_BYTES or joined_root(data) != expected:
        raise TileInvalidError(name=tile.name)
    return data


def _checked_bundle(tile: Tile, hashes: bytes, data: bytes) -> list[bytes]:
    leaves = decode_bundle(data, tile.name)[: tile.width]
    if b"".join(map(leaf_hash, leaves)) != hashes:
        raise TileInvalidError(name=tile.name)
    return leaves
