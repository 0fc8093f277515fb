"""The folder of a site, opened once: its identity checked, with a private place for files being written."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
import threading
from pathlib import Path

from hygie.base.clock import Clock, SystemClock, iso_ms
from hygie.base.files import PRIVATE_FILE, PRIVATE_FOLDER, fsync_folder, make_private_folder, write_durably
from hygie.sites.errors import SiteUnavailableError
from hygie.sites.site import RESERVED

FORMAT = "hygie-site-1"
TEMPORARY_FOLDER = ".tmp"
IDENTITY_BYTES_MAX = 4096
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS = 8  # another process may sweep a temporary folder in the instant before it is locked


def initialise(path: Path, name: str, *, clock: Clock | None = None) -> str:
    """Make ``path`` the folder of site ``name``; done once, by the operator or at installation. Idempotent.

    Returns: the site's identity, 32 hexadecimal characters.
    Raises: SiteUnavailableError: the folder cannot be written, or belongs to another site.
    """
    try:
        make_private_folder(path)
        if (path / RESERVED).exists():
            return read_identity(path, name)
        identity = secrets.token_hex(16)
        created_at = iso_ms((clock or SystemClock()).now_ms())
        record = {"format": FORMAT, "id": identity, "name": name, "created_at": created_at}
        write_durably(path / RESERVED, json.dumps(record, indent=1).encode())
        fsync_folder(path.parent)
    except OSError as error:
        raise SiteUnavailableError(site=name, reason=type(error).__name__) from error
    return identity


def read_identity(path: Path, name: str) -> str:
    """The identity of the site whose folder this is.

    Raises: SiteUnavailableError: no site there (an empty mount point is not an empty site), or another site.
    """
    try:
        descriptor = os.open(path / RESERVED, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            record = json.loads(os.read(descriptor, IDENTITY_BYTES_MAX))
        finally:
            os.close(descriptor)
        right = record["format"] == FORMAT and record["name"] == name
        identity = str(record["id"])
    except OSError as error:
        raise SiteUnavailableError(site=name, reason="absent") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SiteUnavailableError(site=name, reason="other-site") from error
    if not right:
        raise SiteUnavailableError(site=name, reason="other-site")
    return identity


class Room:
    """A site's folder while it stays the same folder.

    ``root`` and ``temporary`` are folder descriptors.  The temporary folder belongs to this instance alone and is
    locked: what a killed process left in its own is swept by the next one that opens the site.
    """

    root = -1
    temporary = -1

    def __init__(self, path: Path, name: str) -> None:
        self.identity = read_identity(path, name)
        self.root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found = os.fstat(self.root)
        self.inode = (found.st_dev, found.st_ino)
        self.durable_folders: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def same(self, found: os.stat_result) -> bool:
        """Whether the folder at the site's path is still this one."""
        return (found.st_dev, found.st_ino) == self.inode

    def temporary_folder(self) -> int:
        """Descriptor of this instance's own temporary folder, made at the first write."""
        with self._lock:
            if self.temporary < 0:
                self._sweep()
                self.temporary = self._claim()
            return self.temporary

    def __del__(self) -> None:
        """Close the descriptors when the last thread that uses them is done: a number closed earlier could be reused.

        The temporary folder, unlocked by this, is swept by the next opening.
        """
        for descriptor in (self.root, self.temporary):
            if descriptor >= 0:
                os.close(descriptor)

    def _claim(self) -> int:
        parent = self._temporary_parent()
        try:
            for _ in range(_ATTEMPTS):
                token = secrets.token_hex(8)
                os.mkdir(token, PRIVATE_FOLDER, dir_fd=parent)
                try:
                    descriptor = os.open(token, _FOLDER_FLAGS, dir_fd=parent)
                except FileNotFoundError:
                    continue
                _lock(descriptor)
                if os.fstat(descriptor).st_nlink > 0 and _exists(token, parent):
                    return descriptor
                os.close(descriptor)
            raise OSError("temporary folder swept again and again")
        finally:
            os.close(parent)

    def _sweep(self) -> None:
        """Remove what dead processes left: a folder whose lock is free has no owner."""
        parent = self._temporary_parent()
        try:
            for token in os.listdir(parent):  # noqa: PTH208 (a descriptor, not a path)
                try:
                    folder = os.open(token, _FOLDER_FLAGS, dir_fd=parent)
                except OSError:
                    continue  # not a folder of ours: left alone, never followed
                try:
                    if _lock(folder):
                        for leftover in os.listdir(folder):  # noqa: PTH208
                            os.unlink(leftover, dir_fd=folder)
                        os.rmdir(token, dir_fd=parent)
                except OSError:
                    continue  # swept by another process in the same instant, or holds what no writer of ours leaves
                finally:
                    os.close(folder)
        finally:
            os.close(parent)

    def _temporary_parent(self) -> int:
        try:
            os.mkdir(TEMPORARY_FOLDER, PRIVATE_FOLDER, dir_fd=self.root)
        except FileExistsError:
            found = os.stat(TEMPORARY_FOLDER, dir_fd=self.root, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                raise
        return os.open(TEMPORARY_FOLDER, _FOLDER_FLAGS, dir_fd=self.root)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # its owner lives, or this file system cannot lock: nothing is swept
    return True


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def step(folder: int, segment: str, *, create: bool) -> tuple[int, bool]:
    """Open a subfolder without following links; make it if asked. Returns its descriptor and whether it was made."""
    made = False
    if create:
        try:
            os.mkdir(segment, PRIVATE_FOLDER, dir_fd=folder)
            made = True
        except FileExistsError:
            made = False
    return os.open(segment, _FOLDER_FLAGS, dir_fd=folder), made


def new_temporary(folder: int) -> tuple[str, int]:
    """A new empty file in a temporary folder: its name and write descriptor (readable too, to read back)."""
    name = secrets.token_hex(8)
    return name, os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE, dir_fd=folder)
