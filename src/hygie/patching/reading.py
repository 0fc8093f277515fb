"""A feed as the operator brings it: bounded, checked by its SHA-256 first, read record by record, told apart by slot.

Three shapes: a ZIP of OSV records (osv.dev's ``all.zip``), OSV records one a line, Debian's security tracker. Whatever
is wrong anywhere in it, nothing is taken. Format: docs/formats/vulnerability-feed.md.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hygie.patching.advisories import Advisory
from hygie.patching.errors import FeedDigestError, FeedInvalidError
from hygie.patching.osv import read_record
from hygie.patching.tracker import read_tracker

FILE_BYTES_MAX = 1 << 30  # osv.dev's file of Debian has some hundred million bytes, the tracker's seventy
TOTAL_BYTES_MAX = 4 << 30  # unpacked
RECORD_BYTES_MAX = 16 << 20  # one OSV record; the largest list every version of the kernel
TRACKER_BYTES_MAX = 512 << 20  # it is one JSON document, held whole
RECORDS_MAX = 2_000_000
DIRECTORY_BYTES_MAX = 32 << 20  # of a ZIP, some 400,000 names; ``zipfile`` reads it whole, at ten times its size
_CHUNK = 1 << 20
_TAIL = 65_557 + 76  # where a ZIP says how long its directory is: after it, a comment of 65,535 bytes at most
_ZIP = b"PK\x03\x04"
_UNZIPPING = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)

Told = tuple[str, str, Advisory]


def check_digest(file: BinaryIO, sha256: str) -> None:
    """Refuse what is too large or is not the file that was meant; leaves it at its start.

    Raises: FeedInvalidError; FeedDigestError; OSError.
    """
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        if size > FILE_BYTES_MAX:
            raise FeedInvalidError(where="-", reason=f"> {FILE_BYTES_MAX} bytes")
        digest.update(chunk)
    if digest.hexdigest() != sha256.strip().lower():
        raise FeedDigestError()
    file.seek(0)


class FeedReader:
    """Reads one feed. records: read so far; newest_ms: when the newest was last modified, 0 when none tells."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.records = 0
        self.newest_ms = 0

    def told(self) -> Iterator[Told]:
        """(slot, key, advisory), one by one. Raises: FeedInvalidError."""
        head = self._file.read(len(_ZIP))
        self._file.seek(0)
        if head == _ZIP:
            for where, content in self._unzipped():
                yield from self._one(where, content)
        elif self._is_tracker():
            yield from self._tracker()
        else:
            for where, content in self._lines():
                yield from self._one(where, content)

    def _one(self, where: str, content: bytes) -> Iterator[Told]:
        self._counted(where)
        try:
            found, modified_ms = read_record(content)
        except ValueError as error:
            raise FeedInvalidError(where=where, reason="no OSV record") from error
        self.newest_ms = max(self.newest_ms, modified_ms)
        yield from found

    def _counted(self, where: str) -> None:
        self.records += 1
        if self.records > RECORDS_MAX:
            raise FeedInvalidError(where=where, reason=f"> {RECORDS_MAX} records")

    def _unzipped(self) -> Iterator[tuple[str, bytes]]:
        total = 0
        if _directory_bytes(self._file) > DIRECTORY_BYTES_MAX:
            raise FeedInvalidError(where="zip", reason="too many entries")
        try:
            with zipfile.ZipFile(self._file) as archive:
                for number, entry in enumerate(archive.infolist(), 1):
                    where = f"entry {number}"
                    if entry.is_dir() or not entry.filename.endswith(".json"):
                        continue
                    with archive.open(entry) as opened:  # sizes in the directory are claims: what comes out is counted
                        content = opened.read(RECORD_BYTES_MAX + 1)
                    total += len(content)
                    if len(content) > RECORD_BYTES_MAX or total > TOTAL_BYTES_MAX:
                        raise FeedInvalidError(where=where, reason="too large once unpacked")
                    yield where, content
        except _UNZIPPING as error:
            raise FeedInvalidError(where="zip", reason=type(error).__name__) from error

    def _lines(self) -> Iterator[tuple[str, bytes]]:
        number = 0
        while line := self._file.readline(RECORD_BYTES_MAX + 1):
            number += 1
            if len(line) > RECORD_BYTES_MAX:
                raise FeedInvalidError(where=f"line {number}", reason="too long")
            if line.strip():
                yield f"line {number}", line

    def _is_tracker(self) -> bool:
        """One JSON object whose first value is an object; a record of OSV begins with a text or spans one line."""
        start = b"".join(self._file.read(4_096).split())
        self._file.seek(0)
        return start.startswith(b"{") and b":" in start and start.partition(b":")[2].startswith(b"{")

    def _tracker(self) -> Iterator[Told]:
        content = self._file.read(TRACKER_BYTES_MAX + 1)
        if len(content) > TRACKER_BYTES_MAX:
            raise FeedInvalidError(where="-", reason=f"> {TRACKER_BYTES_MAX} bytes")
        try:
            for one in read_tracker(content):
                self._counted("tracker")
                yield one
        except ValueError as error:
            raise FeedInvalidError(where="tracker", reason="no tracker file") from error


def _directory_bytes(file: BinaryIO) -> int:
    """The largest size of a directory that the end of a ZIP claims (APPNOTE 4.3.14 and 4.3.16)."""
    file.seek(max(file.seek(0, 2) - _TAIL, 0))
    tail = file.read(_TAIL)
    file.seek(0)
    claims = [0]
    for mark, at, width in ((b"PK\x05\x06", 12, 4), (b"PK\x06\x06", 40, 8)):
        for found in re.finditer(re.escape(mark), tail):
            size = int.from_bytes(tail[found.start() + at : found.start() + at + width], "little")
            claims.append(0 if size == 0xFFFF_FFFF and width == 4 else size)  # the 64-bit record tells
    return max(claims)


def digest_of(path: Path) -> str:
    """SHA-256 of a file. Raises: OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
