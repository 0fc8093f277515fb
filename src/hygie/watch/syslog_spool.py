"""What other machines send lies here from the moment it is taken until the watch has read it: lines on the disk.

One line of JSON a message: whatever it holds, it begins no other line.  Those that wait are written and synced
together.  Where nothing can be written, nothing is taken: whoever sends is held up, and nothing is dropped.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hygie.base.files import PRIVATE_FILE, fsync_folder, make_private_folder

PREFIX = "received-"
FILE_BYTES_MAX = 4 * 1024 * 1024
FILES_MAX = 64  # 256 MiB: an hour of a hundred machines that talk a lot, while the database is away
AGAIN_S = 1.0  # between two tries of what could not be written

log = logging.getLogger("hygie.watch")


@dataclass(slots=True, eq=False)
class _Batch:
    data: list[bytes] = field(default_factory=list)
    written: bool = False


class Spool:
    """The folder of one installation. Several may put at once; one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: made when something is first written."""
        self._folder = folder
        self._turn = asyncio.Lock()
        self._batch = _Batch()
        self._descriptor: int | None = None
        self._left = 0
        self._writing = threading.Lock()  # a write that was given up goes on in its thread

    async def put(self, lines: Sequence[dict[str, object]]) -> None:
        """Take lines; they are on the disk when this returns. Waits while the disk is full, or too much lies there."""
        batch = self._batch
        batch.data += [json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in lines]
        async with self._turn:
            if batch.written:
                return  # with those of who came before
            self._batch = _Batch()
            data = b"".join(batch.data)
            batch.written = await asyncio.to_thread(self._write, data)
            while not batch.written:
                await asyncio.sleep(AGAIN_S)
                batch.written = await asyncio.to_thread(self._write, data)

    def close(self) -> None:
        """Let go of the file."""
        with self._writing:
            self._leave()

    def _leave(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, data: bytes) -> bool:
        """Whether it is on the disk. What was half written ends its file: the next try begins another."""
        with self._writing:
            return self._write_alone(data)

    def _write_alone(self, data: bytes) -> bool:
        try:
            if (self._descriptor is None or self._left <= 0) and not self._begin():
                return False
            assert self._descriptor is not None
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
            self._left -= len(data)
        except OSError as error:
            log.error("what machines send cannot be kept: %s", type(error).__name__)
            self._leave()
            return False
        return True

    def _begin(self) -> bool:
        """A new file; False while there are too many."""
        self._leave()
        make_private_folder(self._folder)
        if sum(1 for _ in self._folder.iterdir()) >= FILES_MAX:
            return False
        path = self._folder / f"{PREFIX}{time.time_ns():020d}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor, self._left = os.open(path, flags, PRIVATE_FILE), FILE_BYTES_MAX
        fsync_folder(self._folder)
        return True
