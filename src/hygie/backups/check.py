"""Check a whole target: every manifest, every object it names, their order, and that nothing was taken back.

And purge it: only after a check that found nothing wrong with the manifests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hygie.backups.errors import (
    BackupDamagedError,
    BackupRefusedError,
    ManifestBrokenError,
    ManifestReplayedError,
    SnapshotAbsentError,
)
from hygie.backups.retention import RetentionPolicy, kept_objects, kept_snapshots, keys_expired
from hygie.backups.snapshot import ObjectRef, SignedSnapshot, key_refs, lasting_refs, verify_manifest
from hygie.backups.target import BackupTarget, holding


@dataclass(frozen=True, slots=True)
class Head:
    """The newest snapshot that was recorded elsewhere (journal): its number and the digest of its manifest file."""

    number: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BackupFault:
    """snapshot: the manifest's name; name: the object's, or "" for the manifest itself; reason: for a manifest format,
    signature, unknown-key, not-canonical, renamed or chain; for an object missing, altered or foreign; sha256: the
    object's name on the target, for ``copy_objects(suspect=…)`` to send it again."""

    snapshot: str
    name: str
    reason: str
    sha256: str = ""


@dataclass(slots=True)
class TargetReport:
    """snapshots: those intact with all they name, by manifest name; objects, bytes: read and hashed;
    faults: all that is wrong; keys_expired: snapshots whose ledgers are past their retention (not a fault)."""

    snapshots: dict[str, SignedSnapshot] = field(default_factory=dict)
    objects: int = 0
    bytes: int = 0
    faults: list[BackupFault] = field(default_factory=list)
    keys_expired: list[str] = field(default_factory=list)


async def check_target(
    target: BackupTarget,
    *,
    public_keys: Sequence[bytes],
    policy: RetentionPolicy,
    now_ms: int,
    recorded: Head | None,
) -> TargetReport:
    """Read and hash everything on the target. Backups and purges may go on meanwhile: a whole check lasts hours.

    Args: recorded: what the journal says was the newest; None only when no backup was ever recorded.
    Raises: ManifestReplayedError: the target shows less than was recorded, or another snapshot under its number;
    TargetUnavailableError.
    """
    report = TargetReport()
    signed = await _manifests(target, public_keys, report)
    _check_chain(signed, report)
    states: dict[str, str] = {}
    for name, manifest in signed.items():
        snapshot = manifest.snapshot
        expired = keys_expired(snapshot, policy, now_ms=now_ms)
        whole = True
        for ref in lasting_refs(snapshot) + key_refs(snapshot):
            state = await _state(target, ref, states, report)
            if state == "missing" and expired and ref in key_refs(snapshot):
                if name not in report.keys_expired:
                    report.keys_expired.append(name)
            elif state != "intact":
                report.faults.append(BackupFault(name, ref.name, state, ref.sha256))
                whole = False
        if whole:
            report.snapshots[name] = manifest
    standing = set(await asyncio.to_thread(target.manifests))
    purged = signed.keys() - standing  # with what only they needed: no fault
    report.faults = [one for one in report.faults if one.snapshot not in purged or one.reason != "missing"]
    _check_head(signed, recorded)
    return report


async def purge_target(
    target: BackupTarget, *, public_keys: Sequence[bytes], policy: RetentionPolicy, now_ms: int
) -> tuple[list[str], list[str]]:
    """Remove the snapshots and objects that the policy does not keep.

    Returns: names of the manifests removed, digests of the objects removed.
    Raises: BackupRefusedError: a manifest is not intact; what it named is unknown, so nothing is removed;
    TargetUnavailableError.
    """
    async with holding(target):
        return await _purge(target, public_keys, policy, now_ms)


async def _purge(
    target: BackupTarget, public_keys: Sequence[bytes], policy: RetentionPolicy, now_ms: int
) -> tuple[list[str], list[str]]:
    report = TargetReport()
    signed = await _manifests(target, public_keys, report)
    if report.faults or not signed:
        reason = report.faults[0].reason if report.faults else "no snapshot"
        raise BackupRefusedError(reason=reason)
    created = [(name, manifest.snapshot.created_at_ms) for name, manifest in signed.items()]
    kept = kept_snapshots(created, policy, now_ms=now_ms)
    newest = max(signed, key=lambda name: signed[name].snapshot.number)
    kept.add(newest)
    needed = kept_objects([signed[name].snapshot for name in kept], policy, now_ms=now_ms)
    manifests = [name for name in signed if name not in kept]
    objects = [sha256 for sha256 in await asyncio.to_thread(target.objects) if sha256 not in needed]
    for name in manifests:
        await asyncio.to_thread(target.delete_manifest, name)
    for sha256 in objects:
        await asyncio.to_thread(target.delete_object, sha256)
    return manifests, objects


async def _manifests(
    target: BackupTarget, public_keys: Sequence[bytes], report: TargetReport
) -> dict[str, SignedSnapshot]:
    signed: dict[str, SignedSnapshot] = {}
    for name in await asyncio.to_thread(target.manifests):
        try:
            raw = await asyncio.to_thread(target.get_manifest, name)
            signed[name] = verify_manifest(raw, public_keys=public_keys, name=name)
        except SnapshotAbsentError:
            continue  # purged meanwhile
        except (ManifestBrokenError, BackupDamagedError) as error:
            report.faults.append(BackupFault(name, "", str(error.facts.get("reason"))))
    return signed


def _check_chain(signed: dict[str, SignedSnapshot], report: TargetReport) -> None:
    """Numbers are used once, and each snapshot names the one before it, where retention has kept that one."""
    by_number: dict[int, SignedSnapshot] = {}
    for name, manifest in sorted(signed.items(), key=lambda item: item[1].snapshot.number):
        number = manifest.snapshot.number
        before = by_number.get(number - 1)
        if number in by_number or (before is not None and before.sha256 != manifest.snapshot.previous_sha256):
            report.faults.append(BackupFault(name, "", "chain"))
        by_number.setdefault(number, manifest)


def _check_head(signed: dict[str, SignedSnapshot], recorded: Head | None) -> None:
    if recorded is None:
        return
    newest = max((manifest.snapshot.number for manifest in signed.values()), default=0)
    same = [manifest.sha256 for manifest in signed.values() if manifest.snapshot.number == recorded.number]
    if newest < recorded.number or (same and recorded.sha256 not in same):
        raise ManifestReplayedError(found=newest, expected=recorded.number)


async def _state(target: BackupTarget, ref: ObjectRef, states: dict[str, str], report: TargetReport) -> str:
    """intact, missing, altered or foreign; each object is read once however many snapshots name it."""
    known = states.get(ref.sha256)
    if known is not None:
        return known
    try:
        found = await asyncio.to_thread(target.digest_object, ref.sha256)
        state = "intact" if found == ref.sha256 else "altered"
        report.objects += 1
        report.bytes += ref.bytes
    except BackupDamagedError as error:
        state = str(error.facts.get("reason"))
    states[ref.sha256] = state
    return state
