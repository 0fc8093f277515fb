"""The civil day of Paris: of an instant and its last millisecond, with or without a zone database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from hygie.base import civil
from hygie.base.civil import end_of_day_ms, european_offset, paris_date


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


def test_a_day_ends_a_millisecond_before_the_next_one_whatever_its_length(zone: str) -> None:
    day, lengths = date(2026, 1, 1), set()
    while day.year < 2029:
        end = end_of_day_ms(day)
        assert (paris_date(end), paris_date(end + 1)) == (day, day + timedelta(days=1))
        day += timedelta(days=1)
        lengths.add((end_of_day_ms(day) - end) // 3_600_000)
    assert lengths == {23, 24, 25}
