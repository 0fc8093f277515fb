"""Minutes, periods and penalties: nothing is lost, nothing depends on the order, and every doubt is the client's."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hygie.availability.minutes import (
    DOWN,
    LOCAL,
    NO_PROBE,
    SLOW,
    UP,
    Run,
    Service,
    Span,
    compact,
    month_of,
    period_at,
    periods_until,
    tally,
)
from hygie.availability.terms import Step, Terms, account, allowance, read_steps, terms_of

SPAN = Span(1_000, 1_200)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    first = draw(st.integers(950, 1_250))
    last = first + draw(st.integers(0, 60))
    state = draw(st.sampled_from((UP, SLOW, DOWN)))
    return Run(draw(st.sampled_from((LOCAL, "out"))), first, last, state, state)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start = draw(st.integers(950, 1_250))
    return Span(start, start + draw(st.integers(0, 80)))


SERVICES = st.lists(st.builds(Service, st.lists(runs(), max_size=12), st.integers(900, 1_250)), max_size=3)


def slowly(service: Service, minute: int) -> str:
    """The state of one minute, as it is defined."""
    there = [one for one in service.runs if one.first <= minute <= one.last]
    told = [one.state for one in there if one.source != LOCAL] or [one.state for one in there]
    return max(told, key=(UP, SLOW, DOWN).index, default=DOWN)


@given(SERVICES, st.lists(spans(), max_size=4), st.integers(900, 1_300))
def test_every_minute_is_counted_once_and_as_it_is_defined(
    services: list[Service], windows: list[Span], until: int
) -> None:
    found = tally(services, windows, SPAN, until)
    assert found.up + found.down + found.excluded + found.before + found.ahead == SPAN.end - SPAN.start
    began = min((one.since for one in services), default=SPAN.end)
    want = {UP: 0, DOWN: 0, "excluded": 0, SLOW: 0}
    downs = set()
    for minute in range(max(SPAN.start, began), min(SPAN.end, until)):
        if any(one.start <= minute < one.end for one in windows):
            want["excluded"] += 1
            continue
        states = [slowly(one, minute) for one in services if one.since <= minute]
        worst = max(states, key=(UP, SLOW, DOWN).index)
        want[SLOW] += worst == SLOW
        want[UP if worst == SLOW else worst] += 1
        if worst == DOWN:
            downs.add(minute)
    assert (found.up, found.down, found.excluded, found.slow) == (want[UP], want[DOWN], want["excluded"], want[SLOW])
    assert downs == {minute for one in found.outages for minute in range(one.start, one.end)}


@given(SERVICES, st.lists(spans(), max_size=4), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(
    services: list[Service], windows: list[Span], chance: random.Random
) -> None:
    before = tally(services, windows, SPAN, 1_200)
    mixed = [Service(chance.sample(list(one.runs) * 2, len(one.runs) * 2), one.since) for one in services]
    after = tally(mixed, [*windows, *windows], SPAN, 1_200)
    assert (after.up, after.down, after.excluded, after.slow) == (
        before.up,
        before.down,
        before.excluded,
        before.slow,
    )


def test_a_minute_that_nobody_measured_is_down() -> None:
    found = tally(
        [Service([Run(LOCAL, 1_000, 1_009, UP, "200"), Run(LOCAL, 1_015, 1_199, UP, "200")], 0)], [], SPAN, 1_200
    )
    assert (found.down, found.unmeasured) == (5, 5)
    assert [(one.start, one.end, one.reason) for one in found.outages] == [(1_010, 1_015, NO_PROBE)]


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from((UP, SLOW, DOWN)), st.just("x"), st.integers(0, 9)), max_size=40
    )
)
def test_runs_say_each_minute_once_at_its_worst(minutes: list[tuple[int, str, str, int]]) -> None:
    told = {minute: one.state for one in compact("out", minutes) for minute in range(one.first, one.last + 1)}
    assert told == {
        minute: max((state for at, state, _, _ in minutes if at == minute), key=(UP, SLOW, DOWN).index)
        for minute in {one[0] for one in minutes}
    }
    assert sum(one.last - one.first + 1 for one in compact("out", minutes)) == len(told)


def test_months_are_those_of_paris() -> None:
    """23 and 25 hours in the days when clocks change; a leap day; months follow one another without a hole."""
    lengths = {(2026, 3): 31 * 1_440 - 60, (2026, 10): 31 * 1_440 + 60, (2028, 2): 29 * 1_440, (2027, 2): 28 * 1_440}
    for (year, month), minutes in lengths.items():
        span = month_of(year, month).span
        assert span.end - span.start == minutes
    found = periods_until(date(2026, 11, 28), "monthly", 13)
    assert [found[0].name, found[-1].name, len(found)] == ["2025-11", "2026-11", 13]
    assert all(one.span.end == other.span.start for one, other in pairwise(found))
    assert [one.name for one in periods_until(date(2026, 1, 1), "quarterly", 4)] == ["2025-T4", "2026-T1"]
    assert period_at(date(2026, 5, 9), "yearly").span == Span(month_of(2026, 1).span.start, month_of(2026, 12).span.end)


STEPS = st.lists(st.builds(Step, st.decimals(90, 100, places=2), st.decimals(0, 100, places=1)), max_size=5).map(tuple)


@given(STEPS, st.integers(0, 200), st.integers(0, 200), st.decimals(0, 100, places=1))
def test_more_minutes_down_never_owe_less(steps: tuple[Step, ...], one: int, other: int, cap: Decimal) -> None:
    terms = Terms(steps=steps, cap=cap, fee=Decimal("1234.56"))
    less, more = sorted((one, other))

    def owed(down: int) -> tuple[Decimal, Decimal, int]:
        sums = tally([Service([Run(LOCAL, 1_000 + down, 1_199, UP, "200")], 0)], [], SPAN, 1_200)
        kept = account(terms, sums)
        assert kept.penalty is not None
        assert kept.amount is not None
        assert kept.amount >= Fraction(kept.penalty) * Fraction("12.3456")  # never a cent short
        assert kept.rate is not None
        assert kept.rate <= Fraction(100 * (200 - down), 200)
        return kept.penalty, kept.amount, -kept.left

    assert all(small <= large for small, large in zip(owed(less), owed(more), strict=True))
    assert owed(more)[0] <= cap


def test_a_contract_says_its_own_terms() -> None:
    fields = {"availability": "99.95", "penalties": "yes", "penalty_steps": "99.95: 5; 99.5: 10", "penalty_cap": "8"}
    terms = terms_of("CTR-1", fields | {"maintenance_notice_hours": 48, "measuring": "quarterly"})
    assert terms.steps == (Step(Decimal("99.95"), Decimal(5)), Step(Decimal("99.5"), Decimal(10)))
    assert (terms.notice_hours, terms.rhythm, terms.cap) == (48, "quarterly", Decimal(8))
    assert terms_of("CTR-2", {"penalties": "yes", "penalty_terms": "see annex"}).steps is None
    assert terms_of("CTR-3", {"penalties": "no", "penalty_steps": "99: 5"}).steps == ()
    assert allowance(Decimal("99.9"), 30 * 1_440) == 43  # 43.2
    for wrong in ("", "99.9", "99.9: x", "101: 5", "99: -1", "99: NaN", ";".join(["99: 1"] * 21)):
        assert read_steps(wrong) is None


def test_minutes_still_to_come_are_up_and_those_before_count_for_nothing() -> None:
    sums = tally([Service([Run(LOCAL, 1_100, 1_109, DOWN, "timeout")], 1_100)], [], SPAN, 1_110)
    assert (sums.before, sums.ahead, sums.down) == (100, 90, 10)
    kept = account(Terms(promised=Decimal(90), steps=(Step(Decimal(95), Decimal(7)),)), sums)
    assert (kept.allowed, kept.left, kept.rate, kept.penalty) == (10, 0, Decimal(0), Decimal(7))
