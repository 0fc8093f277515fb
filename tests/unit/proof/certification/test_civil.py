"""Civil dates of Paris: months, working days."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.certification.civil import (
    add_months,
    is_working_day,
    public_holidays,
    working_day_before,
)


@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        ("2026-08-31", 3, "2026-11-30"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2027-11-30", 3, "2028-02-29"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2028-02-29", 48, "2032-02-29"),
        ("2027-02-28", 12, "2028-02-28"),
        ("2026-10-16", 3, "2027-01-16"),
        ("2030-05-31", -3, "2030-02-28"),
        ("2030-01-14", -3, "2029-10-14"),
    ],
)
def test_months_keep_the_number_of_the_day_or_end_with_the_month(start: str, months: int, expected: str) -> None:
    assert add_months(date.fromisoformat(start), months).isoformat() == expected


@given(day=st.dates(date(2001, 1, 1), date(2090, 1, 1)), months=st.integers(-12, 120))
def test_months_later_is_that_many_months_later_and_never_in_the_next_one(day: date, months: int) -> None:
    later = add_months(day, months)
    assert (later.year - day.year) * 12 + later.month - day.month == months
    assert later.day == day.day or (later.day < day.day and (later + timedelta(days=1)).day == 1)


@pytest.mark.parametrize(
    ("year", "monday"), [(2026, "2026-04-06"), (2027, "2027-03-29"), (2028, "2028-04-17"), (2038, "2038-04-26")]
)
def test_easter_monday_is_where_almanacs_put_it(year: int, monday: str) -> None:
    assert date.fromisoformat(monday) in public_holidays(year)
    assert len(public_holidays(year)) == 11


@pytest.mark.parametrize(
    ("due", "worked"),
    [
        ("2027-05-06", "2027-05-05"),  # Ascension
        ("2027-05-17", "2027-05-14"),  # Whit Monday, and the week-end before it
        ("2027-01-02", "2026-12-31"),  # a Saturday after New Year's Day
        ("2027-01-15", "2027-01-15"),
        ("2027-11-01", "2027-10-29"),
    ],
)
def test_the_last_working_day_is_the_day_itself_or_the_one_before(due: str, worked: str) -> None:
    assert working_day_before(date.fromisoformat(due)).isoformat() == worked


@given(st.dates(date(2001, 1, 1), date(2090, 1, 1)))
def test_nobody_works_between_the_last_working_day_and_the_due_date(due: date) -> None:
    last = working_day_before(due)
    assert is_working_day(last)
    assert not any(is_working_day(last + timedelta(days=n)) for n in range(1, (due - last).days + 1))
