"""A small store of open read descriptors, so that a hot pack is not opened again for each object in it."""

from __future__ import annotations

import os
import resource
import threading
from collections import OrderedDict
from dataclasses import dataclass

FILES_WANTED = 16_384  # of one process; a cold pack costs a read 200 µs: open, and a thread to do it
FILES_ELSEWHERE = 256  # connections, sockets, the database
SITES_FULL = 6  # sites that may keep all they are allowed at once


def allow_many_files() -> None:
    """Raise this process's limit of open files, as far as the system lets it: many start with 1024 or fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def descriptors_max() -> int:
    """How many files one site may keep open in this process, by its limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = FILES_WANTED if soft == resource.RLIM_INFINITY else min(soft, FILES_WANTED)
    return max(FILES_ELSEWHERE // 4, (allowed - FILES_ELSEWHERE) // SITES_FULL)


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

    def __init__(self, files_max: int | None = None) -> None:
        self._files: OrderedDict[str, OpenFile] = OrderedDict()
        self._files_max = files_max or descriptors_max()
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
