"""Check an export from the signed root down to each entry, and name the first bad index.

Order, each step trusting only the one before: signature (and cosignature) of the checkpoint; the tree's right edge
against the signed root; each full tile against its parent's hash; each entry against its tile.  The first step that
fails names the narrowest range of indexes that the export allows: one entry when its tile is sound.
Source: docs/formats/journal-export.md v1.  Speed: the loop over entries makes two hashes an entry and no object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from hygie.journal.checkpoint import (
    NOTE_BYTES_MAX,
    Checkpoint,
    VerifierKey,
    verify_checkpoint,
    verify_cosignature,
)
from hygie.journal.errors import (
    CheckpointInvalidError,
    JournalTamperedError,
    LeafInvalidError,
    TileInvalidError,
)
from hygie.journal.leaf import open_disclosed, read_head
from hygie.journal.merkle import HASH_BYTES, joined_root
from hygie.journal.tiles import (
    BUNDLE,
    BUNDLE_BYTES_MAX,
    CHECKPOINT,
    TILE_BYTES,
    TILE_WIDTH,
    Edge,
    Tile,
    partial_tiles,
    tile_at,
)
from hygie.verify.errors import ExportInvalidError
from hygie.verify.source import Source

FORMAT = "hygie journal export 1"
PAPER_BYTES_MAX = 64 * 1024
DISCLOSED_BYTES_MAX = 256 * 1024 * 1024
SELECTED_BYTES_MAX = 16 * 1024 * 1024
BACKDATED_MS = 600_000  # clocks of hosting processes differ by seconds, an entry waits at most minutes for its index
BACKDATED_MAX = 100  # entries of evidence are told beyond it: others must not use it up for them
ACCESS, EVIDENCE = b"\1", b"\5"  # classes of entries, in the clear head of a leaf
_PROVEN = frozenset(("index", "kind", "tenant", "at_ms"))  # what is shown of the tree and of the head, not of the body


@dataclass(slots=True)
class Report:
    """What was proven.

    size: entries of the signed tree; start, end: indexes covered; entries: leaves checked; cosigned_s: when the witness
    cosigned, None without; *_trusted: the key was given, not taken from the export; backdated: (index, ms behind the
    latest before it), the first ones, and of evidence all; selected: one tenant's entries, each proven to be in the
    journal, without proof that there is no other.
    """

    origin: str
    size: int
    root: str
    start: int
    end: int
    selected: bool
    entries: int = 0
    log_key_trusted: bool = False
    witness_key_trusted: bool = False
    cosigned_s: int | None = None
    earlier_checkpoints: int = 0
    backdated: list[tuple[int, int]] = field(default_factory=list)
    disclosed: int = 0


@dataclass
class Verifier:
    """Checks one export.

    log_key, witness_key: as their owners published them; without them the export's own are used, and the report says
    that they are not trusted; show: called with each disclosed entry; look: with each leaf, not checked yet.
    """

    source: Source
    log_key: VerifierKey | None = None
    witness_key: VerifierKey | None = None
    show: Callable[[int, dict[str, Any]], None] | None = None
    look: Callable[[int, bytes], None] | None = None
    _tiles: dict[Tile, bytes] = field(default_factory=dict)
    _disclosures: dict[int, bytes] = field(default_factory=dict)
    _to_open: list[tuple[int, bytes]] = field(default_factory=list)
    _latest_ms: int = 0

    def run(self) -> Report:
        """Check everything.

        Raises: JournalTamperedError: names the first bad index; CheckpointInvalidError; TileInvalidError: entries are
        sound but a tile of the export is not; ExportInvalidError: cannot be read.
        """
        about = self._about()
        note = self.source.read(CHECKPOINT, bytes_max=NOTE_BYTES_MAX)
        log_key = self.log_key or self._key("log.pub")
        if log_key is None:
            raise ExportInvalidError(reason="no public key")
        self._head = verify_checkpoint(note, log_key=log_key)
        if self._head.size != about["size"]:
            raise CheckpointInvalidError(reason="its size is not the export's")
        span = (about["start"], about["end"], about["selected"])
        self._report = Report(self._head.origin, self._head.size, self._head.root.hex(), *span)
        self._report.log_key_trusted = self.log_key is not None
        self._check_witness(note)
        self._read_disclosures()
        self._check_edge(log_key)
        (self._check_selected if about["selected"] else self._check_bundles)()
        self._check_earlier(log_key)
        if self._disclosures:
            raise JournalTamperedError(index=min(self._disclosures), reason="disclosed, but not in the export")
        return self._report

    def _about(self) -> dict[str, Any]:
        try:
            about = json.loads(self.source.read("export.json", bytes_max=PAPER_BYTES_MAX))
            numbers = [about[name] for name in ("size", "start", "end")]
            whole = all(type(number) is int for number in numbers) and type(about["selected"]) is bool
            if about["format"] != FORMAT or not whole or not 0 <= numbers[1] < numbers[2] <= numbers[0]:
                raise ExportInvalidError(reason="export.json")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ExportInvalidError(reason="export.json") from error
        return dict(about)

    def _key(self, name: str) -> VerifierKey | None:
        text = self.source.read_if_there(name, bytes_max=PAPER_BYTES_MAX)
        return None if text is None else VerifierKey.parse(text.decode("utf-8", "replace"))

    def _check_witness(self, note: bytes) -> None:
        key = self.witness_key or self._key("witness.pub")
        try:
            self._report.cosigned_s = None if key is None else verify_cosignature(note, witness_key=key)
        except CheckpointInvalidError:
            if self.witness_key is not None:
                raise
        self._report.witness_key_trusted = self.witness_key is not None

    def _check_edge(self, log_key: VerifierKey) -> None:
        """The right edge against the signed root; on failure, find where the export left the signed journal."""
        for tile in partial_tiles(self._head.size):
            self._tiles[tile] = self.source.read(tile.name, bytes_max=TILE_BYTES)
            if len(self._tiles[tile]) != tile.width * HASH_BYTES:
                raise TileInvalidError(name=tile.name)
        if self._root_at(self._head.size, trusted=True) != self._head.root:
            self._locate(log_key)

    def _locate(self, log_key: VerifierKey) -> None:
        """The edge is false: compare entries with unproven tiles, then signed sizes.

        Raises: always.
        """
        for first, hashes in () if self._report.selected else self._bundle_hashes():
            tile = tile_at(0, first // TILE_WIDTH, self._head.size)
            data = self.source.read(tile.name, bytes_max=TILE_BYTES)
            if hashes != data:
                raise JournalTamperedError(index=_first_difference(first, hashes, data), reason="not the signed entry")
            if tile.width == TILE_WIDTH:
                parent = tile_at(1, tile.number // TILE_WIDTH, self._head.size)
                above = self.source.read(parent.name, bytes_max=TILE_BYTES)
                if above[tile.number % TILE_WIDTH * HASH_BYTES :][:HASH_BYTES] != joined_root(data):
                    raise JournalTamperedError(index=first, reason="not the signed entries of this tile")
        low = 0
        for checkpoint, root in self._earlier(log_key, trusted=False):
            if root != checkpoint.root:
                raise JournalTamperedError(index=low, reason=f"between the signed sizes {low} and {checkpoint.size}")
            low = checkpoint.size
        raise JournalTamperedError(index=low, reason=f"between the signed sizes {low} and {self._head.size}")

    def _check_bundles(self) -> None:
        for first, hashes in self._bundle_hashes(watch=True):
            tile = self._tile(tile_at(0, first // TILE_WIDTH, self._head.size), first)
            if hashes != tile:
                raise JournalTamperedError(index=_first_difference(first, hashes, tile), reason="not the signed entry")
            for index, leaf in self._to_open:  # only now: a misplaced entry must be named for what it is
                self._open(index, leaf)
            self._to_open.clear()
            self._report.entries += len(hashes) // HASH_BYTES

    def _bundle_hashes(self, *, watch: bool = False) -> Iterator[tuple[int, bytes]]:
        """(first index, concatenated leaf hashes) of each bundle of the export; ``watch``: instants, disclosures."""
        start, end = self._report.start, self._report.end
        for number in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
            first = number * TILE_WIDTH
            tile = tile_at(BUNDLE, number, self._head.size)
            data = self.source.read_if_there(tile.name, bytes_max=BUNDLE_BYTES_MAX)
            if data is None:
                raise JournalTamperedError(index=first, reason="entries are absent from the export")
            yield first, self._hash_bundle(first, data) if watch else _hash_bundle(data)

    def _hash_bundle(self, first: int, data: bytes) -> bytes:
        """The leaf hashes of a bundle, watching instants and disclosures on the way."""
        leaves = _cut(data)
        hashes = b"".join([sha256(b"\0" + leaf).digest() for leaf in leaves])
        if self.look is not None:
            for index, leaf in enumerate(leaves, first):
                self.look(index, leaf)
        stamps = [leaf[24:32] for leaf in leaves]
        # Big-endian bytes sort as their numbers: one comparison for a bundle in which nothing is behind.
        latest_ms = max(self._latest_ms, int.from_bytes(max(stamps, default=b""), "big"))
        if stamps and int.from_bytes(min(stamps), "big") + BACKDATED_MS < latest_ms:
            for index, leaf in enumerate(leaves, first):
                self._watch_instant(index, leaf)
        self._latest_ms = latest_ms
        if self._disclosures:
            self._to_open = [item for item in enumerate(leaves, first) if item[0] in self._disclosures]
        return hashes

    def _check_selected(self) -> None:
        last = -1
        for index, leaf in self._selected():
            if not self._report.start <= index < self._report.end or index <= last:
                raise JournalTamperedError(index=index, reason="out of order")
            last = index
            tile = self._tile(tile_at(0, index // TILE_WIDTH, self._head.size), index)
            at = index % TILE_WIDTH * HASH_BYTES
            if sha256(b"\0" + leaf).digest() != tile[at : at + HASH_BYTES]:
                raise JournalTamperedError(index=index, reason="not the signed entry")
            self._watch_instant(index, leaf)
            if self.look is not None:
                self.look(index, leaf)
            if index in self._disclosures:
                self._open(index, leaf)
            self._report.entries += 1

    def _selected(self) -> Iterator[tuple[int, bytes]]:
        for name in self.source.names("selected/"):
            data = self.source.read(name, bytes_max=SELECTED_BYTES_MAX)
            at = 0
            while at < len(data):
                start = at + 10
                end = start + int.from_bytes(data[at + 8 : start], "big")
                if end > len(data):
                    raise ExportInvalidError(reason=f"{name} is cut")
                yield int.from_bytes(data[at : at + 8], "big"), data[start:end]
                at = end

    def _tile(self, tile: Tile, first: int) -> bytes:
        """A tile, checked up to the signed root.

        Raises: JournalTamperedError: it is not the signed one, and neither are its entries; TileInvalidError: its
        entries are the signed ones, only the tile is damaged.
        """
        if tile in self._tiles:
            return self._tiles[tile]
        parent = self._tile(tile_at(tile.level + 1, tile.number // TILE_WIDTH, self._head.size), first)
        at = tile.number % TILE_WIDTH * HASH_BYTES
        data = self.source.read(tile.name, bytes_max=TILE_BYTES)
        if len(data) != TILE_BYTES or joined_root(data) != parent[at : at + HASH_BYTES]:
            self._blame(tile, first, data, parent[at : at + HASH_BYTES])
        if len(self._tiles) > 4096:
            self._tiles = {kept: value for kept, value in self._tiles.items() if kept.level or kept.width < TILE_WIDTH}
        self._tiles[tile] = data
        return data

    def _blame(self, tile: Tile, first: int, data: bytes, expected: bytes) -> None:
        """A full tile is false. Say whether its entries are too.

        Raises: always.
        """
        bundle = self.source.read_if_there(Tile(BUNDLE, tile.number, TILE_WIDTH).name, bytes_max=BUNDLE_BYTES_MAX)
        if tile.level == 0 and bundle is not None:
            hashes = _hash_bundle(bundle)
            if hashes and len(hashes) == TILE_BYTES and joined_root(hashes) == expected:
                raise TileInvalidError(name=tile.name)
            if hashes != data:
                raise JournalTamperedError(index=_first_difference(first, hashes, data), reason="not the signed entry")
        raise JournalTamperedError(index=first, reason=f"not the signed entries of {tile.name}")

    def _check_earlier(self, log_key: VerifierKey) -> None:
        """Earlier checkpoints must be prefixes of this tree."""
        for checkpoint, root in self._earlier(log_key, trusted=True):
            if root != checkpoint.root:
                raise JournalTamperedError(index=checkpoint.size - 1, reason="an earlier signed journal differs")
            self._report.earlier_checkpoints += 1

    def _earlier(self, log_key: VerifierKey, *, trusted: bool) -> Iterator[tuple[Checkpoint, bytes]]:
        """Earlier checkpoints, smallest first, each with the root of this export at its size."""
        notes = [self.source.read(name, bytes_max=NOTE_BYTES_MAX) for name in self.source.names("checkpoints/")]
        found = [verify_checkpoint(note, log_key=log_key) for note in notes]
        for checkpoint in sorted(one for one in found if 0 < one.size <= self._head.size):
            try:
                root = self._root_at(checkpoint.size, trusted=trusted)
            except ExportInvalidError:
                continue  # the export does not hold that edge
            yield checkpoint, root

    def _root_at(self, size: int, *, trusted: bool) -> bytes:
        levels: list[bytes] = []
        for tile in partial_tiles(size):
            levels += [b""] * (tile.level - len(levels))
            here = tile_at(tile.level, tile.number, self._head.size)
            first = tile.number * TILE_WIDTH
            data = self._tile(here, first) if trusted else self.source.read(here.name, bytes_max=TILE_BYTES)
            levels.append(data[: tile.width * HASH_BYTES])
        return Edge(size, levels).root()

    def _read_disclosures(self) -> None:
        data = self.source.read_if_there("disclosed.jsonl", bytes_max=DISCLOSED_BYTES_MAX)
        try:
            for line in (data or b"").splitlines():
                item = json.loads(line)
                if type(item["index"]) is not int:
                    raise ExportInvalidError(reason="disclosed.jsonl")
                self._disclosures[item["index"]] = bytes.fromhex(item["key"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ExportInvalidError(reason="disclosed.jsonl") from error

    def _open(self, index: int, leaf: bytes) -> None:
        try:
            head = read_head(leaf)
            body = json.loads(open_disclosed(leaf, self._disclosures.pop(index)))
        except (LeafInvalidError, ValueError, RecursionError) as error:
            raise JournalTamperedError(index=index, reason="the disclosure is not this entry's") from error
        if not isinstance(body, dict) or body.keys() & _PROVEN:
            raise JournalTamperedError(index=index, reason="its body is not that of an entry")
        self._report.disclosed += 1
        if self.show is not None:
            self.show(index, {"kind": head.kind, "tenant": head.tenant_id.hex(), "at_ms": head.at_ms, **body})

    def _watch_instant(self, index: int, leaf: bytes) -> None:
        at_ms, told = int.from_bytes(leaf[24:32], "big"), self._report.backdated
        if self._latest_ms - at_ms > BACKDATED_MS and (len(told) < BACKDATED_MAX or leaf[4:5] == EVIDENCE):
            told.append((index, self._latest_ms - at_ms))
        self._latest_ms = max(self._latest_ms, at_ms)


def _hash_bundle(data: bytes) -> bytes:
    return b"".join([sha256(b"\0" + leaf).digest() for leaf in _cut(data)])


def _cut(data: bytes) -> list[bytes]:
    """The leaves of a bundle. A cut one is left out: its hash will be missed and named."""
    leaves: list[bytes] = []
    at, last = 0, len(data) - 2
    while at <= last:
        start = at + 2
        at = start + (data[at] << 8) + data[at + 1]
        leaves.append(data[start:at])
    if at > len(data):
        leaves.pop()
    return leaves


def _first_difference(first: int, hashes: bytes, expected: bytes) -> int:
    """The index of the first hash that is not the expected one (or is absent, or one too many)."""
    for at in range(0, max(len(hashes), len(expected)), HASH_BYTES):
        if hashes[at : at + HASH_BYTES] != expected[at : at + HASH_BYTES]:
            return first + at // HASH_BYTES
    return first
