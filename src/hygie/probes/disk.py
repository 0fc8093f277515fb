"""Read the raw files as a thief of the disks would, and look for plaintext.

Two ways to see it: marks that every FHIR text carries, and compressed frames (zstd, gzip) that open to such a text.
A planted sample goes through the same eyes at each run: a scanner that sees nothing must not look like a clean disk.
"""

from __future__ import annotations

import os
import random
import re
import stat
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import zstandard

from hygie.proof.facts import Area, DiskScan, Hit

AREA_BYTES_MAX = 16 << 20  # newest files first: what was just written is what a mistake would have written
FILE_BYTES_MAX = 4 << 20  # of one file, from anywhere in it: a log segment must not take the whole area's share
SCAN_S_MAX = 6.0
WINDOW_BYTES = 1 << 20
OVERLAP_BYTES = 64  # longer than any mark, so that none is cut by two windows
FRAME_BYTES_MAX = 128 << 10
OPENED_BYTES_MAX = 256 << 10
FRAMES_PER_WINDOW_MAX = 256
HITS_MAX = 20

_MARKS = re.compile(
    rb'(?P<resource>"resourceType")|(?P<birth>"birthDate")|(?P<name>"family"\s*:)'
    rb'|(?P<ins>urn:oid:1\.2\.250\.1\.213\.1\.4)|(?P<reference>"reference"\s*:\s*"Patient/)|(?P<xml><Patient\b)'
)
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b\x08"
_FRAMES = re.compile(re.escape(_ZSTD) + b"|" + re.escape(_GZIP))
_SAMPLE = b'{"resourceType":"Patient","birthDate":"1900-01-01","name":[{"family":"TEMOIN"}]}' * 4


def scan(areas: Mapping[str, Path | None]) -> DiskScan:
    """Look at each area (name → folder; None: not readable from this machine). Blocks for some seconds at most."""
    deadline = time.monotonic() + SCAN_S_MAX
    seen: list[Area] = []
    found: list[Hit] = []
    for name, folder in areas.items():
        if folder is None:
            seen.append(Area(name, error="elsewhere"))
            continue
        until = time.monotonic() + max(deadline - time.monotonic(), 0.0) / max(len(areas) - len(seen), 1)
        seen.append(_scan_area(name, folder, found, until))
    return DiskScan(tuple(seen), tuple(found[:HITS_MAX]), control=_control())


def mark_in(data: bytes) -> str | None:
    """The name of the first mark of plaintext in some bytes, directly or inside a compressed frame."""
    direct = _MARKS.search(data)
    if direct is not None:
        return str(direct.lastgroup)
    for opened in frames_in(data):
        inside = _MARKS.search(opened)
        if inside is not None:
            return f"compressed {inside.lastgroup}"
    return None


def frames_in(data: bytes) -> Iterator[bytes]:
    """What the first compressed frames (zstd, gzip) in some bytes open to."""
    for count, match in enumerate(_FRAMES.finditer(data)):
        if count >= FRAMES_PER_WINDOW_MAX:
            break
        yield _opened(data[match.start() : match.start() + FRAME_BYTES_MAX])


def _scan_area(name: str, folder: Path, found: list[Hit], until: float) -> Area:
    files = sorted(_files(folder), key=lambda item: -item[1])
    total = sum(size for _, _, size in files)
    count = read = 0
    error = "" if folder.is_dir() else "absent"
    for path, _, size in files:
        if read >= AREA_BYTES_MAX or time.monotonic() > until:
            break
        try:
            limit = min(AREA_BYTES_MAX - read, FILE_BYTES_MAX)
            for window in _windows(path, random.randrange(max(size - limit, 0) + 1), limit):  # noqa: S311 (a sample)
                read += len(window)
                mark = mark_in(window)
                if mark is not None:
                    found.append(Hit(name, str(path.relative_to(folder)), mark))
                    break
        except FileNotFoundError:
            continue  # the database and the sites replace files while we look
        except OSError as failure:
            error = type(failure).__name__
        count += 1
    return Area(name, count, read, total, error)


def _files(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """(path, modification time in ns, bytes) of every regular file; links are not followed."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            try:
                status = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and status.st_size:
                yield path, status.st_mtime_ns, status.st_size


def _windows(path: Path, start: int, limit: int) -> Iterable[bytes]:
    """A part of the file by windows that overlap: ``limit`` bytes at most, from ``start``."""
    with path.open("rb") as file:
        file.seek(start)
        tail = b""
        while limit > 0 and (data := file.read(min(WINDOW_BYTES, limit))):
            limit -= len(data)
            yield tail + data
            tail = data[-OVERLAP_BYTES:]


def _opened(frame: bytes) -> bytes:
    """What a frame gives when decompressed as far as it goes; nothing when it is not one."""
    try:
        if frame.startswith(_ZSTD):
            reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(frame)
            return bytes(reader.read(OPENED_BYTES_MAX))
        return zlib.decompressobj(wbits=31).decompress(frame, OPENED_BYTES_MAX)
    except (zstandard.ZstdError, zlib.error):
        return b""


def _control() -> bool:
    """Whether the eyes see a plain, a zstd and a gzip sample."""
    compressor = zlib.compressobj(wbits=31)
    gzip = compressor.compress(_SAMPLE) + compressor.flush()
    samples = (_SAMPLE, zstandard.ZstdCompressor().compress(_SAMPLE), gzip)
    return all(mark_in(os.urandom(100) + sample) for sample in samples)
