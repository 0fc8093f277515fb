"""Delays as texts of law give them: ISO 8601 durations, added to a date or to an instant. Pure.

Years and months go by the calendar (31 January and one month is the last day of February), the rest by the clock. A
delay is never carried to the next working day: the date said here is the earliest one that a text may mean.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache

_DURATION = re.compile(
    r"P(?=[\dT])(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,7})M)?)?",
    re.ASCII,
)
INSTANT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Duration:
    """months: by the calendar; days, minutes: by the clock."""

    months: int
    days: int
    minutes: int


@cache
def parse_duration(text: str) -> Duration:
    """``PT72H``, ``P1M``, ``P8W``. Raises: ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("not a duration")
    years, months, weeks, days, hours, minutes = (int(one or 0) for one in found.groups())
    return Duration(years * 12 + months, weeks * 7 + days, hours * 60 + minutes)


def add_duration(stored: str, duration: Duration) -> str:
    """A stored date or instant, and so much later, in the same form.

    Raises: ValueError: not a date or an instant, hours added to a date, or a year past 9999.
    """
    if "T" in stored:
        at = datetime.fromisoformat(stored)
        if at.utcoffset() != timedelta(0):
            raise ValueError(stored)
        moved = datetime.combine(_months_later(at.date(), duration.months), at.timetz())
        try:
            return (moved + timedelta(days=duration.days, minutes=duration.minutes)).strftime(INSTANT)
        except OverflowError as error:
            raise ValueError(stored) from error
    if duration.minutes:
        raise ValueError(stored)
    try:
        day = _months_later(date.fromisoformat(stored), duration.months) + timedelta(days=duration.days)
    except OverflowError as error:
        raise ValueError(stored) from error
    return day.isoformat()


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
