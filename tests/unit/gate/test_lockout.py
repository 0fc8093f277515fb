"""Counting tries, without a database: what a lock is, how long, and when the day begins again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hygie.gate.lockout import DAY_MS, LATER_LOCK_MS, LOCK_MS, THIRD_LOCK_MS, TRIES, Count, tried

NOON = 20_000 * DAY_MS + DAY_MS // 2


def test_three_tries_then_a_lock_which_lasts_longer_each_time() -> None:
    count, now_ms = Count(), NOON
    for lasts_ms in (LOCK_MS, LOCK_MS, THIRD_LOCK_MS, LATER_LOCK_MS, LATER_LOCK_MS):
        for rank in range(TRIES):
            after = tried(count, now_ms, TRIES)
            assert after is not None
            count = after
            assert (count.until_ms > now_ms) == (rank == TRIES - 1)
        assert count.until_ms == now_ms + lasts_ms
        assert tried(count, now_ms + lasts_ms - 1, TRIES) is None
        now_ms += lasts_ms
    tomorrow = tried(count, NOON + DAY_MS, TRIES)
    assert tomorrow is not None
    assert (tomorrow.tries, tomorrow.locks) == (1, 0)


def test_a_lock_goes_on_over_midnight() -> None:
    count = Count(day=20_000, tries=TRIES - 1)
    locked = tried(count, 20_001 * DAY_MS - 1, TRIES)
    assert locked is not None
    assert tried(locked, 20_001 * DAY_MS + 10, TRIES) is None


@given(st.lists(st.integers(0, 7_200_000), min_size=1, max_size=200))
def test_never_more_than_the_bound_in_the_length_of_a_lock(gaps: list[int]) -> None:
    """Whatever the rhythm, at most three tries within one lock's length, but for the change of day."""
    now_ms, count, passed = NOON - NOON % DAY_MS, Count(), []
    for gap in gaps:
        now_ms += gap
        after = tried(count, now_ms, TRIES)
        if after is not None:
            count = after
            passed.append(now_ms)
    for at in passed:
        within = [one for one in passed if at <= one < at + LOCK_MS and one // DAY_MS == at // DAY_MS]
        assert len(within) <= 2 * TRIES - 1  # the end of one count, and the whole of the next
