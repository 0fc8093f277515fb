"""Whether the target still holds what backups left there, told from listings: a check reads all of it, for hours.

What retention lets go is no loss.  A snapshot's objects are held to its signed manifest, by name and size; snapshots to
those of the look before, less what the policy drops: a name that it keeps now, it kept at every purge until now.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hygie.backups.errors import BackupDamagedError, ManifestBrokenError, SnapshotAbsentError
from hygie.backups.retention import RetentionPolicy, kept_snapshots
from hygie.backups.snapshot import Snapshot, created_ms, key_refs, lasting_refs, verify_manifest
from hygie.backups.target import BackupTarget

SNAPSHOTS_MAX = 1_000  # names remembered from one look to the next, the newest


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one look found. snapshots: names there, oldest first; objects: how many the manifests that were read name;
    lost_snapshots: that should be there, or whose manifest is not intact; lost_objects: absent, or of another size."""

    snapshots: Sequence[str]
    objects: int
    lost_snapshots: int
    lost_objects: int


def look_at_target(
    target: BackupTarget, *, public_keys: Sequence[bytes], policy: RetentionPolicy, before: Collection[str], now_ms: int
) -> Holdings:
    """The newest snapshot, and one drawn among the others, against what is listed. Blocks.

    Args: before: names that were there at the look before, or were taken since. Backups and purges may go on.
    Raises: TargetUnavailableError.
    """
    names = target.manifests()
    drawn = [secrets.choice(names[:-1])] if len(names) > 1 else []
    dated = [(name, at_ms) for name in before if (at_ms := created_ms(name)) is not None]
    lost = kept_snapshots(dated, policy, now_ms=now_ms) - set(names)
    read: dict[str, Snapshot] = {}
    for name in [*names[-1:], *drawn]:
        try:
            read[name] = verify_manifest(target.get_manifest(name), public_keys=public_keys, name=name).snapshot
        except SnapshotAbsentError:
            continue  # purged meanwhile; deleted: the next look tells
        except (ManifestBrokenError, BackupDamagedError):
            lost.add(name)
    there = target.objects()
    standing = target.manifests()
    named: set[str] = set()
    gone: set[str] = set()
    for name, snapshot in read.items():
        if name not in standing:
            continue  # purged since it was read, with what only it needed
        refs = lasting_refs(snapshot) + (key_refs(snapshot) if name == standing[-1] else [])  # others' keys may go
        named |= {ref.sha256 for ref in refs}
        gone |= {ref.sha256 for ref in refs if there.get(ref.sha256) != ref.bytes}
    return Holdings(names[-SNAPSHOTS_MAX:], len(named), len(lost), len(gone))
