"""A small store of open read descriptors, so that a hot pack is not opened again for each object in it."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass

DESCRIPTORS_MAX = 192  # per site and process: three sites stay below the usual limit of 1024


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open regular file and what it is on its device."""

    descriptor: int
    identity: tuple[int, int]
    size_bytes: int


class Descriptors:
    """Open files by name, least recently used closed first.

    A file is taken out while it is read, so no thread closes what another reads; a second reader of the same name
    opens its own.
    """

    def __init__(self, files_max: int = DESCRIPTORS_MAX) -> None:
        self._files: OrderedDict[str, OpenFile] = OrderedDict()
        self._files_max = files_max
        self._lock = threading.Lock()

    def take(self, name: str) -> OpenFile | None:
        """The open file of that name, now the caller's, or None."""
        with self._lock:
            return self._files.pop(name, None)

    def give(self, name: str, file: OpenFile) -> None:
        """Keep an open file for the next reader."""
        with self._lock:
            evicted = self._files.pop(name, None)
            self._files[name] = file
            if evicted is None and len(self._files) > self._files_max:
                _, evicted = self._files.popitem(last=False)
        if evicted is not None:
            os.close(evicted.descriptor)

    def clear(self) -> None:
        """Close everything that is not being read."""
        with self._lock:
            files = list(self._files.values())
            self._files.clear()
        for file in files:
            os.close(file.descriptor)
