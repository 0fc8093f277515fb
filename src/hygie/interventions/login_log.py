"""sshd's log, followed from turn to turn through its rotation: by renaming to ``<path>.1``, or by copying and cutting.

Whoever writes it may go on in the renamed file for a moment: that one is read once more at the next turn. At a start
``<path>.1`` is read too, since the rotation may have come while nobody looked. A login that is read twice counts once.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from hygie.interventions.errors import LogUnreadableError
from hygie.interventions.sshd_log import Login, logins

LOG_BYTES_MAX = 64 * 1024 * 1024  # of a file, at a start: some weeks of a machine that strangers knock at
KEPT_MS = 35 * 86_400_000


class LoginLog:
    """The logins of one machine. known: those of the last weeks, in the order in which they were read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: _Followed | None = None
        self._former: _Followed | None = None
        self.known: list[Login] = []

    def follow(self, now_ms: int) -> None:
        """Read what is new. Raises: LogUnreadableError."""
        try:
            self._read()
        except OSError as error:
            self.close()
            raise LogUnreadableError(reason=error.strerror or "log") from error
        self.known = [one for one in dict.fromkeys(self.known) if one.at_ms >= now_ms - KEPT_MS]

    def close(self) -> None:
        """Let go of the files."""
        for one in (self._file, self._former):
            if one is not None:
                one.close()
        self._file = self._former = None

    def _read(self) -> None:
        if self._file is None:
            self._file = _Followed(self._path)  # before the other: a rotation between the two is seen below
            with contextlib.suppress(FileNotFoundError, LogUnreadableError):
                self._former = _Followed(self._path.with_name(f"{self._path.name}.1"))
                self.known += self._former.read()
        elif self._former is not None:
            self.known += self._former.read()
            self._former.close()
            self._former = None
        self.known += self._file.read()
        if self._file.is_cut():
            self._file.begin_again()
            self.known += self._file.read()
        elif not self._file.is_at(self._path):
            if self._former is not None:
                self._former.close()
            self._former, self._file = self._file, _Followed(self._path)
            self.known += self._file.read()


class _Followed:
    """One file of a log, and how far it was read. Raises: LogUnreadableError: no file; OSError."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise LogUnreadableError(reason="not a file")
        if status.st_size > LOG_BYTES_MAX:
            os.lseek(self._descriptor, status.st_size - LOG_BYTES_MAX, os.SEEK_SET)

    def read(self) -> list[Login]:
        """The logins of what is new."""
        found: list[Login] = []
        while piece := os.read(self._descriptor, 1 << 20):
            whole, _, self._rest = (self._rest + piece).rpartition(b"\n")
            found += logins(whole)
        return found

    def is_cut(self) -> bool:
        """Whether less is there than was read."""
        return os.fstat(self._descriptor).st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def begin_again(self) -> None:
        """Read it from its first byte."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._rest = b""

    def is_at(self, path: Path) -> bool:
        """Whether it is this file that stands there now."""
        ours, there = os.fstat(self._descriptor), path.stat()
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
