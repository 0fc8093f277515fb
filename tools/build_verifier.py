"""Build ``hygie-verify.pyz``: the offline verifier alone, for an auditor who has Python 3.11 and ``cryptography``.

Usage: python tools/build_verifier.py [TARGET]      (default: dist/hygie-verify.pyz)
Then:  python hygie-verify.pyz EXPORT --key log.pub --witness witness.pub
The same sources give the same bytes: times and order are fixed, so anyone can rebuild and compare.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src"
FILES = (
    "hygie/__init__.py",
    "hygie/base/__init__.py",
    "hygie/base/actions.py",
    "hygie/base/canonical.py",
    "hygie/base/clock.py",
    "hygie/base/errors.py",
    "hygie/journal/__init__.py",
    "hygie/journal/checkpoint.py",
    "hygie/journal/errors.py",
    "hygie/journal/leaf.py",
    "hygie/journal/merkle.py",
    "hygie/journal/tiles.py",
    "hygie/verify/__init__.py",
    "hygie/verify/check.py",
    "hygie/verify/errors.py",
    "hygie/verify/main.py",
    "hygie/verify/source.py",
)
START = b"from hygie.verify.main import main\n\nmain()\n"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)


def build(target: Path) -> None:
    """Write the archive."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in FILES:
                archive.writestr(zipfile.ZipInfo(name, FIXED_TIME), (SOURCE / name).read_bytes())
            archive.writestr(zipfile.ZipInfo("__main__.py", FIXED_TIME), START)
    target.chmod(0o755)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE.parent / "dist" / "hygie-verify.pyz")
