"""Where backups are kept: apart from the sites, best under another administrator's lock.

Source: docs/formats/snapshot.md v1.  Objects are stored once, under the SHA-256 of their bytes; manifests under
``snapshots/``.  Calls block; run them in threads.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

from hygie.backups.errors import BackupDamagedError, SnapshotAbsentError, TargetUnavailableError
from hygie.base.errors import HygieError
from hygie.sites.errors import ForeignEntryError, ObjectAbsentError, ObjectExistsError, SiteUnavailableError
from hygie.sites.folder import FolderSite
from hygie.sites.room import initialise
from hygie.sites.site import SiteLocation

OBJECTS_PREFIX = "objects/"
SNAPSHOTS_PREFIX = "snapshots/"
ERASED_PREFIX = "erased/"
TARGET_NAME = "backup"
HOLD_S = 15.0  # waited for who is at work on the target: to look takes milliseconds, a backup may take minutes
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class TargetProperties:
    """What a target can honestly promise.

    durable: what was put survives a power cut; locked: nobody can remove an object before its date, not even the
    administrator of the machine; administrator: who could; note_fr, note_en: the sentence that status shows;
    failure_domain: as for sites, to tell whether the target dies with one of them.
    """

    durable: bool
    locked: bool
    administrator: str
    note_fr: str
    note_en: str
    failure_domain: str


class BackupTarget(Protocol):
    """A store of objects by content, and of manifests. Methods block and raise ``HygieError`` only."""

    @property
    def properties(self) -> TargetProperties: ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Alone at work on this target, across processes: a purge must not meet a snapshot that is being taken.

        Raises: TargetUnavailableError: somebody is at work (reason busy).
        """

    def put_object(self, sha256: str, data: bytes) -> None:
        """Store bytes durably under their digest (64 hex). Raises: BackupDamagedError: other bytes are there."""

    def get_object(self, sha256: str) -> bytes:
        """The bytes stored under a digest, not verified here. Raises: BackupDamagedError: missing."""

    def digest_object(self, sha256: str) -> str:
        """SHA-256 (64 hex) of what the medium holds under that name. Raises: BackupDamagedError: missing."""

    def objects(self) -> dict[str, int]:
        """Every object's digest name and its size in bytes."""

    def delete_object(self, sha256: str) -> None:
        """Remove an object; an absent one is removed already."""

    def put_manifest(self, name: str, raw: bytes) -> None:
        """Store a manifest durably; one that exists is never changed."""

    def get_manifest(self, name: str) -> bytes:
        """A manifest's bytes. Raises: SnapshotAbsentError."""

    def manifests(self) -> list[str]:
        """Names of all manifests, oldest first."""

    def delete_manifest(self, name: str) -> None:
        """Remove a manifest; an absent one is removed already."""

    def put_erasure(self, name: str, data: bytes) -> None:
        """Store a tombstone (``erased/<environment>/<compartment>``) durably; one that exists is never changed."""

    def get_erasure(self, name: str) -> bytes:
        """A tombstone's bytes, not verified here. Raises: BackupDamagedError: missing."""

    def erasures(self) -> list[str]:
        """Names of all tombstones."""


@asynccontextmanager
async def holding(target: BackupTarget) -> AsyncIterator[None]:
    """Alone at work on a target, once who is there has left.

    Raises: TargetUnavailableError: it is away, or somebody is at work for longer than ``HOLD_S`` (reason busy).
    """
    ends_s = monotonic() + HOLD_S
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(target.exclusive())
                break
            except TargetUnavailableError as error:
                if error.facts["reason"] != "busy" or monotonic() > ends_s:
                    raise
            await asyncio.sleep(_LOOK_S)
        yield


class FolderTarget:
    """A target in a folder, written as a folder site is. It cannot be locked against root, and says so."""

    def __init__(self, path: Path, *, administrator: str) -> None:
        """administrator: who holds root on the machine of this folder."""
        nowhere = SiteLocation("--", "", 0.0, 0.0, administrator)
        self._store = FolderSite(path, TARGET_NAME, nowhere)
        self._path = path
        self._administrator = administrator

    @staticmethod
    def initialise(path: Path) -> str:
        """Make ``path`` a backup target, once. Returns its identity. Raises: TargetUnavailableError."""
        try:
            return initialise(path, TARGET_NAME)
        except SiteUnavailableError as error:
            raise _unavailable(error) from error

    @property
    def properties(self) -> TargetProperties:
        """See ``TargetProperties``."""
        return TargetProperties(
            durable=True,
            locked=False,
            administrator=self._administrator,
            note_fr="Un dossier ne peut pas être verrouillé contre root : cette sauvegarde n'est pas immuable.",
            note_en="A folder cannot be locked against root: this backup is not immutable.",
            failure_domain=self._store.properties.failure_domain,
        )

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """See ``BackupTarget``. The lock is the system's: it dies with the process that holds it."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise TargetUnavailableError(target=TARGET_NAME, reason="absent") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise TargetUnavailableError(target=TARGET_NAME, reason="busy") from error
            yield
        finally:
            os.close(descriptor)

    def put_object(self, sha256: str, data: bytes) -> None:
        """See ``BackupTarget``."""
        try:
            self._store.put(_object_name(sha256), data)
        except ObjectExistsError as error:
            raise BackupDamagedError(name=sha256, reason="altered") from error
        except HygieError as error:
            raise _translated(error, sha256) from error

    def get_object(self, sha256: str) -> bytes:
        """See ``BackupTarget``."""
        try:
            return self._store.get(_object_name(sha256))
        except HygieError as error:
            raise _translated(error, sha256) from error

    def digest_object(self, sha256: str) -> str:
        """See ``BackupTarget``."""
        try:
            return self._store.digest(_object_name(sha256)).hex()
        except HygieError as error:
            raise _translated(error, sha256) from error

    def objects(self) -> dict[str, int]:
        """See ``BackupTarget``."""
        return {name.rsplit("/", 1)[1]: size_bytes for name, size_bytes in self._list(OBJECTS_PREFIX)}

    def delete_object(self, sha256: str) -> None:
        """See ``BackupTarget``."""
        try:
            self._store.delete(_object_name(sha256))
        except HygieError as error:
            raise _translated(error, sha256) from error

    def put_manifest(self, name: str, raw: bytes) -> None:
        """See ``BackupTarget``."""
        try:
            self._store.put(SNAPSHOTS_PREFIX + name, raw)
        except ObjectExistsError as error:
            raise BackupDamagedError(name=name, reason="altered") from error
        except HygieError as error:
            raise _translated(error, name) from error

    def get_manifest(self, name: str) -> bytes:
        """See ``BackupTarget``."""
        try:
            return self._store.get(SNAPSHOTS_PREFIX + name)
        except ObjectAbsentError as error:
            raise SnapshotAbsentError() from error
        except HygieError as error:
            raise _translated(error, name) from error

    def manifests(self) -> list[str]:
        """See ``BackupTarget``."""
        return [name.removeprefix(SNAPSHOTS_PREFIX) for name, _ in self._list(SNAPSHOTS_PREFIX)]

    def delete_manifest(self, name: str) -> None:
        """See ``BackupTarget``."""
        try:
            self._store.delete(SNAPSHOTS_PREFIX + name)
        except HygieError as error:
            raise _translated(error, name) from error

    def put_erasure(self, name: str, data: bytes) -> None:
        """See ``BackupTarget``."""
        try:
            self._store.put(_erasure_name(name), data)
        except ObjectExistsError:
            return  # the first certificate says it all: erased
        except HygieError as error:
            raise _translated(error, name) from error

    def get_erasure(self, name: str) -> bytes:
        """See ``BackupTarget``."""
        try:
            return self._store.get(_erasure_name(name))
        except HygieError as error:
            raise _translated(error, name) from error

    def erasures(self) -> list[str]:
        """See ``BackupTarget``."""
        return [name for name, _ in self._list(ERASED_PREFIX)]

    def close(self) -> None:
        """Give back descriptors."""
        self._store.close()

    def _list(self, prefix: str) -> Iterator[tuple[str, int]]:
        try:
            yield from self._store.list(prefix)
        except HygieError as error:
            raise _translated(error, prefix) from error


def _object_name(sha256: str) -> str:
    return f"{OBJECTS_PREFIX}{sha256[:2]}/{sha256}"


def _erasure_name(name: str) -> str:
    assert name.startswith(ERASED_PREFIX), name
    return name


def _unavailable(error: SiteUnavailableError) -> TargetUnavailableError:
    return TargetUnavailableError(target=TARGET_NAME, reason=error.facts.get("reason"))


def _translated(error: HygieError, name: str) -> HygieError:
    """The error of the store as one of the backup's own."""
    if isinstance(error, SiteUnavailableError):
        return _unavailable(error)
    if isinstance(error, ObjectAbsentError):
        return BackupDamagedError(name=name, reason="missing")
    if isinstance(error, ForeignEntryError):
        return BackupDamagedError(name=name, reason="foreign")
    return error
