"""Words of canaries in a stream of bytes, and in what its compressed frames (zstd, gzip, members of ZIP) open to.

Frames are opened as the bytes pass, wherever they begin, within one another, and to their end: what they open to is
bounded for a whole stream, and one that was not opened to its end says so.

Sources: RFC 8878 (zstd), RFC 1952 (gzip), PKWARE's APPNOTE 6.3.10, 4.3.7 (local file header of ZIP).
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final, Protocol

import zstandard

from hygie.probes.canaries.record import Canary
from hygie.probes.needles import compile_needles

OPENED_BYTES_MAX = 512 << 20  # of one stream: a frame that opens to more is told, instead of opened for hours
LAYERS_MAX = 8  # frames within frames
AT_ONCE_MAX = 8  # frames open at the same place: bytes that look like a frame stop to within some dozens
BEGUN_BYTES = 1_024  # what a frame that is begun costs of them, whatever it opens to
CHANCE_BYTES_MAX = 4_096  # opened of what is no frame: what broke after more than that was one
_ZSTD_BYTES = 256  # given at once: they open to 8 MiB at most
_DEFLATE_BYTES = 8_192  # likewise
_WINDOW_BYTES_MAX = 1 << 31  # that a zstd frame may ask for: only what it fills is taken
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1


class _Decoder(Protocol):
    def decompress(self, data: bytes | memoryview, /) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class _UnknownMethodError(Exception):
    """A member of a ZIP that is compressed otherwise than by deflate."""


class _ZipMember:
    """A member of a ZIP from its local header on, sizes unread: deflate says where it ends. One that is stored was read
    already as it is; one that a password closes is read by nobody else."""

    def __init__(self) -> None:
        self._head = b""
        self._by = zlib.decompressobj(-zlib.MAX_WBITS)
        self._begun = False
        self._passed = False

    @property
    def eof(self) -> bool:
        return self._passed or self._by.eof

    @property
    def unused_data(self) -> bytes:
        return self._head if self._passed else self._by.unused_data

    def decompress(self, data: bytes | memoryview) -> bytes:
        if self._begun:
            return self._by.decompress(data)
        self._head += bytes(data)
        if len(self._head) < _LOCAL_HEADER.size:
            return b""
        _, _, flags, method, *_, name, extra = _LOCAL_HEADER.unpack_from(self._head)
        if flags & _ENCRYPTED or method == _STORED:
            self._passed = True
            return b""
        if method != _DEFLATED:
            raise _UnknownMethodError
        body = _LOCAL_HEADER.size + name + extra
        if len(self._head) < body:
            return b""
        self._begun, head, self._head = True, self._head, b""
        return self._by.decompress(head[body:])


def _zstd() -> _Decoder:
    return zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX).decompressobj()


def _gzip() -> _Decoder:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


# How a frame begins → who opens it, and how many bytes he is given at once.
_FRAMES: Final[Mapping[bytes, tuple[Callable[[], _Decoder], int]]] = {
    b"\x28\xb5\x2f\xfd": (_zstd, _ZSTD_BYTES),
    b"\x1f\x8b\x08": (_gzip, _DEFLATE_BYTES),
    b"PK\x03\x04": (_ZipMember, _DEFLATE_BYTES),
}
_BEGINS = re.compile(b"|".join(map(re.escape, _FRAMES)))


class Finder:
    """Every word of some canaries, sought at once. Args: canaries: one at least."""

    def __init__(self, canaries: Sequence[Canary]) -> None:
        self._owner = {needle: canary.name for canary in canaries for needle in canary.needles()}
        self._pattern, self.longest = compile_needles(self._owner)

    def seek(self, data: bytes) -> str:
        """The name of a canary whose word is in some bytes, as they are or in what their frames open to; or nothing."""
        return Stream(self).feed(data)

    def plain(self, data: bytes) -> str:
        """The name of a canary whose word is in some bytes as they are, or nothing."""
        found = self._pattern.search(data)
        if found is None:
            return ""
        at = found.start()  # the first byte of the needle is what the pattern consumes
        text = data[at : at + self.longest]
        return next(name for needle, name in self._owner.items() if text.startswith(needle))

    def works(self) -> bool:
        """Whether it sees a word that it knows, in clear and in each kind of frame, and none where there is none: one
        that sees nothing must not look like a clean place."""
        noise = os.urandom(2_000).hex().encode()  # text enough for its letters to be coded, not stored
        sample = noise + next(iter(self._owner)) + noise
        gzip = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        archive = BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
            members.writestr("sample", sample)
        shown = (
            *(sample, zstandard.ZstdCompressor().compress(sample), gzip.compress(sample) + gzip.flush()),
            archive.getvalue(),
        )
        return all(self.seek(os.urandom(100) + one) for one in shown) and not self.seek(os.urandom(100))


@dataclass(slots=True)
class _Budget:
    """What a stream may still open, all its frames together. closed: something was not opened to its end."""

    bytes: int = field(default_factory=lambda: OPENED_BYTES_MAX)
    closed: bool = False


class Stream:
    """Bytes in their order, whatever their cuts, and what they open to.

    Bytes that a frame holds begin others: those that lie stored in it, cut by its own marks, and will be opened whole
    inside it. They are tried like any, and not missed when they break.
    """

    def __init__(self, finder: Finder, budget: _Budget | None = None, layer: int = 0) -> None:
        self._finder = finder
        self._budget = budget or _Budget()
        self._layer = layer
        self._tail = b""
        self._at = 0  # bytes that were fed
        self._held = 0  # how many of them, and of those to come, frames hold
        self._frames: list[_Frame] = []

    @property
    def closed(self) -> bool:
        """Whether something of it was not opened to its end: too large, broken, or of a method that is not known."""
        return self._budget.closed

    @property
    def opened(self) -> int:
        """Bytes that its frames opened to."""
        return OPENED_BYTES_MAX - self._budget.bytes

    def feed(self, data: bytes) -> str:
        """Take what comes next. Returns the name of a canary whose word is there, or nothing."""
        window = self._tail + data
        if name := self._finder.plain(window):
            return name
        first = self._at - len(self._tail)
        self._at += len(data)
        for frame in self._frames:
            if name := self._go_on(frame, data):
                return name
        self._frames = [one for one in self._frames if not one.ended]
        if self._layer < LAYERS_MAX:
            for begin in _BEGINS.finditer(window):
                if begin.end() > len(self._tail):
                    kept = memoryview(window)[begin.start() :]
                    if name := self._begin(begin[0], kept, first + begin.start()):
                        return name
        self._tail = window[-self._finder.longest :]
        return ""

    def _begin(self, kind: bytes, data: memoryview, at: int) -> str:
        inner = at < self._held
        self._budget.bytes -= BEGUN_BYTES
        if self._budget.bytes < 0 or len(self._frames) >= AT_ONCE_MAX:
            self._budget.closed |= self._budget.bytes < 0 or not inner
            return ""
        decoder, at_once = _FRAMES[kind]
        inside = Stream(self._finder, self._budget, self._layer + 1)
        frame = _Frame(decoder(), at_once, self._budget, inside, begun=at, inner=inner)
        name = self._go_on(frame, data)
        if not frame.ended:
            self._frames.append(frame)
        return name

    def _go_on(self, frame: _Frame, data: bytes | memoryview) -> str:
        name = frame.feed(data)
        self._held = max(self._held, frame.until if frame.ended else self._at)
        return name


class _Frame:
    """One compressed frame, opened as its bytes pass. Bytes that look like the beginning of one end it at once.

    until: where it ended in its stream; 0 when it broke.
    """

    def __init__(self, by: _Decoder, at_once: int, budget: _Budget, inside: Stream, *, begun: int, inner: bool) -> None:
        self._by = by
        self._at_once = at_once
        self._budget = budget
        self._inside = inside
        self._taken = begun
        self._inner = inner
        self._given = 0
        self.ended = False
        self.until = 0

    def feed(self, data: bytes | memoryview) -> str:
        """Open what comes next. Returns the name of a canary whose word is there, or nothing."""
        view = memoryview(data)
        for at in range(0, len(view), self._at_once):
            part = view[at : at + self._at_once]
            try:
                opened = self._by.decompress(part)
            except (zlib.error, zstandard.ZstdError):
                certain = self._given > CHANCE_BYTES_MAX or isinstance(self._by, _ZipMember)
                self._end(closed=certain and not self._inner)
                return ""
            except _UnknownMethodError:
                self._end(closed=not self._inner)
                return ""
            self._taken += len(part)
            self._given += len(opened)
            self._budget.bytes -= len(opened)
            if opened and (name := self._inside.feed(opened)):
                return name
            if self._by.eof:
                self.until = self._taken - len(self._by.unused_data)
                self._end(closed=False)
                return ""
            if self._budget.bytes < 0:
                self._end(closed=True)
                return ""
        return ""

    def _end(self, *, closed: bool) -> None:
        self.ended = True
        self._budget.closed |= closed
