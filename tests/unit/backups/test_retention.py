"""What is kept, by day, week and month; and copies of keys die early."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hygie.backups.retention import RetentionPolicy, kept_objects, kept_snapshots
from tests.unit.backups.stage import DAY_MS, NOON_MS, snapshot

POLICY = RetentionPolicy()
HOUR_MS = 3_600_000


def test_seven_days_four_weeks_twelve_months() -> None:
    created = [(f"{day:04d}", NOON_MS - day * DAY_MS) for day in range(500)]
    kept = kept_snapshots(created, POLICY, now_ms=NOON_MS)
    ages = sorted(int(name) for name in kept)
    assert ages[:7] == list(range(7))
    assert 7 + 2 <= len(ages) <= 7 + 4 + 12
    assert 300 < max(ages) < 366
    assert max(later - earlier for earlier, later in pairwise(ages)) <= 31


def test_of_one_day_the_newest_is_kept_and_the_young_all() -> None:
    created = [(f"{hour:03d}", NOON_MS - hour * HOUR_MS) for hour in range(24 * 5)]
    kept = kept_snapshots(created, RetentionPolicy(daily=5, weekly=0, monthly=0), now_ms=NOON_MS)
    older = {"037", "061", "085"}  # 23:00 of the third, fourth and fifth day back; noon is hour 000
    assert kept == {f"{hour:03d}" for hour in range(24)} | older


@given(
    st.lists(st.integers(0, 2000), min_size=1, unique=True, max_size=60),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_the_newest_is_never_dropped_and_only_given_names_are_kept(
    days: list[int], daily: int, weekly: int, monthly: int
) -> None:
    created = [(str(day), NOON_MS - day * DAY_MS) for day in days]
    policy = RetentionPolicy(daily=daily, weekly=weekly, monthly=monthly)
    kept = kept_snapshots(created, policy, now_ms=NOON_MS)
    assert str(min(days)) in kept
    assert kept <= {name for name, _ in created}
    assert kept_snapshots([item for item in created if item[0] in kept], policy, now_ms=NOON_MS) == kept
    assert kept_snapshots([], policy, now_ms=NOON_MS) == set()


def test_a_snapshot_that_claims_the_future_is_kept() -> None:
    created = [("now", NOON_MS), ("future", NOON_MS + 400 * DAY_MS), ("old", NOON_MS - 2000 * DAY_MS)]
    policy = RetentionPolicy(daily=1, weekly=0, monthly=0)
    assert kept_snapshots(created, policy, now_ms=NOON_MS) == {"now", "future"}


def test_copies_of_keys_die_with_their_own_retention_packs_do_not() -> None:
    packs = {"packs/e/1": b"pack"}
    old = snapshot(1, packs, at_ms=NOON_MS - 15 * DAY_MS, ledger=b"old ledger", kms=b"old state")
    young = snapshot(2, packs, at_ms=NOON_MS - 13 * DAY_MS, ledger=b"young ledger", kms=b"young state")
    new = snapshot(3, {}, at_ms=NOON_MS, ledger=b"new ledger", kms=b"new state")
    kept = kept_objects([old, young, new], POLICY, now_ms=NOON_MS)
    assert {old.environments[0].packs[0].sha256} <= kept
    for each, expected in ((old, False), (young, True), (new, True)):
        assert each.environments[0].ledger is not None
        assert each.kms_state is not None
        assert (each.environments[0].ledger.sha256 in kept) is expected
        assert (each.kms_state.sha256 in kept) is expected


def test_the_newest_ledger_stays_even_when_backups_have_stopped() -> None:
    last = snapshot(3, {}, at_ms=NOON_MS - 100 * DAY_MS)
    assert last.environments[0].ledger is not None
    assert last.environments[0].ledger.sha256 in kept_objects([last], POLICY, now_ms=NOON_MS)
