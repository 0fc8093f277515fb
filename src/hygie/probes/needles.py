"""Search every file of a folder for words that must never be readable there.

One pattern for all needles: their first byte, a look-ahead on those that follow, which throws out nearly every
position of sealed bytes, then a prefix tree.  The number of needles costs next to nothing.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

CHUNK_BYTES = 1024 * 1024
NEEDLE_BYTES_MIN = 7  # shorter ones occur by chance in a hundred megabytes of sealed bytes

_ZEROS = bytes(CHUNK_BYTES)

Tree = dict[int, "Tree"]


@dataclass(slots=True)
class Scan:
    """What was searched. found: files that hold a needle, relative to the folder."""

    files: int = 0
    bytes: int = 0
    found: list[str] = field(default_factory=list)


def scan_folder(folder: Path, needles: Iterable[bytes], progress: Callable[[int], None] = lambda _: None) -> Scan:
    """Search every regular file below a folder, names of files included. Blocks.

    Files that vanish meanwhile (a running database removes some) are left out. Raises: OSError: one cannot be read.
    """
    pattern, longest = compile_needles(needles)
    scan = Scan()
    for path in files_below(folder):
        name = path.relative_to(folder).as_posix()
        try:
            size, hit = _scan_file(path, pattern, longest)
        except FileNotFoundError:
            continue
        scan.files += 1
        scan.bytes += size
        progress(size)
        if hit or pattern.search(name.encode("utf-8", "surrogateescape")):
            scan.found.append(name)
    return scan


def bytes_below(folder: Path) -> int:
    """How much :func:`scan_folder` has to read, about. Blocks."""
    total = 0
    for path in files_below(folder):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def files_below(folder: Path) -> Iterator[Path]:
    """Regular files below a folder, sorted; links are not followed, sockets have no content."""
    for path in sorted(folder.rglob("*")):
        try:
            if stat.S_ISREG(path.lstat().st_mode):
                yield path
        except FileNotFoundError:
            continue


def compile_needles(needles: Iterable[bytes]) -> tuple[re.Pattern[bytes], int]:
    """(pattern that finds any needle, length of the longest). Raises: ValueError: none, or one is too short."""
    chosen = sorted(set(needles))
    if not chosen or min(map(len, chosen)) < NEEDLE_BYTES_MIN:
        raise ValueError("needles of 7 bytes and more")
    tree: Tree = {}
    for needle in chosen:
        node = tree
        for byte in needle:
            node = node.setdefault(byte, {})
        node[-1] = {}  # a needle ends here: what follows it does not matter
    # The engine skips quickly to a set of bytes, not to a look-ahead: the first byte is consumed, then looked back at.
    look = b"".join(_one_of({needle[at] for needle in chosen}) for at in range(1, NEEDLE_BYTES_MIN))
    branches = (b"(?<=" + re.escape(bytes([first])) + b")" + _pattern(below) for first, below in tree.items())
    pattern = _one_of(set(tree)) + b"(?=" + look + b")(?:" + b"|".join(branches) + b")"
    return re.compile(pattern, re.DOTALL), max(map(len, chosen))


def _one_of(values: set[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % value for value in sorted(values)) + b"]"


def _pattern(node: Tree) -> bytes:
    """The tree below a node as a pattern; runs without a branch stay literal, so its depth is that of the branches."""
    if -1 in node:
        return b""
    parts = []
    for value, child in node.items():
        literal, below = [value], child
        while len(below) == 1 and -1 not in below:
            following, below = next(iter(below.items()))
            literal.append(following)
        parts.append(re.escape(bytes(literal)) + _pattern(below))
    return parts[0] if len(parts) == 1 else b"(?:" + b"|".join(parts) + b")"


def _scan_file(path: Path, pattern: re.Pattern[bytes], longest: int) -> tuple[int, bool]:
    size, tail = 0, b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            size += len(chunk)
            if chunk == _ZEROS[: len(chunk)]:  # space kept by the database: quicker seen at once
                tail = b""
                continue
            if pattern.search(tail + chunk):
                return size, True
            tail = chunk[-(longest - 1) :]
    return size, False
