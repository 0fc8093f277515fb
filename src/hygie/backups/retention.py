"""What to keep. Pure: from names and instants to names.

Packs and manifests live long; copies of wrapped keys (ledgers, KMS state) live shortly, so that an epoch key that was
destroyed is not restored from a backup, and erased patients stay erased.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hygie.backups.snapshot import Snapshot, key_refs, lasting_refs

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How many snapshots to keep, by the newest of each day, ISO week and month (UTC) that has one.

    keys_days: how long a copy of wrapped keys may live on the target; at most the retention of destroyed epochs.
    young_hours: nothing younger is ever removed, whatever the counts; keys_since_ms: copies of keys taken before this
    instant are removed whatever their age (a client's data were destroyed: no copy of its keys may stay).
    """

    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    keys_days: int = 14
    young_hours: int = 24
    keys_since_ms: int = 0

    @property
    def longest_ms(self) -> int:
        """How long a snapshot lives at most, when one is taken each day."""
        return max(self.daily, 7 * self.weekly, -(-366 * self.monthly // 12)) * DAY_MS


def kept_snapshots(created: Sequence[tuple[str, int]], policy: RetentionPolicy, *, now_ms: int) -> set[str]:
    """Names to keep among (name, created_at_ms). The newest is always kept, and what claims to be of the future."""
    newest_first = sorted(created, key=lambda item: (item[1], item[0]), reverse=True)
    kept = {name for name, at_ms in newest_first if at_ms > now_ms - policy.young_hours * 3_600_000}
    kept.update(name for name, _ in newest_first[:1])
    for count, bucket in ((policy.daily, _day), (policy.weekly, _week), (policy.monthly, _month)):
        kept.update(_newest_of_each(newest_first, bucket, count))
    return kept


def kept_objects(snapshots: Sequence[Snapshot], policy: RetentionPolicy, *, now_ms: int) -> set[str]:
    """Digests (64 hex) of the objects that the kept snapshots still need.

    Copies of keys stay only for snapshots younger than ``keys_days``; those of the newest snapshot always stay:
    without a ledger no backup opens.
    """
    kept = {ref.sha256 for snapshot in snapshots for ref in lasting_refs(snapshot)}
    newest = max((snapshot.number for snapshot in snapshots), default=0)
    for snapshot in snapshots:
        if snapshot.number == newest or not keys_expired(snapshot, policy, now_ms=now_ms):
            kept.update(ref.sha256 for ref in key_refs(snapshot))
    return kept


def keys_expired(snapshot: Snapshot, policy: RetentionPolicy, *, now_ms: int) -> bool:
    """Whether this snapshot's copies of keys are past their retention: it is then restored with the newest ledger."""
    return snapshot.created_at_ms < max(now_ms - policy.keys_days * DAY_MS, policy.keys_since_ms)


def _newest_of_each(
    newest_first: Sequence[tuple[str, int]], bucket: Callable[[datetime], tuple[int, ...]], count: int
) -> list[str]:
    seen: dict[tuple[int, ...], str] = {}
    for name, at_ms in newest_first:
        seen.setdefault(bucket(datetime.fromtimestamp(at_ms / 1000, UTC)), name)
    return list(seen.values())[:count]


def _day(at: datetime) -> tuple[int, ...]:
    return at.year, at.month, at.day


def _week(at: datetime) -> tuple[int, ...]:
    return tuple(at.isocalendar())[:2]


def _month(at: datetime) -> tuple[int, ...]:
    return at.year, at.month
