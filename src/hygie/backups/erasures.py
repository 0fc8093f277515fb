"""Erasures reach the backup target by themselves, between two snapshots: what was erased does not come back.

A tombstone is the signed certificate of an erasure.  The working process copies new ones to the target every few
seconds; a restore applies all of them, whatever snapshot it starts from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hygie.backups.errors import BackupDamagedError
from hygie.backups.target import ERASED_PREFIX, BackupTarget
from hygie.base.errors import HygieError
from hygie.keys.erasure import verify_certificate
from hygie.sites.placement import SiteSet
from hygie.vault.ledger import tombstone_name


async def copy_erasures(sites: SiteSet, target: BackupTarget, public_keys: Sequence[bytes]) -> int:
    """Copy to the target the tombstones it lacks, from a copy whose signature holds. Returns how many.

    Raises: SiteUnavailableError: no site answers; TargetUnavailableError; IntegrityError: no copy is signed.
    """
    there = set(await asyncio.to_thread(target.erasures))
    lacking = [name for name, _ in await sites.list(ERASED_PREFIX) if name not in there]
    for name in lacking:

        def signed(data: bytes, name: str = name) -> bytes:
            return _checked(name, data, public_keys)

        data = await sites.read_valid(name, 0, None, signed)
        await asyncio.to_thread(target.put_erasure, name, data)
    return len(lacking)


def read_erasures(target: BackupTarget, public_keys: Sequence[bytes]) -> dict[str, bytes]:
    """Every tombstone of the target, by name. Blocks.

    A tombstone that is not signed stops the restore: whoever could plant one would erase a patient.
    Raises: BackupDamagedError; TargetUnavailableError.
    """
    found = {}
    for name in target.erasures():
        data = target.get_erasure(name)
        try:
            found[name] = _checked(name, data, public_keys)
        except HygieError as error:
            raise BackupDamagedError(name=name, reason="altered") from error
    return found


def _checked(name: str, data: bytes, public_keys: Sequence[bytes]) -> bytes:
    """The bytes of a tombstone, when they are its certificate. Raises: CertificateForgedError, BackupDamagedError."""
    certificate = verify_certificate(data, public_keys=list(public_keys))
    environment_id, compartment = bytes.fromhex(certificate.environment_id), bytes.fromhex(certificate.compartment_id)
    if tombstone_name(environment_id, compartment) != name:
        raise BackupDamagedError(name=name, reason="foreign")
    return data
