"""A file that another program writes, followed page by page through its rotation, by renaming or by copying.

A mark says how far: which file, how many bytes, and a digest of its first and last bytes that were read. What was cut,
replaced or lost in between is told, never passed over. Pure of state: whoever keeps the mark goes on from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

PAGE_BYTES = 256 * 1024
LINE_BYTES_MAX = 64 * 1024  # journald cuts at 48 KiB, syslog at 8
PRINT_BYTES = 256  # of the beginning, and of what was read last
FILES_MAX = 1_000  # of one log, with those that rotation set aside
PACKED = (".gz", ".xz", ".zst", ".bz2", ".lz4")
_ASIDE = re.compile(r"[.-]\d[\w.-]*")  # .1, -20261128: how rotation calls what it sets aside
ROTATED, TRUNCATED, LOST = "log.rotated", "log.truncated", "log.lost"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far one log was followed. print: of the bytes that were read; modified_ns: of the file then; skipping: in the
    middle of a line that was too long."""

    device: int
    inode: int
    offset: int = 0
    print: str = ""
    modified_ns: int = 0
    skipping: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log lies. family: every file of the folder whose name begins like ``path``'s is one of its parts, the one
    that was written last being the newest; otherwise the newest is ``path`` itself."""

    path: Path
    family: bool = False

    def files(self) -> list[Path]:
        """Its parts, the one that was written first before the others. Raises: OSError."""
        found: list[tuple[int, str, Path]] = []
        with os.scandir(self.path.parent) as entries:
            for entry in entries:
                if self._has(entry.name) and len(found) < FILES_MAX:
                    with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                        if entry.is_file():
                            found.append((entry.stat().st_mtime_ns, entry.name, Path(entry.path)))
        return [path for _, _, path in sorted(found)]

    def _has(self, name: str) -> bool:
        if not name.startswith(self.path.name) or name.endswith(PACKED):
            return False
        rest = name.removeprefix(self.path.name)
        return self.family or not rest or _ASIDE.fullmatch(rest) is not None


@dataclass(slots=True)
class Piece:
    """lines: without their ends, in order; cut: how many were too long; told: what happened to the file; more: whether
    there is probably another page."""

    lines: list[bytes] = field(default_factory=list)
    cut: int = 0
    told: list[str] = field(default_factory=list)
    mark: Mark | None = None
    more: bool = False


def end_of(place: Place) -> Mark | None:
    """The mark after all that is there now; None where nothing is. Raises: OSError: it is there, and unreadable."""
    try:
        files = place.files() if place.family else [place.path]
        if not files:
            return None
        with _opened(files[-1]) as file:
            return file.mark(file.size)
    except FileNotFoundError:
        return None


def read(place: Place, mark: Mark | None) -> Piece:
    """What comes after a mark, a page at most; without one, from the beginning of its first part.

    Raises: OSError: nothing is there, or it cannot be read: the mark holds.
    """
    piece = Piece(mark=mark)
    if mark is None:
        files = place.files() if place.family else [place.path]
        if not files:
            raise FileNotFoundError(place.path)
        with _opened(files[0]) as file:
            mark = file.mark(0)
    with contextlib.ExitStack() as stack:
        found = _found(place, mark, stack)
        if found is None:
            with _opened(_first_after(place, mark)) as file:
                cut = (file.device, file.inode) == (mark.device, mark.inode)
                piece.told.append(TRUNCATED if cut else LOST)
                piece.mark, piece.more = file.mark(0), True
            return piece
        after = _next(place, mark, found)
        found.size = os.fstat(found.descriptor).st_size  # after that: whoever writes there has left this one
        _take(piece, found, mark, last=after is not None)
        if after is not None and piece.mark is not None and piece.mark.offset >= found.size:
            piece.mark, piece.more = after, True
            piece.told += [] if place.family else [ROTATED]
    return piece


@dataclass(slots=True)
class _File:
    path: Path
    descriptor: int
    device: int
    inode: int
    size: int
    modified_ns: int

    def mark(self, offset: int, *, skipping: bool = False) -> Mark:
        return Mark(
            device=self.device,
            inode=self.inode,
            offset=offset,
            print=self.print(offset),
            modified_ns=self.modified_ns,
            skipping=skipping,
        )

    def print(self, offset: int) -> str:
        """A digest of the first bytes, and of those before an offset."""
        first = min(PRINT_BYTES, offset)
        told = os.pread(self.descriptor, first, 0) + os.pread(self.descriptor, first, offset - first)
        return hashlib.sha256(told).hexdigest() if offset else ""

    def is_of(self, mark: Mark) -> bool:
        """Whether it holds what was read, up to the mark."""
        return self.size >= mark.offset and self.print(mark.offset) == mark.print


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_File]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(path)
        yield _File(path, descriptor, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    finally:
        os.close(descriptor)


def _found(place: Place, mark: Mark, stack: contextlib.ExitStack) -> _File | None:
    """The file of a mark: under its name, under another one, or a copy of it."""
    copy: _File | None = None
    first = [] if place.family else [place.path]
    for path in (*first, *reversed(_parts(place))):
        with contextlib.ExitStack() as one:
            try:
                file = one.enter_context(_opened(path))
            except FileNotFoundError:
                continue
            same = (file.device, file.inode) == (mark.device, mark.inode)
            if file.is_of(mark) and (same or (copy is None and mark.offset)):
                stack.push(one.pop_all())
                if same:
                    return file
                copy = file
    return copy


def _parts(place: Place) -> list[Path]:
    """The others are looked at only when the first is not it."""
    try:
        return place.files()
    except FileNotFoundError:
        return []


def _next(place: Place, mark: Mark, found: _File) -> Mark | None:
    """The beginning of the part that comes after one; None while it is the newest, or the newest is still empty."""
    if not place.family and found.path == place.path:
        return None
    for path in (*_parts(place), *([] if place.family else [place.path])):  # the clock may have gone back
        with contextlib.suppress(FileNotFoundError), _opened(path) as file:
            newer = (file.modified_ns, path.name) > (found.modified_ns, found.path.name)
            other = (file.device, file.inode) != (found.device, found.inode)
            copy = mark.offset > 0 and file.is_of(mark)
            if file.size and other and not copy and (newer or path == place.path):
                return file.mark(0)
    return None


def _first_after(place: Place, mark: Mark) -> Path:
    """Where to go on when the file of a mark is gone: its first part that was written since."""
    parts = _parts(place)
    later = [path for path in parts if path.stat().st_mtime_ns > mark.modified_ns]
    if place.family:
        if not parts:
            raise FileNotFoundError(place.path)
        return later[0] if later else parts[-1]
    return later[0] if later else place.path


def _take(piece: Piece, file: _File, mark: Mark, *, last: bool) -> None:
    """One page of a file. last: nothing more will be written there."""
    data = os.pread(file.descriptor, PAGE_BYTES, mark.offset)
    at, skipping = mark.offset, mark.skipping
    if skipping:
        end = data.find(b"\n")
        at += len(data) if end < 0 else end + 1
        data, skipping = (b"", True) if end < 0 else (data[end + 1 :], False)
    whole, newline, rest = data.rpartition(b"\n")
    found = whole.split(b"\n") if newline else []
    at += len(whole) + len(newline)
    if len(rest) > LINE_BYTES_MAX or (rest and last and at + len(rest) >= file.size):
        found.append(rest)
        at += len(rest)
        skipping = not last or at < file.size
    piece.lines = [one[:LINE_BYTES_MAX] for one in found if one.strip()]
    piece.cut = sum(len(one) > LINE_BYTES_MAX for one in found)
    piece.mark = file.mark(at, skipping=skipping)
    piece.more = mark.offset < at < file.size
