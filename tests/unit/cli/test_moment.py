"""Dates and instants as people type them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
import typer

from hygie.base.civil import paris_date
from hygie.cli.moment import moment_ms


@pytest.mark.parametrize("text", ["2027-01-14", "2027-06-30", " 2028-02-29 ", "20270630", "2027-03-28", "2027-10-31"])
def test_a_date_is_judged_on_that_very_day(text: str) -> None:
    """Registers and certificates are read by civil days of Paris: its evening, not that of UTC, ends the day."""
    day = date.fromisoformat(text.strip())
    assert paris_date(moment_ms(text)) == day
    assert paris_date(moment_ms(text) + 1) > day


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2027-06-30T08:15", 8), ("2027-06-30T08:15:00Z", 8), ("2027-06-30T08:15+02:00", 6), ("20270630T0815", 8)],
)
def test_an_instant_is_of_utc_unless_it_says_otherwise(text: str, hour: int) -> None:
    assert moment_ms(text) == datetime(2027, 6, 30, hour, 15, tzinfo=UTC).timestamp() * 1000


@pytest.mark.parametrize(
    "text", ["", "demain", "2027-02-30", "2027-13-01T00:00", "9999-12-31", "0001-01-01T00:00+14:00", "1969-12-31"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment_ms(text)
