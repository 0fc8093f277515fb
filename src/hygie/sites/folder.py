"""A site in a folder, with its own fsync writer.

Source: docs/formats/sites.md v1.  An object is written to a temporary file, flushed, linked under its name (so that
nothing is ever overwritten by ``put``) and its folder flushed: a reader, or a machine that lost power, sees it whole
or not at all.  Folders are walked from the root one descriptor at a time and links are never followed, so nothing
planted inside a site leads outside it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hygie.base.errors import HygieError
from hygie.sites.descriptors import Descriptors, OpenFile
from hygie.sites.errors import (
    ForeignEntryError,
    ObjectAbsentError,
    ObjectExistsError,
    ObjectTruncatedError,
    ReadBackError,
    SiteUnavailableError,
)
from hygie.sites.room import Room, new_temporary, step
from hygie.sites.site import RESERVED, Range, SiteLocation, SiteProperties, check_name, check_prefix

CHUNK_BYTES = 1 << 20  # hashing and comparing 1 MiB at a time keeps memory flat for objects of any size
FOLDERS_MAX = 10_000  # known to be flushed: 3 MB; each content in chunks has its own, and the flush is only repeated
CHECK_NAME = "probe"
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: a planted pipe must not hang
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTCONN, errno.ESTALE, errno.ENODEV})
_FOREIGN = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO})


class FolderSite:
    """One folder of one file system, initialised once by ``room.initialise``.

    read_back: read what was written from the page cache and compare it, byte for byte, before it counts as durable
    (20 µs for 80 kB: measured in benchmarks of placement).
    """

    def __init__(self, path: Path, name: str, place: SiteLocation, *, read_back: bool = True) -> None:
        self._path = path
        self._name = name
        self._place = place
        self._read_back = read_back
        self._room: Room | None = None
        self._files = Descriptors()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The site's name in settings and reports."""
        return self._name

    @property
    def place(self) -> SiteLocation:
        """Where the operator says this folder is."""
        return self._place

    @property
    def properties(self) -> SiteProperties:
        """Durable by fsync; never locked: a folder belongs to whoever is root on its machine."""
        try:
            device = str(self._path.stat().st_dev)
        except OSError:
            device = "unknown"
        return SiteProperties(durable=True, locks=False, failure_domain=f"{os.uname().nodename}:{device}")

    def put(self, name: str, data: bytes) -> None:
        """See ``Site.put``."""
        *folders, leaf = check_name(name).split("/")
        with self._guard(name):
            room = self._open_room()
            folder = self._open_folder(room, tuple(folders), create=True)
            try:
                self._link_new(room, folder, leaf, name, data)
                os.fsync(folder)
            finally:
                os.close(folder)

    def replace(self, name: str, data: bytes) -> None:
        """See ``Site.replace``. A link planted under the name is replaced itself, not what it points to."""
        *folders, leaf = check_name(name).split("/")
        with self._guard(name):
            room = self._open_room()
            folder = self._open_folder(room, tuple(folders), create=True)
            try:
                with self._written(room, name, data) as temporary:
                    os.replace(temporary, leaf, src_dir_fd=room.temporary_folder(), dst_dir_fd=folder)
                os.fsync(folder)
            finally:
                os.close(folder)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See ``Site.get``."""
        check_name(name)
        with self._guard(name):
            room = self._open_room()
            file = self._open_file(room, name)
            try:
                return self._read(file, name, offset, length)
            finally:
                self._files.give(name, file)

    def peek(self, name: str, offset: int, length: int) -> bytes | None:
        """What an open file already has in the system's memory, without ever waiting for a medium; else None."""
        file = self._files.take(name)
        if file is None:
            return None
        try:
            buffer = bytearray(length)
            found = os.preadv(file.descriptor, [buffer], offset, os.RWF_NOWAIT)
        except (OSError, AttributeError):  # not in memory, or a system without RWF_NOWAIT
            return None
        finally:
            self._files.give(name, file)
        return bytes(buffer) if found == length else None

    def get_many(self, ranges: Sequence[Range]) -> list[bytes | HygieError]:
        """See ``Site.get_many``."""
        results: list[bytes | HygieError] = []
        for name, offset, length in ranges:
            try:
                results.append(self.get(name, offset, length))
            except SiteUnavailableError:
                raise
            except HygieError as error:
                results.append(error)
        return results

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See ``Site.list``. Links and other foreign entries are not objects: they are not listed, nor entered."""
        check_prefix(prefix)
        with self._guard(prefix):
            # a descriptor of its own: two listings of one would move each other's place in the folder
            root, _ = step(self._open_room().root, ".", create=False)
            try:
                yield from self._walk(root, "", prefix)
            finally:
                os.close(root)

    def delete(self, name: str) -> None:
        """See ``Site.delete``."""
        *folders, leaf = check_name(name).split("/")
        with self._guard(name):
            room = self._open_room()
            try:
                folder = self._open_folder(room, tuple(folders), create=False)
            except FileNotFoundError:
                return
            try:
                os.unlink(leaf, dir_fd=folder)
                os.fsync(folder)
            except FileNotFoundError:
                return
            finally:
                os.close(folder)

    def digest(self, name: str) -> bytes:
        """See ``Site.digest``. Asks the system to forget its cached pages first, so that the disk itself is read."""
        check_name(name)
        with self._guard(name):
            room = self._open_room()
            file = self._open_file(room, name)
            try:
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(file.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                hasher = hashlib.sha256()
                offset = 0
                while chunk := os.pread(file.descriptor, CHUNK_BYTES, offset):
                    hasher.update(chunk)
                    offset += len(chunk)
                return hasher.digest()
            finally:
                self._files.give(name, file)

    def check(self) -> None:
        """See ``Site.check``."""
        with self._guard(CHECK_NAME):
            room = self._open_room()
            with self._written(room, CHECK_NAME, CHECK_NAME.encode()):
                pass
            os.fsync(room.temporary_folder())

    def close(self) -> None:
        """See ``Site.close``. A later call opens the site again."""
        self._room = None
        self._files.clear()

    def _open_room(self) -> Room:
        """The site's folder, opened again when it is no longer the same: unmounted, put back, replaced by a copy."""
        found = self._path.stat()
        room = self._room
        if room is not None and room.same(found):
            return room
        with self._lock:
            room = self._room
            if room is None or not room.same(found):
                self._files.clear()
                self._room = room = Room(self._path, self._name)
            return room

    def _open_folder(self, room: Room, folders: tuple[str, ...], *, create: bool) -> int:
        """Descriptor of a folder inside the site; made, and its parents flushed, when asked."""
        flush = create and folders not in room.durable_folders
        current = os.dup(room.root)
        for segment in folders:
            try:
                below, made = step(current, segment, create=flush)
                if made or flush:
                    os.fsync(current)  # another process may have made it a moment ago and not flushed it yet
            except FileNotFoundError:
                os.close(current)
                if not create or flush:
                    raise
                room.durable_folders.discard(folders)  # somebody removed it since: made again
                return self._open_folder(room, folders, create=True)
            except BaseException:
                os.close(current)
                raise
            os.close(current)
            current = below
        if flush:
            if len(room.durable_folders) >= FOLDERS_MAX:
                room.durable_folders.clear()
            room.durable_folders.add(folders)
        return current

    @contextmanager
    def _written(self, room: Room, name: str, data: bytes) -> Iterator[str]:
        """A temporary file that holds ``data`` durably; removed at the end unless it was renamed."""
        folder = room.temporary_folder()
        temporary, descriptor = new_temporary(folder)
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
                if self._read_back and not _holds(descriptor, data):
                    raise ReadBackError(site=self._name, name=name)
            finally:
                os.close(descriptor)
            yield temporary
        finally:
            try:
                os.unlink(temporary, dir_fd=folder)
            except FileNotFoundError:
                temporary = ""  # renamed into place

    def _link_new(self, room: Room, folder: int, leaf: str, name: str, data: bytes) -> None:
        with self._written(room, name, data) as temporary:
            try:
                os.link(temporary, leaf, src_dir_fd=room.temporary_folder(), dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                self._same_or_raise(folder, leaf, name, data)

    def _same_or_raise(self, folder: int, leaf: str, name: str, data: bytes) -> None:
        descriptor = os.open(leaf, _READ_FLAGS, dir_fd=folder)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ForeignEntryError(site=self._name, name=name)
            if found.st_size != len(data) or not _holds(descriptor, data):
                raise ObjectExistsError(site=self._name, name=name)
            os.fsync(descriptor)  # its first writer may not have finished
        finally:
            os.close(descriptor)

    def _open_file(self, room: Room, name: str) -> OpenFile:
        """An open file, kept from an earlier read when the name still leads to that very file."""
        kept = self._files.take(name)
        if kept is not None:
            try:
                found = os.stat(name, dir_fd=room.root, follow_symlinks=False)
                if (found.st_dev, found.st_ino) == kept.identity and found.st_size == kept.size_bytes:
                    return kept
            except OSError:
                found = None
            os.close(kept.descriptor)
        return self._open_afresh(room, name)

    def _open_afresh(self, room: Room, name: str) -> OpenFile:
        *folders, leaf = name.split("/")
        try:
            folder = self._open_folder(room, tuple(folders), create=False)
            try:
                descriptor = os.open(leaf, _READ_FLAGS, dir_fd=folder)
            finally:
                os.close(folder)
        except FileNotFoundError as error:
            raise ObjectAbsentError(site=self._name, name=name) from error
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise ForeignEntryError(site=self._name, name=name)
        return OpenFile(descriptor, (found.st_dev, found.st_ino), found.st_size)

    def _read(self, file: OpenFile, name: str, offset: int, length: int | None) -> bytes:
        wanted = max(file.size_bytes - offset, 0) if length is None else length
        data = os.pread(file.descriptor, wanted, offset)
        if len(data) < wanted:
            data = _read_on(file.descriptor, data, wanted, offset)
        if len(data) < wanted or offset > file.size_bytes:
            raise ObjectTruncatedError(site=self._name, name=name)
        return data

    def _walk(self, folder: int, path: str, prefix: str) -> Iterator[tuple[str, int]]:
        """Objects under ``path`` in byte order of full names; only branches that can match the prefix are entered."""
        with os.scandir(folder) as entries:
            found = _sorted_entries(entries)
        for name, size_bytes in found:
            full = path + name
            if name.endswith("/"):
                if full.startswith(prefix) or prefix.startswith(full):
                    below, _ = step(folder, name[:-1], create=False)
                    try:
                        yield from self._walk(below, full, prefix)
                    finally:
                        os.close(below)
            elif full.startswith(prefix) and full != RESERVED:
                yield full, size_bytes

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        """Turn what the system says into what a caller can act upon."""
        try:
            yield
        except OSError as error:
            if error.errno in _FOREIGN:
                raise ForeignEntryError(site=self._name, name=name) from error
            raise SiteUnavailableError(site=self._name, reason=_reason(error)) from error


def _reason(error: OSError) -> str:
    if error.errno in _FULL:
        return "full"
    if error.errno in _READ_ONLY:
        return "read-only"
    if error.errno in _ABSENT:
        return "absent"
    return errno.errorcode.get(error.errno or 0, "unknown")


def _holds(descriptor: int, data: bytes) -> bool:
    """Whether an open file holds exactly these bytes. Compared as bytes: a memoryview compares item by item, 50 times
    slower and without leaving the interpreter to the other threads."""
    for start in range(0, len(data), CHUNK_BYTES):
        part = data[start : start + CHUNK_BYTES]
        if os.pread(descriptor, len(part), start) != part:
            return False
    return os.fstat(descriptor).st_size == len(data)


def _read_on(descriptor: int, data: bytes, wanted: int, offset: int) -> bytes:
    """Finish a read that the system cut short (it gives at most 2 GiB at once)."""
    parts = [data]
    length = len(data)
    while length < wanted and (more := os.pread(descriptor, wanted - length, offset + length)):
        parts.append(more)
        length += len(more)
    return b"".join(parts)


def _sorted_entries(entries: Iterator[os.DirEntry[str]]) -> list[tuple[str, int]]:
    """Names (a folder's ends with '/', so that sorting gives the order of full names) and sizes."""
    found: list[tuple[str, int]] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            found.append((entry.name + "/", 0))
        elif entry.is_file(follow_symlinks=False):
            found.append((entry.name, entry.stat(follow_symlinks=False).st_size))
    found.sort()
    return found
