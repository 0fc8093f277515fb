"""Write an export: what a stranger needs to check entries alone. Source: docs/formats/journal-export.md v1."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hygie.base.files import PRIVATE_FILE, PRIVATE_FOLDER, fsync_folder
from hygie.journal.checkpoint import VerifierKey
from hygie.journal.entry import Entry, decode_entry
from hygie.journal.errors import EntryNotFoundError, LeafInvalidError
from hygie.journal.leaf import disclosure_of, open_disclosed, read_head
from hygie.journal.published import PublishedTree
from hygie.journal.tiles import BUNDLE, CHECKPOINT, TILE_WIDTH, Tile, encode_bundle, tile_at, tiles_of

if TYPE_CHECKING:
    from hygie.journal.reader import JournalReader

FORMAT = "hygie journal export 1"
EARLIER_MAX = 1000  # checkpoints; spread over the whole journal
SELECTED_BYTES = 8 * 1024 * 1024  # of one file of selected entries: the reader holds one at a time
Disclose = bool | Callable[[Entry], bool]


class Chooser(Protocol):
    """Which entries are in an export of some, and which are disclosed. silent: none is."""

    silent: bool

    def may(self, index: int, leaf: bytes) -> bool:
        """Whether it is exported and may be disclosed, by its clear head."""
        ...

    def takes(self, index: int, entry: Entry) -> bool:
        """Whether it is disclosed, now that it is open."""
        ...


class Sink(Protocol):
    """Where the files of an export go. Called in threads, one call at a time."""

    def add(self, name: str, data: bytes) -> None:
        """One file."""
        ...


class OwnSink(Sink, Protocol):
    """A sink that holds one export and nothing else."""

    @property
    def path(self) -> Path:
        """Told in the result."""
        ...

    def close(self) -> None:
        """No more will come."""
        ...


class _Chosen:
    """What the exports of people choose: one tenant's entries or all, disclosed or not."""

    def __init__(self, tenant_id: bytes | None, disclose: Disclose) -> None:
        self._tenant_id = tenant_id
        self._disclose = disclose
        self.silent = disclose is False

    def may(self, index: int, leaf: bytes) -> bool:
        """See ``Chooser``."""
        del index
        return self._tenant_id is None or leaf[8:24] == self._tenant_id

    def takes(self, index: int, entry: Entry) -> bool:
        """See ``Chooser``."""
        del index
        return self._disclose is True or (callable(self._disclose) and self._disclose(entry))


class Exported(NamedTuple):
    """What was written. start, end: indexes covered; entries: leaves in the export; disclosed: of which readable."""

    path: Path
    start: int
    end: int
    entries: int
    disclosed: int


class FileSink:
    """A new folder or a new ZIP file (stored, not compressed: sealed bytes do not shrink)."""

    def __init__(self, path: Path) -> None:
        """Raises: FileExistsError."""
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        if path.suffix == ".zip":
            path.touch(mode=PRIVATE_FILE, exist_ok=False)  # it discloses entries, as a folder does
            self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        else:
            path.mkdir(mode=PRIVATE_FOLDER)

    def add(self, name: str, data: bytes) -> None:
        """One file."""
        if self._zip is not None:
            self._zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
            return
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def close(self) -> None:
        """Finish the ZIP file."""
        if self._zip is not None:
            self._zip.close()
        fsync_folder(self.path.parent)


class ExportWriter:
    """One export of one tree."""

    def __init__(
        self,
        tree: PublishedTree,
        note: bytes,
        *,
        log_key: VerifierKey,
        witness_key: VerifierKey | None,
        reader: JournalReader,
    ) -> None:
        self._tree = tree
        self._note = note
        self._log_key = log_key
        self._witness_key = witness_key
        self._reader = reader
        self._disclosed: list[str] = []

    async def write(
        self,
        sink: OwnSink,
        start: int,
        end: int,
        *,
        tenant_id: bytes | None,
        disclose: Disclose,
        earlier: Sequence[tuple[int, bytes]],
    ) -> Exported:
        """Write the export of [start, end). See ``JournalReader.export``."""
        chosen = _Chosen(tenant_id, disclose) if tenant_id is not None or disclose is not False else None
        try:
            return await self.fill(
                sink, sink.path, (start, end), chosen, selected=tenant_id is not None, earlier=earlier
            )
        finally:
            await asyncio.to_thread(sink.close)

    async def fill(
        self,
        sink: Sink,
        path: Path,
        span: tuple[int, int],
        chooser: Chooser | None,
        *,
        selected: bool,
        earlier: Sequence[tuple[int, bytes]],
    ) -> Exported:
        """Write the files of an export of [start, end) into a sink, which is left open.

        Args: path: told in the result; chooser: None: nothing is disclosed; selected: only the entries it chooses.
        """
        start, end = span
        if not 0 <= start < end:
            raise EntryNotFoundError(index=start)
        if selected and chooser is not None:
            count, numbers = await self._selected(sink, start, end, chooser)
        else:
            start = start // TILE_WIDTH * TILE_WIDTH
            end = min(-(-end // TILE_WIDTH) * TILE_WIDTH, self._tree.head.size)
            count, numbers = await self._whole(sink, start, end, chooser)
        for tile in [*(tile_at(0, number, self._tree.head.size) for number in numbers), *self._upper(numbers)]:
            await asyncio.to_thread(sink.add, tile.name, await self._tree.tile(tile))
        await asyncio.to_thread(self._add_papers, sink, start, end, selected, earlier)
        return Exported(path, start, end, count, len(self._disclosed))

    def _upper(self, numbers: Sequence[int]) -> list[Tile]:
        """All tiles above level 0 (one hash for 256 entries), and the right edge."""
        size = self._tree.head.size
        tiles = tiles_of(size, lowest=1)
        if size % TILE_WIDTH and size // TILE_WIDTH not in numbers:
            tiles.append(tile_at(0, size // TILE_WIDTH, size))
        return tiles

    async def _whole(self, sink: Sink, start: int, end: int, chooser: Chooser | None) -> tuple[int, list[int]]:
        numbers = []
        async for first, leaves in self._tree.bundles(start, end):
            number = first // TILE_WIDTH
            numbers.append(number)
            tile = tile_at(BUNDLE, number, self._tree.head.size)
            await asyncio.to_thread(sink.add, tile.name, encode_bundle(leaves))
            for index, leaf in enumerate(leaves, first) if chooser is not None else ():
                if chooser is not None and chooser.may(index, leaf):
                    await self._disclose(index, leaf, chooser)
        return end - start, numbers

    async def _selected(self, sink: Sink, start: int, end: int, chooser: Chooser) -> tuple[int, list[int]]:
        parts: list[bytes] = []
        numbers: list[int] = []
        count = size = files = 0
        async for first, leaves in self._tree.bundles(start, end):
            for index, leaf in enumerate(leaves, first):
                if not chooser.may(index, leaf):
                    continue
                count += 1
                parts += (index.to_bytes(8, "big"), len(leaf).to_bytes(2, "big"), leaf)
                size += len(leaf)
                if not numbers or numbers[-1] != index // TILE_WIDTH:
                    numbers.append(index // TILE_WIDTH)
                await self._disclose(index, leaf, chooser)
                if size >= SELECTED_BYTES:
                    await asyncio.to_thread(sink.add, f"selected/{files:06d}", b"".join(parts))
                    parts, size, files = [], 0, files + 1
        await asyncio.to_thread(sink.add, f"selected/{files:06d}", b"".join(parts))
        return count, numbers

    async def _disclose(self, index: int, leaf: bytes, chooser: Chooser) -> None:
        if chooser.silent:
            return
        try:
            key = await self._reader.month_key_of(read_head(leaf))
            if key is None:
                return
            disclosure = disclosure_of(leaf, month_key=key)
            entry = decode_entry(leaf, open_disclosed(leaf, disclosure))
        except LeafInvalidError:
            return  # bytes that are no entry: the tree proves them, nobody can show more
        if chooser.takes(index, entry):
            self._disclosed.append(json.dumps({"index": index, "key": disclosure.hex()}))

    def _add_papers(
        self, sink: Sink, start: int, end: int, selected: bool, earlier: Sequence[tuple[int, bytes]]
    ) -> None:
        size = self._tree.head.size
        about = {"format": FORMAT, "size": size, "start": start, "end": end, "selected": selected}
        sink.add("export.json", json.dumps(about).encode() + b"\n")
        sink.add(CHECKPOINT, self._note)
        for kept_size, note in earlier[:: -(-len(earlier) // EARLIER_MAX) or 1]:
            sink.add(f"checkpoints/{kept_size}", note)
        sink.add("log.pub", f"{self._log_key.encode()}\n".encode())
        if self._witness_key is not None:
            sink.add("witness.pub", f"{self._witness_key.encode()}\n".encode())
        if self._disclosed:
            sink.add("disclosed.jsonl", "\n".join(self._disclosed).encode() + b"\n")
