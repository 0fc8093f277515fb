"""Open a backup with the target and the passphrase (or shares) alone: no production, no database, no site.

The chain of trust starts at the secret: it opens the key state that the newest manifest names; that state holds the
public keys; they verify the manifest that named it, then every other one.  Whoever writes on the target without the
secret can damage a restore, and is then named; he cannot forge one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from hygie.backups.copy import read_object
from hygie.backups.errors import ManifestBrokenError, SnapshotAbsentError
from hygie.backups.keys import keys_in
from hygie.backups.snapshot import SignedSnapshot, read_unverified, verify_manifest
from hygie.backups.target import BackupTarget
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.keys.file_kms import FileKms
from hygie.keys.in_process import InProcessKms
from hygie.keys.kms import KmsStatus
from hygie.keys.sealing import Secret
from hygie.keys.state import restore_state

LATEST = "latest"


@dataclass(slots=True)
class OpenedBackup:
    """A verified backup and its keys.

    wanted: whose packs are restored; newest: whose ledgers, key state, erasures, platform and journal are used, so that
    what was erased, revoked or journaled since ``wanted`` stays so; broken: manifests that are not intact.
    """

    target: BackupTarget
    kms: InProcessKms
    status: KmsStatus
    wanted: SignedSnapshot
    newest: SignedSnapshot
    broken: list[str] = field(default_factory=list)


async def open_backup(
    target: BackupTarget,
    *,
    secret: Secret,
    kms_folder: Path,
    clock: Clock,
    which: str = LATEST,
    keys_of: str | None = None,
) -> OpenedBackup:
    """Write the backed-up key state into an empty folder, open it, verify the manifests.

    Args: which: a manifest's name (or its beginning), or ``latest``; keys_of: take ledgers and keys of this older
    snapshot instead of the newest one's: only after a loss of keys, for it may open what was erased since.
    Raises: SnapshotAbsentError; ManifestBrokenError: the newest (or the wanted) one is not intact;
    BackupDamagedError: no key state; WrongPassphraseError; ShareRefusedError; TargetUnavailableError.
    """
    names = await asyncio.to_thread(target.manifests)
    if not names:
        raise SnapshotAbsentError()
    first = _named(names, keys_of) if keys_of else await asyncio.to_thread(_highest, target, names)
    raw = await asyncio.to_thread(target.get_manifest, first)
    claimed = read_unverified(raw, first).kms_state
    if claimed is None:
        raise SnapshotAbsentError()
    await asyncio.to_thread(restore_state, await read_object(target, claimed), kms_folder)
    kms = await asyncio.to_thread(_unsealed, kms_folder, secret, clock)
    try:
        status = await kms.status()
        keys = keys_in(status, "backup")
        newest = verify_manifest(raw, public_keys=keys, name=first)
        found, broken = await _all_verified(target, names, keys)
        latest = max(found, key=lambda name: found[name].snapshot.number)
        name = latest if which == LATEST else _named(names, which)
        if name in broken:
            raise ManifestBrokenError(snapshot=name, reason="signature")
        return OpenedBackup(target, kms, status, found[name], newest, broken)
    except BaseException:
        await kms.close()
        raise


def _unsealed(folder: Path, secret: Secret, clock: Clock) -> InProcessKms:
    kms = FileKms(folder, clock=clock)
    kms.open()
    try:
        kms.unseal(secret)
    except BaseException:
        kms.close()
        raise
    return InProcessKms(kms)


async def _all_verified(
    target: BackupTarget, names: list[str], keys: list[bytes]
) -> tuple[dict[str, SignedSnapshot], list[str]]:
    found: dict[str, SignedSnapshot] = {}
    broken: list[str] = []
    for name in names:
        try:
            raw = await asyncio.to_thread(target.get_manifest, name)
            found[name] = verify_manifest(raw, public_keys=keys, name=name)
        except HygieError:
            broken.append(name)
    return found, broken


def _highest(target: BackupTarget, names: list[str]) -> str:
    """The manifest that claims the highest number: a clock that went back makes names lie.

    Raises: ManifestBrokenError: the last one is not even a manifest.
    """
    numbers: dict[str, int] = {}
    for name in names:
        try:
            numbers[name] = read_unverified(target.get_manifest(name), name).number
        except ManifestBrokenError:
            if name == names[-1]:
                raise
    return max(numbers, key=lambda name: (numbers[name], name))


def _named(names: list[str], wanted: str) -> str:
    matching = [name for name in names if name.startswith(wanted)]
    if len(matching) != 1:
        raise SnapshotAbsentError()
    return matching[0]
