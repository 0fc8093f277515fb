"""The archives of evidence of incidents, as they are on the disk now."""

from __future__ import annotations

import hashlib
from pathlib import Path


def probe_archives(folder: Path) -> frozenset[str]:
    """SHA-256, in hexadecimal, of each archive. Blocks. Raises: OSError: one cannot be read."""
    found = set()
    for path in sorted(folder.glob("*/*.zip")):
        with path.open("rb") as content:
            found.add(hashlib.file_digest(content, "sha256").hexdigest())
    return frozenset(found)
