"""The ZIP file of a dossier: the same files give the same bytes, and it appears whole or not at all.

Source: docs/formats/dossier.md v1.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

from hygie.base.files import PRIVATE_FILE, TEMPORARY_PREFIX, fsync_folder

FIXED_TIME = (1980, 1, 1, 0, 0, 0)
DEFLATE_LEVEL = 6


class Archive:
    """One dossier being written. Files are kept in the order in which they are added.

    As a context: left without :meth:`finish`, nothing stays on disk.
    """

    def __init__(self, path: Path) -> None:
        """Raises: FileExistsError: there is a file already; OSError."""
        if path.exists():
            raise FileExistsError(path)
        self.path = path
        self.files: dict[str, tuple[int, str]] = {}
        self._temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
        self._temporary.touch(mode=PRIVATE_FILE)
        self._file = self._temporary.open("wb")
        self._zip = zipfile.ZipFile(self._file, "w")
        self._done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._done:
            self._zip.close()
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def add(self, name: str, data: bytes, *, deflated: bool = False) -> None:
        """One file; its size and digest are remembered for the manifest. Raises: ValueError: twice (a mistake)."""
        if name in self.files:
            raise ValueError(name)
        self.files[name] = (len(data), sha256(data).hexdigest())
        self._put(name, data, deflated=deflated)

    def folder(self, prefix: str) -> Folder:
        """A sink for the files under one prefix, stored as they are."""
        return Folder(self, prefix)

    def finish(self, last: dict[str, bytes]) -> None:
        """Add the last files, which no manifest names, and make the whole durable under its name."""
        for name, data in last.items():
            self._put(name, data, deflated=False)
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self.path)
        self._done = True
        fsync_folder(self.path.parent)

    def _put(self, name: str, data: bytes, *, deflated: bool) -> None:
        method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
        self._zip.writestr(zipfile.ZipInfo(name, FIXED_TIME), data, method, DEFLATE_LEVEL)


@dataclass(frozen=True, slots=True)
class Folder:
    """See :meth:`Archive.folder`."""

    archive: Archive
    prefix: str

    def add(self, name: str, data: bytes) -> None:
        """One file under the prefix."""
        self.archive.add(self.prefix + name, data)
