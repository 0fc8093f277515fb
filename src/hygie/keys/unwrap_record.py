"""The KMS's own record of the keys it gave out: hash-chained, append-only, durable before a key leaves.

Source: docs/formats/kms.md v1, "Unwrap record".  A file is a header line then record lines; each line is
``<hash hex> <json>\\n`` with hash = SHA-256(context | hash of the line before | json).  The header of the next file
carries on from the last hash of the one before, so files cannot be dropped, reordered or cut in the middle.
What a chain without a key cannot show is a cut at the very end, or a chain made anew: the journal anchors its head
(``gate.anchors``), and asks with ``heads`` whether the record still goes through it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from hygie.base.clock import Clock
from hygie.base.files import PRIVATE_FILE, fsync_folder
from hygie.keys.errors import UnwrapRecordBrokenError, UnwrapRecordUnavailableError
from hygie.keys.kms import UnwrapLine

CURRENT_FILE = "unwraps.log"
FILE_BYTES_MAX = 16 * 1024 * 1024  # read whole at each start: 16 MiB takes under 0.2 s
READ_FILES_MAX = 16
READ_COMPARTMENTS_MAX = 1_000_000  # told at once: with ids of 64 bytes, 131 MB; one answer of the socket holds them
FORMAT = "hygie unwrap record v1"
HASH_BYTES = 32
_CONTEXT = FORMAT.encode() + b"\0"
_ZERO = bytes(HASH_BYTES)


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First line of a file. continues: hash (hex) of the last line of the file before; unwraps: keys given before."""

    format: str
    file: int
    continues: str
    line: int
    unwraps: int
    at_ms: int


class UnwrapRecord:
    """The record of one KMS folder, written by one process."""

    def __init__(self, folder: Path, clock: Clock, *, file_bytes_max: int = FILE_BYTES_MAX) -> None:
        self._folder = folder
        self._clock = clock
        self._file_bytes_max = file_bytes_max
        self._lock = threading.Lock()
        self._descriptor = -1
        self._size = 0
        self._file = 0
        self._broken_at: int | None = None
        self.head = _ZERO
        self.lines = 0
        self.unwraps = 0

    def open(self) -> None:
        """Check the current file, cut a line that a crash left half-written, go on from its end.

        Raises: UnwrapRecordBrokenError: the chain is broken (an incident: the file is to be kept as it is).
        """
        path = self._folder / CURRENT_FILE
        if not path.exists():
            finished = closed_files(self._folder)
            if finished:  # a crash between the closing of a file and the start of the next
                end = _Chain()
                for _ in _check_file(self._folder / finished[-1], end):
                    pass
                self.head, self.lines, self.unwraps, self._file = end.head, end.lines, end.unwraps, end.file + 1
            self._start_file()
            return None
        raw = path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        chain = _Chain()
        if whole:
            for _ in _check_lines(CURRENT_FILE, raw[:whole], chain):
                pass
        else:  # the header itself was cut: nothing was ever given out under this file
            path.unlink()
            return self.open()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        if whole != len(raw):
            os.ftruncate(self._descriptor, whole)
            os.fsync(self._descriptor)
        self._size = whole
        self.head, self.lines, self.unwraps, self._file = chain.head, chain.lines, chain.unwraps, chain.file
        return None

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def append(self, lines: Sequence[UnwrapLine]) -> None:
        """Make the lines durable with one fsync; their rank and time are set here.

        Raises: UnwrapRecordUnavailableError: they are not durable (disk full, read-only): no key may leave.
        """
        with self._lock:
            try:
                self._mend()
                if self._descriptor < 0:
                    self._start_file()
                elif self._size >= self._file_bytes_max:
                    self._close_file()
                self._write(lines)
            except OSError as error:
                raise UnwrapRecordUnavailableError() from error

    def read(self, after_line: int, count: int) -> list[UnwrapLine]:
        """Lines of rank above ``after_line``, the chain of the files read being checked.

        At most ``count``, fewer when they name very many compartments or lie in many files; none: there are no more.
        """
        found: list[UnwrapLine] = []
        named = 0
        chain = _Chain()
        with self._opened(after_line, READ_FILES_MAX) as opened:
            for name, file in opened:
                for line in _check_lines(name, file.read(), chain):
                    if line.line > after_line:
                        found.append(line)
                        named += len(line.compartments)
                        if len(found) >= count or named >= READ_COMPARTMENTS_MAX:
                            return found
                chain.continued = True
        return found

    def heads(self, lengths: Sequence[int]) -> list[list[bytes]]:
        """For each length, the hashes that the chain has had at that many lines; none: it is shorter.

        There are two where a file begins: that of the last line and that of the header.  Lines are hashed, not read.
        Raises: UnwrapRecordBrokenError: a file read on the way does not follow.
        """
        if not lengths:
            return []
        found: dict[int, list[bytes]] = {length: [] for length in lengths}
        chain = _Chain()
        with self._opened(min(lengths) - 2) as opened:
            for name, file in opened:
                _hash_file(name, file.read(), chain, found)
                chain.continued = True
                if chain.lines > max(lengths):
                    break
        return [found[length] for length in lengths]

    @contextmanager
    def _opened(self, after_line: int, files_max: int | None = None) -> Iterator[Sequence[tuple[str, BinaryIO]]]:
        """The files, or the first of them, that hold what comes after a line."""
        with ExitStack() as stack:
            with self._lock:  # no file is closed or renamed meanwhile; one that begins later is not looked at
                names = self._from([*closed_files(self._folder), CURRENT_FILE], after_line)[:files_max]
                opened = [(name, stack.enter_context((self._folder / name).open("rb"))) for name in names]
            yield opened

    def _from(self, names: list[str], after_line: int) -> list[str]:
        """Drop the files that end before the line wanted."""
        start = 0
        for rank, name in enumerate(names):
            with (self._folder / name).open("rb") as file:
                header = _header(name, file.readline())
            if header.line <= after_line + 1:
                start = rank
        return names[start:]

    def _write(self, lines: Sequence[UnwrapLine]) -> None:
        now = self._clock.now_ms()
        head, rank, unwraps, out = self.head, self.lines, self.unwraps, []
        for line in lines:
            text = msgspec.json.encode(msgspec.structs.replace(line, line=rank, at_ms=now))
            head = _hash(head, text)
            out.append(head.hex().encode() + b" " + text + b"\n")
            rank += 1
            unwraps += len(line.compartments) if line.outcome == "done" else 0
        self._put(b"".join(out))
        self.head, self.lines, self.unwraps = head, rank, unwraps

    def _put(self, data: bytes) -> None:
        before = self._size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except BaseException:
            self._broken_at = before
            raise
        self._size += len(data)

    def _mend(self) -> None:
        """After a failed write, cut what may be half there before anything else is appended."""
        if self._broken_at is not None:
            os.ftruncate(self._descriptor, self._broken_at)
            os.fsync(self._descriptor)
            self._broken_at = None

    def _close_file(self) -> None:
        name = f"unwraps-{self._file:06d}.log"
        (self._folder / CURRENT_FILE).rename(self._folder / name)
        self.close()
        self._file += 1
        self._start_file()

    def _start_file(self) -> None:
        path = self._folder / CURRENT_FILE
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            os.ftruncate(self._descriptor, 0)
            self._size = 0
            header = Header(FORMAT, self._file, self.head.hex(), self.lines, self.unwraps, self._clock.now_ms())
            text = msgspec.json.encode(header)
            head = _hash(self.head, text)
            self._put(head.hex().encode() + b" " + text + b"\n")
            fsync_folder(self._folder)
        except BaseException:
            self._broken_at = None
            self.close()  # the next append starts this file again
            raise
        self.head = head


def verify_unwrap_record(folder: Path) -> tuple[int, bytes]:
    """Check every file of the record, in order.

    Returns: number of record lines, and the head hash to compare with the one the journal anchored.
    Raises: UnwrapRecordBrokenError: with the file and the line (from 1) of the first bad one.
    """
    chain = _Chain()
    names = closed_files(folder)
    for rank, name in enumerate(names):
        if name != f"unwraps-{rank:06d}.log":
            raise UnwrapRecordBrokenError(file=f"unwraps-{rank:06d}.log", line=1, reason="missing file")
    for name in [*names, CURRENT_FILE]:
        if not (folder / name).exists():
            raise UnwrapRecordBrokenError(file=name, line=1, reason="missing file")
        chain.continued = True
        for _ in _check_file(folder / name, chain):
            pass
    return chain.lines, chain.head


def closed_files(folder: Path) -> list[str]:
    """Names of the files of the record that are full, oldest first."""
    return sorted(path.name for path in folder.glob("unwraps-*.log"))


class _Chain:
    """Where the chain stands. continued: the next header must carry on from here."""

    def __init__(self) -> None:
        self.head = _ZERO
        self.lines = 0
        self.unwraps = 0
        self.file = 0
        self.continued = False


def _check_file(path: Path, chain: _Chain) -> Iterator[UnwrapLine]:
    yield from _check_lines(path.name, path.read_bytes(), chain)


def _check_lines(name: str, raw: bytes, chain: _Chain) -> Iterator[UnwrapLine]:
    parts = raw.split(b"\n")
    torn = parts.pop()
    if not parts:
        raise UnwrapRecordBrokenError(file=name, line=1, reason="no header")
    header = _header(name, parts[0])
    same = (header.continues, header.line, header.unwraps) == (chain.head.hex(), chain.lines, chain.unwraps)
    if chain.continued and not same:
        raise UnwrapRecordBrokenError(file=name, line=1, reason="it does not continue the file before")
    chain.head = bytes.fromhex(header.continues)
    chain.lines, chain.unwraps, chain.file = header.line, header.unwraps, header.file
    chain.head = _link(name, 1, chain.head, parts[0])
    for number, part in enumerate(parts[1:], start=2):
        chain.head = _link(name, number, chain.head, part)
        try:
            line = msgspec.json.decode(part[2 * HASH_BYTES + 1 :], type=UnwrapLine)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnwrapRecordBrokenError(file=name, line=number, reason="unreadable line") from error
        if line.line != chain.lines:
            raise UnwrapRecordBrokenError(file=name, line=number, reason="a line is missing")
        chain.lines += 1
        chain.unwraps += len(line.compartments) if line.outcome == "done" else 0
        yield line
    if torn and chain.continued and name != CURRENT_FILE:
        raise UnwrapRecordBrokenError(file=name, line=len(parts) + 1, reason="cut line")


def _hash_file(name: str, raw: bytes, chain: _Chain, found: dict[int, list[bytes]]) -> None:
    """Follow the hashes of one file, noting those wanted. A last line that is being written is not looked at."""
    parts = raw.split(b"\n")[:-1]
    if not parts:
        raise UnwrapRecordBrokenError(file=name, line=1, reason="no header")
    header = _header(name, parts[0])
    if chain.continued and (header.continues, header.line) != (chain.head.hex(), chain.lines):
        raise UnwrapRecordBrokenError(file=name, line=1, reason="it does not continue the file before")
    chain.head, chain.lines = bytes.fromhex(header.continues), header.line
    for number, part in enumerate(parts, start=1):
        chain.head = _link(name, number, chain.head, part)
        chain.lines += number > 1
        if chain.lines in found:
            found[chain.lines].append(chain.head)


def _header(name: str, line: bytes) -> Header:
    try:
        header = msgspec.json.decode(line[2 * HASH_BYTES + 1 :], type=Header)
        sound = len(bytes.fromhex(header.continues)) == HASH_BYTES and header.format == FORMAT
    except (msgspec.DecodeError, ValueError) as error:
        raise UnwrapRecordBrokenError(file=name, line=1, reason="unreadable header") from error
    if not sound:
        raise UnwrapRecordBrokenError(file=name, line=1, reason="unknown format")
    return header


def _link(name: str, number: int, before: bytes, line: bytes) -> bytes:
    found, _, text = line.partition(b" ")
    expected = _hash(before, text)
    if found != expected.hex().encode():
        raise UnwrapRecordBrokenError(file=name, line=number, reason="the hash does not follow")
    return expected


def _hash(before: bytes, text: bytes) -> bytes:
    return hashlib.sha256(_CONTEXT + before + text).digest()
