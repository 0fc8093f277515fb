"""The files of the file KMS: what they hold, how they are sealed, and their whole-or-nothing replacement.

Source: docs/formats/kms.md v1.  ``root.kms`` holds the tenant keys and the signing keys, sealed under the root;
``tenant-<id>.kms`` holds the environment keys and the month keys, sealed under the tenant's key; inside it each
environment's part (secret and epoch keys) is sealed under the environment's key.  Sealing a list of child keys under
its parent is the wrap: altered, moved or swapped files do not open.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from hygie.base.canonical import canonical
from hygie.base.files import TEMPORARY_PREFIX, fsync_folder, make_private_folder, write_durably
from hygie.base.seal import SealBrokenError, open_sealed, seal
from hygie.keys.errors import KmsSettingsError, KmsStateBrokenError
from hygie.keys.sealing import Sealing

ROOT_MAGIC = b"HYGKMSR1"
TENANT_MAGIC = b"HYGKMST1"
EXPORT_MAGIC = b"HYGKMSX1"
ROOT_FILE = "root.kms"
LOCK_FILE = "kms.lock"
FILE_BYTES_MAX = (
    64 * 1024 * 1024
)  # a tenant with 200 environments of 64 epochs and 30 years of months takes under 2 MiB
EXPORT_BYTES_MAX = 256 * 1024 * 1024

_encoder = msgspec.msgpack.Encoder(order="deterministic")
T = TypeVar("T")


class TenantKey(msgspec.Struct, forbid_unknown_fields=True):
    """A version of a tenant's key; two versions only in the middle of a replacement."""

    tenant_id: bytes
    version: int
    key: bytes
    created_at_ms: int


class SigningKey(msgspec.Struct, forbid_unknown_fields=True):
    """An Ed25519 key; ``private`` is empty once it is retired."""

    purpose: str
    private: bytes
    public: bytes
    from_ms: int
    until_ms: int | None


class RootBody(msgspec.Struct, forbid_unknown_fields=True):
    """What the root key wraps. box_keys: the keys that seal the root, so that a rotated root is sealed the same way."""

    generation: int
    root_at_ms: int
    tenants: list[TenantKey]
    signing: list[SigningKey]
    box_keys: list[bytes]


class RootFile(msgspec.Struct, forbid_unknown_fields=True):
    """``root.kms`` as stored."""

    state_id: bytes
    created_at_ms: int
    sealing: Sealing
    body: bytes


class EpochKey(msgspec.Struct, forbid_unknown_fields=True):
    """An epoch key. reserved: wraps allowed by what is written down (the nonce bound); wraps: counted durably."""

    epoch: int
    key: bytes
    created_at_ms: int
    reserved: int
    wraps: int


class EnvironmentBody(msgspec.Struct, forbid_unknown_fields=True):
    """What the environment key wraps. ``epochs``: live ones, ascending; the last is the current one."""

    secret: bytes
    epochs: list[EpochKey]
    epochs_destroyed: int


class EnvironmentRecord(msgspec.Struct, forbid_unknown_fields=True):
    """An environment inside its tenant's file; destroyed: ``key`` and ``body`` are empty and stay so."""

    environment_id: bytes
    key: bytes
    key_at_ms: int
    destroyed_at_ms: int | None
    body: bytes


class MonthKey(msgspec.Struct, forbid_unknown_fields=True):
    """A month key; destroyed: ``key`` is empty and stays so."""

    kind: str
    month: str
    key: bytes
    created_at_ms: int
    destroyed_at_ms: int | None


class TenantBody(msgspec.Struct, forbid_unknown_fields=True):
    """What the tenant key wraps."""

    environments: list[EnvironmentRecord]
    months: list[MonthKey]


class TenantFile(msgspec.Struct, forbid_unknown_fields=True):
    """``tenant-<id>.kms`` as stored."""

    tenant_id: bytes
    key_version: int
    body: bytes


class ExportedFile(msgspec.Struct, forbid_unknown_fields=True):
    """One file of an export, byte for byte."""

    name: str
    data: bytes


def encode(magic: bytes, value: object) -> bytes:
    """Magic, then msgpack with sorted keys: one byte string for one value."""
    return magic + _encoder.encode(value)


def decode(magic: bytes, data: bytes, kind: type[T], part: str) -> T:
    """Read ``encode``'s bytes, and only those.

    Raises: KmsStateBrokenError: another magic, not msgpack of this shape, or not the canonical bytes.
    """
    if data[: len(magic)] != magic:
        raise KmsStateBrokenError(part=part)
    try:
        value = msgspec.msgpack.decode(memoryview(data)[len(magic) :], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KmsStateBrokenError(part=part) from error
    if encode(magic, value) != data:
        raise KmsStateBrokenError(part=part)
    return value


def seal_value(value: object, *, key: bytes, meaning: bytes) -> bytes:
    """Seal one structure under a parent key."""
    return seal(_encoder.encode(value), key=key, meaning=meaning, compress=False)


def open_value(sealed: bytes, kind: type[T], *, key: bytes, meaning: bytes, part: str) -> T:
    """Open one structure.

    Raises: KmsStateBrokenError: it does not open under this key and meaning.
    """
    try:
        plain = open_sealed(sealed, key=key, meaning=meaning, bytes_max=FILE_BYTES_MAX)
    except SealBrokenError as error:
        raise KmsStateBrokenError(part=part) from error
    return decode(b"", plain, kind, part)


def root_meaning(file: RootFile) -> bytes:
    """Authenticated with the root's body: everything else of its file, so that no box of the sealing changes unseen."""
    head = _encoder.encode([file.state_id, file.created_at_ms, file.sealing])
    return canonical("hygie kms root body v1", file.state_id, hashlib.sha256(head).digest())


def tenant_meaning(state_id: bytes, tenant_id: bytes, version: int) -> bytes:
    """Authenticated with a tenant's body."""
    return canonical("hygie kms tenant body v1", state_id, tenant_id, version)


def environment_meaning(state_id: bytes, tenant_id: bytes, environment_id: bytes) -> bytes:
    """Authenticated with an environment's body."""
    return canonical("hygie kms environment body v1", state_id, tenant_id, environment_id)


def tenant_file(tenant_id: bytes) -> str:
    """The name of a tenant's file."""
    return f"tenant-{tenant_id.hex()}.kms"


@dataclass(slots=True)
class StateFolder:
    """The folder of one KMS: private, locked by one process, its files replaced whole."""

    folder: Path
    _lock: int = -1

    def create(self) -> None:
        """Make the folder and take it.

        Raises: KmsSettingsError: it already holds a state.
        """
        make_private_folder(self.folder)
        self.take()
        if (self.folder / ROOT_FILE).exists():
            self.release()
            raise KmsSettingsError(setting="kms.state", reason="the folder already holds a key state")

    def take(self) -> None:
        """Check who may read the folder, lock it against a second KMS, drop what a crash left half-written.

        Raises: KmsSettingsError: readable by others, owned by another user, or in use.
        """
        if not self.folder.is_dir():
            raise KmsSettingsError(setting="kms.state", reason="there is no such folder")
        check_private(self.folder)
        descriptor = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise KmsSettingsError(setting="kms.state", reason="another key service uses this folder") from error
        self._lock = descriptor
        try:
            for path in self.folder.iterdir():
                check_private(path)
                if path.name.startswith(TEMPORARY_PREFIX):
                    path.unlink()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let another process take the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def read(self, name: str) -> bytes:
        """One file, whole.

        Raises: KmsStateBrokenError: missing or larger than any sound state.
        """
        path = self.folder / name
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                raise KmsStateBrokenError(part=name)
            return path.read_bytes()
        except FileNotFoundError as error:
            raise KmsStateBrokenError(part=name) from error

    def write(self, name: str, data: bytes) -> None:
        """Replace one file durably, then overwrite the bytes of the old one, hard links included.

        A copy-on-write file system or an SSD may keep them all the same: that is why a destroyed key's parent dies too.
        """
        path = self.folder / name
        old = os.open(path, os.O_WRONLY | os.O_CLOEXEC) if path.exists() else -1
        try:
            write_durably(path, data)
            if old >= 0:
                os.pwrite(old, bytes(os.fstat(old).st_size), 0)
                os.fsync(old)
        finally:
            if old >= 0:
                os.close(old)

    def set_aside(self, name: str, new_name: str) -> None:
        """Rename a file that is in the way, durably."""
        (self.folder / name).rename(self.folder / new_name)
        fsync_folder(self.folder)

    def export(self, names: list[str]) -> bytes:
        """The named files as stored, in one byte string.

        Raises: KmsStateBrokenError: one is missing, or the whole is over EXPORT_BYTES_MAX.
        """
        files = [ExportedFile(name, self.read(name)) for name in names]
        if sum(len(file.data) for file in files) > EXPORT_BYTES_MAX:
            raise KmsStateBrokenError(part="export")
        return encode(EXPORT_MAGIC, files)


def restore_state(data: bytes, folder: Path) -> None:
    """Write an export into an empty folder; it opens there with the same passphrase or shares.

    Raises: KmsStateBrokenError: not a canonical export; KmsSettingsError: the folder already holds a state.
    """
    files = decode(EXPORT_MAGIC, data, list[ExportedFile], "export")
    names = [file.name for file in files]
    tenants = all(
        decode(TENANT_MAGIC, file.data, TenantFile, "export").tenant_id.hex() == file.name[7:-4]
        and file.name == f"tenant-{file.name[7:-4]}.kms"
        for file in files[:-1]
    )
    if not names or names[-1] != ROOT_FILE or len(set(names)) != len(names) or not tenants:
        raise KmsStateBrokenError(part="export")
    decode(ROOT_MAGIC, files[-1].data, RootFile, "export")
    target = StateFolder(folder)
    target.create()
    try:
        for file in files:  # the root last: before it, the folder holds no state
            target.write(file.name, file.data)
    finally:
        target.release()


def check_private(path: Path) -> None:
    """Refuse what other users may read, write or own.

    Raises: KmsSettingsError.
    """
    found = path.lstat()
    if found.st_uid != os.geteuid():
        raise KmsSettingsError(setting="kms.state", reason=f"{path.name} belongs to another user")
    if found.st_mode & 0o077:
        raise KmsSettingsError(setting="kms.state", reason=f"{path.name} can be read by other users (chmod go-rwx)")
