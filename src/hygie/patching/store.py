"""Kept feeds: one compressed file a slot in ``DATA/patching``, named by its digest; the database says which one counts.

A line each: what the package is known under, a tab, the advisory. To match, all lines are passed, and only those of
installed packages are decoded: memory does not grow with the feed.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from hygie.base.files import TEMPORARY_PREFIX, fsync_folder, make_private_folder
from hygie.patching.advisories import SLOTS, Advisory
from hygie.patching.errors import FeedDamagedError, FeedInvalidError
from hygie.patching.reading import FeedReader, digest_of

_LEVEL = 3
RELEASES_MAX = 1_000
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Advisory)
_LINE_BYTES_MAX = 32 << 20


@dataclass(frozen=True, slots=True)
class Feed:
    """A kept feed. content: SHA-256 of the kept file; sha256: of what was brought; newest_ms: 0 when it tells none;
    releases: of the system that it speaks of, one without a name for what knows none."""

    slot: str
    sha256: str
    content: str
    advisories: int
    newest_ms: int
    brought_ms: int
    releases: tuple[str, ...] = ("",)

    @property
    def as_of_ms(self) -> int:
        """What it may be relied on for: its newest record, or the day it was brought where records tell no date."""
        return min(self.newest_ms or self.brought_ms, self.brought_ms)


@dataclass(slots=True)
class _Slot:
    path: Path
    writer: zstandard.ZstdCompressionWriter
    lines: int = 0
    releases: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Shelf:
    """The folder of kept feeds."""

    folder: Path
    _slots: dict[str, _Slot] = field(default_factory=dict)

    def take(self, file: BinaryIO, sha256: str, now_ms: int) -> list[Feed]:
        """Write what a feed says, a file for each slot it fills. Those that were there stay until :meth:`keep_only`.

        Args: file: at its start, its digest checked. Raises: FeedInvalidError; OSError.
        """
        make_private_folder(self.folder)
        reader = FeedReader(file)
        self._slots = {}
        try:
            with ExitStack() as stack:
                for slot, key, advisory in reader.told():
                    kept = self._slots.get(slot) or self._begin(slot, stack)
                    kept.writer.write(key.encode() + b"\t" + _ENCODER.encode(advisory) + b"\n")
                    kept.lines += 1
                    kept.releases.add(key.split("/")[1])
                    if len(kept.releases) > RELEASES_MAX:
                        raise FeedInvalidError(where="-", reason=f"> {RELEASES_MAX} releases")
            if not self._slots:
                raise FeedInvalidError(where="-", reason=f"nothing of {', '.join(SLOTS)}")
            newest_ms = min(reader.newest_ms, now_ms)  # a date to come must not refuse every later feed
            return [self._named(slot, one, sha256, newest_ms, now_ms) for slot, one in self._slots.items()]
        except BaseException:
            for one in self._slots.values():
                if one.path.name.startswith(TEMPORARY_PREFIX):
                    one.path.unlink(missing_ok=True)
            raise

    def _begin(self, slot: str, stack: ExitStack) -> _Slot:
        path = self.folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        file = stack.enter_context(os.fdopen(descriptor, "wb"))
        writer = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False)
        stack.callback(lambda: os.fsync(file.fileno()))
        stack.callback(file.flush)
        self._slots[slot] = _Slot(path, stack.enter_context(writer))
        return self._slots[slot]

    def _named(self, slot: str, one: _Slot, sha256: str, newest_ms: int, now_ms: int) -> Feed:
        content = digest_of(one.path)
        one.path = one.path.replace(self._path(slot, content))
        fsync_folder(self.folder)
        return Feed(slot, sha256, content, one.lines, newest_ms, now_ms, tuple(sorted(one.releases)))

    def _path(self, slot: str, content: str) -> Path:
        return self.folder / f"{slot.lower()}-{content[:32]}.zst"

    def keep_only(self, feeds: Collection[Feed]) -> None:
        """Remove the files of no feed. Raises: OSError."""
        wanted = {self._path(one.slot, one.content) for one in feeds}
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path not in wanted:
                path.unlink(missing_ok=True)

    def advisories(self, feed: Feed, keys: Collection[bytes]) -> Iterator[tuple[bytes, Advisory]]:
        """(key, advisory) of these packages. Raises: FeedDamagedError: not what was brought, or gone."""
        path = self._path(feed.slot, feed.content)
        wanted = frozenset(keys)
        try:
            if digest_of(path) != feed.content:
                raise FeedDamagedError(feed=feed.slot)
            with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
                for line in _lines(stream):
                    key, _, told = line.partition(b"\t")
                    if key in wanted:
                        yield key, _DECODER.decode(told)
        except (OSError, zstandard.ZstdError, msgspec.DecodeError) as error:
            raise FeedDamagedError(feed=feed.slot) from error


def _lines(stream: zstandard.ZstdDecompressionReader) -> Iterator[bytes]:
    reader = io.BufferedReader(stream, 1 << 20)
    while line := reader.readline(_LINE_BYTES_MAX):
        yield line
