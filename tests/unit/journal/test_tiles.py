"""C2SP tlog-tiles: paths and counts of the specification's own examples, and the edge against the whole tree."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.journal import merkle, tiles
from hygie.journal.errors import TileInvalidError


def hashes_of(size: int) -> list[bytes]:
    return [sha256(number.to_bytes(4, "big")).digest() for number in range(size)]


def test_paths_of_the_specification() -> None:
    assert tiles.number_path(1234067) == "x001/x234/067"
    assert tiles.number_path(0) == "000"
    assert tiles.number_path(1000) == "x001/000"
    assert tiles.Tile(0, 273, 112).name == "tile/0/273.p/112"
    assert tiles.Tile(tiles.BUNDLE, 5, 256).name == "tile/entries/005"


def test_tiles_of_the_specification() -> None:
    seventy = tiles.tiles_of(70_000)
    assert sum(tile.level == 0 and tile.width == 256 for tile in seventy) == 273
    assert [tile for tile in seventy if tile.width < 256] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert tiles.tiles_of(256) == [(0, 0, 256), (1, 0, 1)]
    assert tiles.partial_tiles(0) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=6))
def test_edge_gives_the_tiles_and_the_root(batches: list[int]) -> None:
    hashes = hashes_of(sum(batches))
    edge, full, at = tiles.Edge(), {}, 0
    for batch in batches:
        full.update(edge.append(hashes[at : at + batch]))
        at += batch
        assert edge.root() == merkle.root_of(hashes[:at])
        everything = {**full, **dict(edge.partial())}
        assert sorted(everything) == sorted(tiles.tiles_of(at))
        assert all(len(data) == tile.width * 32 for tile, data in everything.items())
        again = tiles.Edge(edge.size, edge.levels)
        assert again.root() == edge.root()


def test_edge_over_three_levels() -> None:
    size = 256 * 256 + 300
    hashes = hashes_of(size)
    edge = tiles.Edge()
    full = dict(edge.append(hashes))
    assert edge.root() == merkle.root_of(hashes)
    assert full[tiles.Tile(1, 0, 256)][:32] == merkle.root_of(hashes[:256])
    assert [len(level) // 32 for level in edge.levels] == [44, 1, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1500), st.data())
def test_proofs_from_tiles_are_the_proofs_from_leaves(size: int, data: st.DataObject) -> None:
    hashes = hashes_of(size)
    edge = tiles.Edge()
    stored = dict(edge.append(hashes))
    stored.update(edge.partial())
    index, old_size = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    for ranges, expected in (
        (merkle.inclusion_ranges(index, size), merkle.inclusion_proof(index, hashes)),
        (merkle.consistency_ranges(old_size, size), merkle.consistency_proof(old_size, hashes)),
    ):
        wanted = {tile: stored[tile] for tile in tiles.tiles_for_ranges(ranges, size)}
        assert merkle.proof_of(ranges, lambda a, b, w=wanted: tiles.range_root(a, b, size, w)) == expected


def test_edge_refuses_levels_that_do_not_fit_the_size() -> None:
    for size, levels in ((3, [bytes(64)]), (256, [b""]), (1, [])):
        with pytest.raises(TileInvalidError):
            tiles.Edge(size, levels)


@given(st.lists(st.binary(max_size=400), max_size=256))
def test_bundles_come_back(leaves: list[bytes]) -> None:
    assert tiles.decode_bundle(tiles.encode_bundle(leaves)) == leaves


@pytest.mark.parametrize("data", [b"\0", b"\0\5abcd", b"\0\1", b"\0\0" * 257])
def test_broken_bundles_are_refused(data: bytes) -> None:
    with pytest.raises(TileInvalidError):
        tiles.decode_bundle(data)
