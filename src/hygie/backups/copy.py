"""Copy what a snapshot names to the target, sign the manifest, and put it last: a manifest never names what lacks."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from typing import Protocol

from hygie.backups.errors import BackupDamagedError, SnapshotAbsentError
from hygie.backups.snapshot import (
    ObjectRef,
    SignedSnapshot,
    Snapshot,
    attach,
    key_refs,
    lasting_refs,
    manifest_name,
    to_sign,
    verify_manifest,
)
from hygie.backups.target import BackupTarget
from hygie.sites.placement import SiteSet

Progress = Callable[[int], None]

AT_ONCE = 4  # hides the latency of fsync; at most 4 packs of 64 MiB in memory


class Signer(Protocol):
    """Signs with the ``backup`` key, which never leaves the KMS."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes | Awaitable[bytes]: ...


@dataclass(slots=True)
class CopyReport:
    """copied: objects and their bytes sent now, each read back; already: objects that an earlier snapshot had sent;
    replaced: names that were damaged on the target and were put right from the sites."""

    copied: int = 0
    copied_bytes: int = 0
    already: int = 0
    replaced: list[str] = field(default_factory=list)


async def copy_objects(
    site_set: SiteSet,
    target: BackupTarget,
    refs: Sequence[ObjectRef],
    *,
    given: Mapping[str, bytes] | None = None,
    suspect: Collection[str] = (),
    progress: Progress | None = None,
) -> CopyReport:
    """Send what the target lacks, from intact copies on the sites (or from ``given``, by name), and read each back.

    Args: suspect: digests that a check found damaged on the target: sent again; progress: told 1 for each object sent.
    Raises: ObjectDamagedError, ObjectAbsentError, SiteUnavailableError: no intact copy to send;
    BackupDamagedError: the target does not give back what it was sent; TargetUnavailableError.
    """
    report = CopyReport()
    there = await asyncio.to_thread(target.objects)
    lacking = {ref.sha256: ref for ref in refs if there.get(ref.sha256) != ref.bytes or ref.sha256 in suspect}
    report.already = len({ref.sha256 for ref in refs}) - len(lacking)
    queue = list(lacking.values())

    async def work() -> None:
        while queue:
            ref = queue.pop()
            damaged = ref.sha256 in there or ref.sha256 in suspect
            await _copy_one(site_set, target, ref, (given or {}).get(ref.name), damaged=damaged)
            report.copied += 1
            report.copied_bytes += ref.bytes
            if progress is not None:
                progress(1)
            if damaged:
                report.replaced.append(ref.name)

    workers = [asyncio.create_task(work()) for _ in range(min(AT_ONCE, len(queue)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    return report


async def put_snapshot(
    site_set: SiteSet,
    target: BackupTarget,
    snapshot: Snapshot,
    signer: Signer,
    *,
    given: Mapping[str, bytes] | None = None,
    progress: Progress | None = None,
) -> tuple[SignedSnapshot, CopyReport]:
    """Copy all that the snapshot names, then sign and put its manifest. The caller holds ``target.exclusive``.

    Args: snapshot: its number and previous digest come from :func:`newest_snapshot`; given: bytes of objects that are
    not on the sites, by name (the KMS state).
    Raises: as ``copy_objects``; ManifestBrokenError: it is not well formed, or the signature is not the key's.
    """
    message = to_sign(snapshot)
    refs = lasting_refs(snapshot) + key_refs(snapshot)
    name = manifest_name(snapshot)
    report = await copy_objects(site_set, target, refs, given=given, progress=progress)
    signed = signer.sign(message)
    signature = await signed if isawaitable(signed) else signed
    raw = attach(snapshot, signature=signature, public_key=signer.public_key)
    await asyncio.to_thread(target.put_manifest, name, raw)
    back = await asyncio.to_thread(target.get_manifest, name)
    return verify_manifest(back, public_keys=[signer.public_key], name=name), report


async def newest_snapshot(target: BackupTarget, public_keys: Sequence[bytes]) -> SignedSnapshot:
    """The snapshot of the highest number. All manifests are verified: the newest by name may not be the newest.

    Raises: SnapshotAbsentError: none yet; ManifestBrokenError: one is not intact, and nobody knows what it said.
    """
    signed = (await verified_manifests(target, public_keys)).values()
    if not signed:
        raise SnapshotAbsentError()
    return max(signed, key=lambda one: one.snapshot.number)


async def verified_manifests(target: BackupTarget, public_keys: Sequence[bytes]) -> dict[str, SignedSnapshot]:
    """Every manifest of the target by name, each verified. Raises: ManifestBrokenError; TargetUnavailableError."""
    found: dict[str, SignedSnapshot] = {}
    for name in await asyncio.to_thread(target.manifests):
        raw = await asyncio.to_thread(target.get_manifest, name)
        found[name] = verify_manifest(raw, public_keys=public_keys, name=name)
    return found


async def read_object(target: BackupTarget, ref: ObjectRef) -> bytes:
    """An object from the target, only if it is the one the snapshot names.

    Raises: BackupDamagedError: missing, altered; TargetUnavailableError.
    """
    return await asyncio.to_thread(_read_verified, target, ref)


async def _copy_one(
    site_set: SiteSet, target: BackupTarget, ref: ObjectRef, given: bytes | None, *, damaged: bool
) -> None:
    if given is None:
        data = await site_set.read_valid(ref.name, 0, None, partial(_checked, ref))
    else:
        data = _checked(ref, given)
    await asyncio.to_thread(_put_and_read_back, target, ref, data, damaged)


def _put_and_read_back(target: BackupTarget, ref: ObjectRef, data: bytes, damaged: bool) -> None:
    if damaged:
        target.delete_object(ref.sha256)  # not the object of its name, as its size or a check has shown
    target.put_object(ref.sha256, data)
    if target.digest_object(ref.sha256) != ref.sha256:
        raise BackupDamagedError(name=ref.name, reason="altered")


def _checked(ref: ObjectRef, data: bytes) -> bytes:
    if len(data) != ref.bytes or hashlib.sha256(data).hexdigest() != ref.sha256:
        raise BackupDamagedError(name=ref.name, reason="altered")
    return data


def _read_verified(target: BackupTarget, ref: ObjectRef) -> bytes:
    try:
        return _checked(ref, target.get_object(ref.sha256))
    except BackupDamagedError as error:
        raise BackupDamagedError(name=ref.name, reason=error.facts.get("reason")) from error
