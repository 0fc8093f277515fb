"""C2SP tlog-tiles: where hashes and entries are, and the moving right edge of the tree.

Pure: names and bytes, no I/O.  Source: https://c2sp.org/tlog-tiles (paths, widths, entry bundles).
Under the prefix ``journal/`` on every site: ``tile/<level>/<number>[.p/<width>]``,
``tile/entries/<number>[.p/<width>]``, ``checkpoint``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hygie.journal.errors import TileInvalidError
from hygie.journal.merkle import EMPTY_ROOT, HASH_BYTES, Range, fold_parts, joined_root, perfect_parts

TILE_WIDTH = 256
TILE_HEIGHT = 8
TILE_BYTES = TILE_WIDTH * HASH_BYTES
BUNDLE_BYTES_MAX = TILE_WIDTH * (2 + 65_535)
PREFIX = "journal/"
CHECKPOINT = "checkpoint"
BUNDLE = -1


class Tile(NamedTuple):
    """A tile's place and width; level -1 is the entry bundle of level 0's tile."""

    level: int
    number: int
    width: int

    @property
    def name(self) -> str:
        """Its path: ``tile/0/x001/x234/067``, ``tile/entries/000.p/12``."""
        level = "entries" if self.level < 0 else str(self.level)
        path = f"tile/{level}/{number_path(self.number)}"
        return path if self.width == TILE_WIDTH else f"{path}.p/{self.width}"

    @property
    def whole(self) -> Tile:
        """The full tile at the same place: it may have replaced the partial one."""
        return self._replace(width=TILE_WIDTH)


def number_path(number: int) -> str:
    """A tile's number as path elements of three digits: 1234067 is ``x001/x234/067``."""
    path = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        path = f"x{number % 1000:03d}/{path}"
    return path


def tile_at(level: int, number: int, size: int) -> Tile:
    """The tile at a place in a tree of ``size`` leaves (level -1: the entry bundle).

    Raises: ValueError: the tree has no such tile (a programming mistake).
    """
    hashes = size >> (TILE_HEIGHT * max(level, 0))
    width = min(TILE_WIDTH, hashes - number * TILE_WIDTH)
    if number < 0 or width < 1:
        raise ValueError("no such tile")
    return Tile(level, number, width)


def tiles_of(size: int, *, lowest: int = 0) -> list[Tile]:
    """Every tile of a tree from a level upwards, left to right."""
    tiles: list[Tile] = []
    level = lowest
    while (hashes := size >> (TILE_HEIGHT * level)) > 0:
        tiles += [tile_at(level, number, size) for number in range(-(-hashes // TILE_WIDTH))]
        level += 1
    return tiles


def partial_tiles(size: int) -> list[Tile]:
    """The partial tiles of a tree: the right edge, from level 0 up (empty ones do not exist)."""
    edge = []
    level = 0
    while (hashes := size >> (TILE_HEIGHT * level)) > 0:
        if hashes % TILE_WIDTH:
            edge.append(Tile(level, hashes // TILE_WIDTH, hashes % TILE_WIDTH))
        level += 1
    return edge


def encode_bundle(leaves: Iterable[bytes]) -> bytes:
    """An entry bundle: each leaf after its length on two bytes, big-endian."""
    return b"".join([part for leaf in leaves for part in (len(leaf).to_bytes(2, "big"), leaf)])


def decode_bundle(data: bytes, name: str = "entries") -> list[bytes]:
    """The leaves of an entry bundle.

    Raises: TileInvalidError: a length runs past the end, or more than 256 leaves.
    """
    leaves: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > end or start > end or len(leaves) == TILE_WIDTH:
            raise TileInvalidError(name=name)
        leaves.append(data[start:at])
    return leaves


class Edge:
    """The right edge of a growing tree: the partial tile of each level. Its size in memory is logarithmic.

    size: leaves; levels: for each level the concatenated hashes of its last, partial tile (0..255 hashes).
    """

    def __init__(self, size: int = 0, levels: Sequence[bytes] = ()) -> None:
        self.size = size
        self.levels = list(levels)
        for level, hashes in enumerate(self.levels):
            if len(hashes) != (size >> (TILE_HEIGHT * level)) % TILE_WIDTH * HASH_BYTES:
                raise TileInvalidError(name=f"edge level {level}")
        if size >> (TILE_HEIGHT * len(self.levels)):
            raise TileInvalidError(name="edge")

    def copy(self) -> Edge:
        """An edge that grows apart."""
        return Edge(self.size, self.levels)

    def append(self, hashes: Sequence[bytes]) -> list[tuple[Tile, bytes]]:
        """Add leaf hashes; give the tiles that became full, lower levels first within one place."""
        full: list[tuple[Tile, bytes]] = []
        self._append(0, b"".join(hashes), full)
        self.size += len(hashes)
        return full

    def _append(self, level: int, hashes: bytes, full: list[tuple[Tile, bytes]]) -> None:
        if level == len(self.levels):
            self.levels.append(b"")
        pending = self.levels[level] + hashes
        number = self.size >> (TILE_HEIGHT * (level + 1))
        roots = []
        whole = len(pending) // TILE_BYTES * TILE_BYTES
        for at in range(0, whole, TILE_BYTES):
            data = pending[at : at + TILE_BYTES]
            full.append((Tile(level, number, TILE_WIDTH), data))
            roots.append(joined_root(data))
            number += 1
        self.levels[level] = pending[whole:]
        if roots:
            self._append(level + 1, b"".join(roots), full)

    def partial(self) -> list[tuple[Tile, bytes]]:
        """The partial tiles as they are now."""
        return [(tile, self.levels[tile.level]) for tile in partial_tiles(self.size)]

    def root(self) -> bytes:
        """The root of the whole tree. Time: at most 255 hashes a level."""
        below = b""
        for hashes in self.levels:
            if hashes or below:
                below = joined_root(hashes + below)
        return below or EMPTY_ROOT


def tiles_for_ranges(ranges: Iterable[Range], size: int) -> list[Tile]:
    """The tiles to fetch, each once, to compute the roots of ranges in a tree of ``size`` leaves."""
    tiles: dict[Tile, None] = {}
    for start, end in ranges:
        for height, number in perfect_parts(start, end):
            tiles[_tile_of_part(height, number, size)[0]] = None
    return list(tiles)


def range_root(start: int, end: int, size: int, tiles: Mapping[Tile, bytes]) -> bytes:
    """The root of one range from its tiles.

    Raises: TileInvalidError: a tile is not there, or too short.
    """
    roots = []
    for height, number in perfect_parts(start, end):
        tile, first, count = _tile_of_part(height, number, size)
        part = tiles.get(tile, b"")[first * HASH_BYTES : (first + count) * HASH_BYTES]
        if len(part) != count * HASH_BYTES:
            raise TileInvalidError(name=tile.name)
        roots.append(joined_root(part))
    return fold_parts(roots)


def _tile_of_part(height: int, number: int, size: int) -> tuple[Tile, int, int]:
    """Which tile holds a perfect subtree, and which of its hashes: (tile, first hash, count)."""
    level = height // TILE_HEIGHT
    count = 1 << (height % TILE_HEIGHT)
    first = number * count
    return tile_at(level, first // TILE_WIDTH, size), first % TILE_WIDTH, count
