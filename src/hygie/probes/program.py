"""Whether the programs on this disk are still those that were installed: Hygie's own files, and those of its libraries.

Hygie's are compared with what they were at the start of this process and at the starts of before; those of libraries
with the digests that their installer left (RECORD, packaging.python.org/specifications/recording-installed-packages).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

import hygie

ROOT = Path(hygie.__file__).parent
SHOWN_MAX = 20
SHOWN_CHARACTERS_MAX = 190  # of the 200 that the watch keeps of a text
_CACHE = "__pycache__"  # made by Python as it runs, so never the same
_ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})

Manifest = Mapping[str, str]
"""relative path → half of its SHA-256, in hexadecimal"""


def manifest(root: Path = ROOT) -> Manifest:
    """Every file below a folder, but for Python's caches. Blocks: some 0.1 s for Hygie. Raises: OSError."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if _CACHE not in path.parts and path.is_file():
            found[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    return found


def digest_of(files: Manifest) -> str:
    """One digest for all: half of the SHA-256 over the sorted paths and their digests, in hexadecimal."""
    lines = "".join(f"{path} {digest}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def changed(before: Manifest, now: Manifest) -> list[str]:
    """Paths that are other, new or gone."""
    return sorted(path for path in {*before, *now} if before.get(path) != now.get(path))


def altered_packages(installed: Iterable[Distribution] | None = None) -> list[str]:
    """Files of installed libraries that are not what their installer wrote, or are gone. Blocks: some 2 s a 360 MB."""
    found: set[str] = set()
    for one in distributions() if installed is None else installed:
        for file in one.files or ():
            if file.hash is None or file.hash.mode not in _ALGORITHMS:
                continue
            try:
                with Path(str(one.locate_file(file))).open("rb") as opened:
                    digest = hashlib.file_digest(opened, file.hash.mode).digest()
            except OSError:
                digest = b""
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                found.add(str(file))
    return sorted(found)


def shown(paths: list[str]) -> str:
    """The first of them, as one short text."""
    text = ", ".join(paths[:SHOWN_MAX])
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + "…"
