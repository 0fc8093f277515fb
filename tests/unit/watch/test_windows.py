"""Correlations, held to what a plain count over all the events would say."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hygie.watch.sigma import Card, Correlation
from hygie.watch.windows import new_state

SPAN_MS = 10
CARD = Card("i", "n", "t", "t", "high", "", "", "", "f")
STEPS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2), st.sampled_from("abcd")), max_size=30)


def correlation(kind: str, least: int, rules: int = 1) -> Correlation:
    return Correlation(CARD, kind, tuple(f"r{n}" for n in range(rules)), (), SPAN_MS, least, "v")


def spoken(rule: Correlation, steps: list[tuple[int, int, str]]) -> list[bool]:
    """Whether it speaks at each event; the state goes through JSON each time, as it does through the database."""
    kept: Any = None
    found, at_ms = [], 0
    for rank, (after_ms, number, value) in enumerate(steps):
        at_ms += after_ms
        state = new_state(rule, kept)
        found.append(bool(state.add((number % len(rule.rules),), at_ms, rank, value)))
        kept = json.loads(json.dumps(state.kept()))
    return found


def within(steps: list[tuple[int, int, str]], upto: int) -> list[tuple[int, int, str]]:
    """The events of the span that ends with this one, with their instants."""
    at_ms, timed = 0, []
    for after_ms, number, value in steps[: upto + 1]:
        at_ms += after_ms
        timed.append((at_ms, number, value))
    return [one for one in timed if at_ms - one[0] <= SPAN_MS]


@given(steps=STEPS, least=st.integers(1, 4))
def test_counts(steps: list[tuple[int, int, str]], least: int) -> None:
    expected = [len(within(steps, rank)) >= least for rank in range(len(steps))]
    assert spoken(correlation("event_count", least), steps) == expected


@given(steps=STEPS, least=st.integers(1, 4))
def test_different_values(steps: list[tuple[int, int, str]], least: int) -> None:
    expected = [len({value for _, _, value in within(steps, rank)}) >= least for rank in range(len(steps))]
    assert spoken(correlation("value_count", least), steps) == expected


@given(steps=STEPS, least=st.integers(1, 4))
def test_what_it_speaks_of_began_with_its_first_event(steps: list[tuple[int, int, str]], least: int) -> None:
    for kind in ("event_count", "value_count"):
        state, timed, at_ms = new_state(correlation(kind, least)), [], 0
        for rank, (after_ms, _, value) in enumerate(steps):
            at_ms += after_ms
            timed.append((at_ms, value))
            if state.add((0,), at_ms, rank, value):
                since = [one for at, one in timed if at >= state.since_ms()]
                assert state.since_ms() in {at for at, _ in timed}
                assert at_ms - state.since_ms() <= SPAN_MS
                assert len(since if kind == "event_count" else set(since)) >= least


@given(steps=STEPS)
def test_together(steps: list[tuple[int, int, str]]) -> None:
    expected = [len({number for _, number, _ in within(steps, rank)}) >= 3 for rank in range(len(steps))]
    assert spoken(correlation("temporal", 3, rules=3), steps) == expected


@given(steps=STEPS)
def test_in_order(steps: list[tuple[int, int, str]]) -> None:
    def chain(rank: int) -> bool:
        seen = within(steps, rank)
        if not seen or seen[-1][1] != 2:
            return False
        numbers = [number for _, number, _ in seen]
        firsts = [at for at, number in enumerate(numbers) if number == 0]
        return any(1 in numbers[first:-1] for first in firsts)

    assert spoken(correlation("temporal_ordered", 3, rules=3), steps) == [chain(rank) for rank in range(len(steps))]
