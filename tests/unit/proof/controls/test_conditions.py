"""Conditions on records: absence, lists, records named, numbers, days at their boundaries."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.civil import day_of, paris_date
from hygie.proof.controls.conditions import wrong_path
from hygie.proof.controls.model import Condition, Operator
from hygie.proof.controls.read import _NEEDS
from tests.unit.proof.controls.stage import NOON_MS, SCHEMAS, deal, holds, maker

TODAY = date(2026, 11, 27)
OPERATORS = get_args(Operator)
ON_ABSENCE = {"empty", "is-not", "not-in"}


def iso_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize("op", OPERATORS)
def test_an_absent_value_meets_nothing_but_what_speaks_of_absence(op: Any) -> None:
    needs = _NEEDS.get(op, "")
    given_: dict[str, Any] = {"value": {"value": 3}, "values": {"values": ("a",)}, "other": {"other": "due_on"}}.get(
        needs, {}
    )
    assert holds(Condition(field="name", op=op, **given_), deal(due_on="2026-11-27")) == (op in ON_ABSENCE)


@pytest.mark.parametrize(
    ("op", "value", "values", "fields", "expected"),
    [
        ("filled", None, (), {"name": "x"}, True),
        ("empty", None, (), {"name": "x"}, False),
        ("is", "x", (), {"name": "x"}, True),
        ("is", "x", (), {"name": "y"}, False),
        ("is-not", "x", (), {"name": "y"}, True),
        ("is-not", "x", (), {"name": "x"}, False),
        ("in", None, ("x", "y"), {"name": "y"}, True),
        ("in", None, ("x", "y"), {"name": "z"}, False),
        ("not-in", None, ("x", "y"), {"name": "z"}, True),
        ("not-in", None, ("x", "y"), {"name": "x"}, False),
    ],
)
def test_texts_are_compared(op: Any, value: Any, values: Any, fields: dict[str, Any], expected: bool) -> None:
    assert holds(Condition(field="name", op=op, value=value, values=values), deal(**fields)) is expected


def test_a_false_box_is_false_and_an_absent_one_is_neither() -> None:
    assert holds(Condition(field="fine", op="is", value=False), deal(fine=False))
    assert not holds(Condition(field="fine", op="is", value=False), deal())
    assert not holds(Condition(field="fine", op="is", value=True), deal(fine=False))


def test_a_list_has_a_value_and_each_of_its_values_is_among_another() -> None:
    assert holds(Condition(field="tags", op="has", value="a"), deal(tags=["b", "a"]))
    assert not holds(Condition(field="tags", op="has", value="a"), deal(tags=["b"]))
    among = Condition(field="activities", op="among", other="makers.activities")
    covered = [maker("MAK-0001", activities=[1, 2]), maker("MAK-0002", activities=[3])]
    named = ["MAK-0001", "MAK-0002"]
    assert holds(among, deal(activities=[1, 3], makers=named), *covered)
    assert not holds(among, deal(activities=[1, 4], makers=named), *covered)
    assert not holds(among, deal(activities=[1], makers=[]), *covered)


def test_each_record_named_must_meet_a_condition() -> None:
    ends = Condition(field="makers.ends_on", op="not-past")
    good, late, silent = (
        maker("MAK-0001", ends_on="2026-11-27"),
        maker("MAK-0002", ends_on="2026-11-26"),
        maker("MAK-0003"),
    )
    assert holds(ends, deal(makers=["MAK-0001"]), good)
    assert not holds(ends, deal(makers=["MAK-0001", "MAK-0002"]), good, late)
    assert not holds(ends, deal(makers=["MAK-0001", "MAK-0003"]), good, silent)
    assert not holds(ends, deal(makers=["MAK-0009"]), good)
    filled = Condition(field="makers.country", op="filled")
    assert not holds(filled, deal(makers=["MAK-0001", "MAK-0003"]), maker("MAK-0001", country="FR"), silent)


def test_what_every_record_has_is_read_as_a_field() -> None:
    one = deal(state="shut", tenant="chu-exemple", maker="MAK-0001")
    assert holds(Condition(field="@state", op="is", value="shut"), one)
    assert holds(Condition(field="@tenant", op="is", value="chu-exemple"), one)
    assert holds(Condition(field="@key", op="is", value="DEA-0001"), one)
    assert holds(Condition(field="@approver", op="empty"), one)
    assert holds(Condition(field="@at", op="within-days", value=0), one)
    assert holds(Condition(field="maker.@state", op="is", value="shut"), one, maker(state="shut"))


def test_countries_are_in_the_economic_area_or_not() -> None:
    inside, outside = Condition(field="country", op="in-eea"), Condition(field="country", op="outside-eea")
    for country, expected in (("FR", True), ("NO", True), ("CH", False), ("GB", False)):
        assert holds(inside, maker(country=country)) is expected
        assert holds(outside, maker(country=country)) is not expected


@given(a=st.integers(-1000, 1000), b=st.integers(-1000, 1000))
def test_numbers_are_compared_as_numbers(a: int, b: int) -> None:
    one = deal(score=str(a), days=b)
    assert holds(Condition(field="score", op="at-least", value=b), one) == (a >= b)
    assert holds(Condition(field="score", op="at-most", value=b), one) == (a <= b)
    assert holds(Condition(field="score", op="at-least-field", other="days"), one) == (a >= b)
    assert holds(Condition(field="score", op="at-most-field", other="days"), one) == (a <= b)
    assert holds(Condition(field="score", op="same", other="days"), deal(score=a, days=b)) == (a == b)


@given(days=st.integers(0, 2000), shift=st.integers(-2500, 2500))
def test_days_within_and_older_part_the_past_at_the_same_day(days: int, shift: int) -> None:
    day = (TODAY + timedelta(days=shift)).isoformat()
    one = deal(due_on=day, days=days)
    within = holds(Condition(field="due_on", op="within-days", value=days), one)
    assert within == (-days <= shift <= 0)
    assert holds(Condition(field="due_on", op="within-field-days", other="days"), one) == within
    assert holds(Condition(field="due_on", op="older-than-days", value=days), one) == (shift < -days)
    assert holds(Condition(field="due_on", op="past"), one) == (shift < 0)
    assert holds(Condition(field="due_on", op="not-past"), one) == (shift >= 0)


def test_days_of_two_fields_are_compared() -> None:
    same = deal(due_on="2026-11-27", asked_at="2026-11-27T10:00:00Z")
    assert holds(Condition(field="due_on", op="not-after", other="asked_at"), same)
    assert holds(Condition(field="due_on", op="not-before", other="asked_at"), same)
    late = deal(due_on="2026-11-28", asked_at="2026-11-27T10:00:00Z")
    assert not holds(Condition(field="due_on", op="not-after", other="asked_at"), late)
    assert holds(Condition(field="due_on", op="not-before", other="asked_at"), late)
    assert not holds(Condition(field="due_on", op="not-after", other="asked_at"), deal(due_on="2026-11-27"))


def test_an_instant_late_in_the_evening_is_of_the_next_day_in_paris() -> None:
    assert day_of("2026-11-27T23:30:00Z") == date(2026, 11, 28)
    assert day_of("2026-07-14T21:59:59Z") == date(2026, 7, 14)
    assert day_of("2026-07-14T22:00:00Z") == date(2026, 7, 15)
    evening = iso_ms("2026-11-27T23:30:00+00:00")
    assert paris_date(evening) == date(2026, 11, 28)
    due = deal(due_on="2026-11-27")
    assert not holds(Condition(field="due_on", op="past"), due, now_ms=evening - 3_600_000)
    assert holds(Condition(field="due_on", op="past"), due, now_ms=evening)


def test_a_leap_day_counts() -> None:
    morning = iso_ms("2028-03-01T08:00:00+01:00")
    within = Condition(field="due_on", op="within-days", value=1)
    assert holds(within, deal(due_on="2028-02-29"), now_ms=morning)
    assert not holds(within, deal(due_on="2028-02-28"), now_ms=morning)
    assert holds(Condition(field="due_on", op="within-days", value=366), deal(due_on="2027-03-01"), now_ms=morning)
    assert not holds(Condition(field="due_on", op="within-days", value=365), deal(due_on="2027-03-01"), now_ms=morning)


@pytest.mark.parametrize("value", ["", "demain", "2026-02-30", "2026-11-27T10:00:00", None, 20261127, True])
def test_what_is_no_day_meets_no_condition_on_days(value: Any) -> None:
    assert day_of(value) is None
    assert not holds(Condition(field="name", op="past"), deal(name=value))
    assert not holds(Condition(field="name", op="not-past"), deal(name=value))


def test_a_number_of_days_that_is_none_counts_nothing() -> None:
    assert not holds(Condition(field="due_on", op="within-field-days", other="days"), deal(due_on="2026-11-27"))


@given(st.integers(iso_ms("1990-01-01T00:00:00+00:00") // 1000, iso_ms("2100-01-01T00:00:00+00:00") // 1000))
def test_the_day_of_an_instant_is_the_civil_day_at_that_instant(second: int) -> None:
    assert day_of(datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")) == paris_date(second * 1000)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        *(("name", False), ("@at", False), ("maker.country", False), ("makers.@state", False), ("nothing", True)),
        *(("@nothing", True), ("name.country", True), ("maker.nothing", True), ("maker.name.x", True)),
    ],
)
def test_a_path_that_leads_nowhere_is_known(path: str, wrong: bool) -> None:
    assert wrong_path(path, SCHEMAS["deal"], SCHEMAS) is wrong


def test_today_is_the_paris_date() -> None:
    assert paris_date(NOON_MS) == TODAY
