"""Delays are added by the calendar for months, by the clock for hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.registers.durations import INSTANT, Duration, add_duration, parse_duration


@pytest.mark.parametrize(
    ("start", "delay", "end"),
    [
        ("2026-01-31", "P1M", "2026-02-28"),
        ("2024-01-31", "P1M", "2024-02-29"),
        ("2024-02-29", "P1Y", "2025-02-28"),
        ("2026-11-30", "P3M", "2027-02-28"),
        ("2026-11-27", "P8W", "2027-01-22"),
        ("2026-11-27", "P1Y2M10D", "2028-02-06"),
        ("2026-03-28T23:30:00Z", "PT72H", "2026-03-31T23:30:00Z"),  # across a change of hour in France
        ("2026-01-31T10:00:00Z", "P1MT30M", "2026-02-28T10:30:00Z"),
    ],
)
def test_a_delay_ends_when_a_reader_of_the_text_expects(start: str, delay: str, end: str) -> None:
    assert add_duration(start, parse_duration(delay)) == end


@pytest.mark.parametrize("text", ["", "P", "PT", "P1", "1M", "P-1D", "P1MT", "P1D2M", "PT1.5H", "p1d", "P1D "])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_hours_are_not_added_to_a_date_nor_years_past_the_last() -> None:
    for start, delay in (("2026-01-01", "PT1H"), ("9999-12-01", "P31D"), ("9999-12-31T00:00:00Z", "P1D")):
        with pytest.raises(ValueError, match=r".+"):
            add_duration(start, parse_duration(delay))


FIRST, LAST = datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2200-01-01")


@given(st.datetimes(FIRST, LAST), st.integers(0, 5_000), st.integers(0, 100_000))
def test_days_and_minutes_are_those_of_the_clock(start: datetime, days: int, minutes: int) -> None:
    moved = add_duration(start.strftime(INSTANT), Duration(0, days, minutes))
    wanted = start.replace(microsecond=0) + timedelta(days=days, minutes=minutes)
    assert datetime.strptime(moved, INSTANT).replace(tzinfo=UTC) == wanted.replace(tzinfo=UTC)


@given(st.dates(date(1900, 1, 1), date(2200, 1, 1)), st.integers(0, 1_200))
def test_months_never_spill_into_the_next(start: date, months: int) -> None:
    end = date.fromisoformat(add_duration(start.isoformat(), Duration(months, 0, 0)))
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == months
    assert end.day == start.day or (end.day < start.day and (end + timedelta(days=1)).day == 1)
