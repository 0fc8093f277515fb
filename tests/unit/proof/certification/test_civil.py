"""Civil dates of Paris: the day of an instant with or without a zone database, months, working days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.certification import civil
from hygie.proof.certification.civil import (
    add_months,
    end_of_day_ms,
    european_offset,
    is_working_day,
    paris_date,
    public_holidays,
    working_day_before,
)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture(params=["database", "rule"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine's zone database, then a machine that has none."""

    def absent(_name: str) -> ZoneInfo:
        raise ZoneInfoNotFoundError

    if request.param == "rule":
        monkeypatch.setattr(civil, "ZoneInfo", absent)
    civil._zone.cache_clear()
    yield str(request.param)
    civil._zone.cache_clear()


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2027-01-14T22:59:59+00:00", "2027-01-14"),
        ("2027-01-14T23:00:00+00:00", "2027-01-15"),
        ("2027-07-14T21:59:59+00:00", "2027-07-14"),
        ("2027-07-14T22:00:00+00:00", "2027-07-15"),
        ("2027-03-27T23:00:00+00:00", "2027-03-28"),  # the night that loses an hour begins in winter time
        ("2027-03-28T21:59:59+00:00", "2027-03-28"),  # and its day ends in summer time
        ("2027-03-28T22:00:00+00:00", "2027-03-29"),
        ("2027-10-30T22:00:00+00:00", "2027-10-31"),
        ("2027-10-31T22:59:59+00:00", "2027-10-31"),  # 25 hours
        ("2027-10-31T23:00:00+00:00", "2027-11-01"),
        ("2028-02-28T23:00:00+00:00", "2028-02-29"),
    ],
)
def test_the_day_turns_at_midnight_in_paris(zone: str, instant: str, expected: str) -> None:
    assert paris_date(ms(instant)).isoformat() == expected


def test_the_european_rule_says_what_the_zone_database_says_every_hour_of_forty_years() -> None:
    paris, at = ZoneInfo("Europe/Paris"), datetime(1997, 1, 1, tzinfo=UTC)
    while at.year < 2037:
        assert european_offset(at) == at.astimezone(paris).utcoffset()
        at += timedelta(hours=1)


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


def test_a_civil_day_ends_one_millisecond_before_the_next(zone: str) -> None:
    for offset in range(731):
        day = date(2027, 1, 1) + timedelta(days=offset)
        end_ms = end_of_day_ms(day)
        assert paris_date(end_ms) == day, zone
        assert paris_date(end_ms + 1) == day + timedelta(days=1)
