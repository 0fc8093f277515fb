"""The civil day of Paris, which every deadline goes by: of an instant, of a stored value, its last millisecond. Pure.

A machine without a time zone database (minimal Debian, some macOS installations of Python) gets the rule of the
European Union instead, which is the same for Paris since 1996: one hour ahead of UTC, two from the last Sunday of March
to the last Sunday of October, at 01:00 UTC (Directive 2000/84/EC).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PARIS = "Europe/Paris"
_DATE_CHARACTERS = len("2026-11-27")


def paris_date(at_ms: int) -> date:
    """The civil date in Paris of an instant (milliseconds UTC)."""
    return _date_of(datetime.fromtimestamp(at_ms / 1000, UTC))


def day_of(value: object) -> date | None:
    """The civil day of a stored date (``2026-11-27``) or UTC instant (``2026-11-27T23:30:00Z``: the 28th in Paris).

    None for what is neither.
    """
    if not isinstance(value, str):
        return None
    try:
        if len(value) == _DATE_CHARACTERS:
            return date.fromisoformat(value)
        at = datetime.fromisoformat(value)
        return _date_of(at.astimezone(UTC)) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def end_of_day_ms(day: date) -> int:
    """The last millisecond of a civil day of Paris (milliseconds UTC). Raises: OverflowError: the last day of all."""
    midnight = datetime.combine(day + timedelta(days=1), time(), UTC)  # what the clocks of Paris show, read as UTC
    # An hour before is within an hour of the true instant, and no change of time is that near to a midnight.
    at = midnight - _offset(midnight - timedelta(hours=1))
    return int(at.timestamp() * 1000) - 1


def european_offset(utc: datetime) -> timedelta:
    """What central European civil time adds to this UTC instant, by Directive 2000/84/EC (from 1996 on)."""
    start, end = _last_sunday(utc.year, 3), _last_sunday(utc.year, 10)
    return timedelta(hours=2 if start <= utc < end else 1)


def _date_of(utc: datetime) -> date:
    return (utc + _offset(utc)).date()


def _offset(utc: datetime) -> timedelta:
    zone = _zone()
    offset = None if zone is None else utc.astimezone(zone).utcoffset()
    return european_offset(utc) if offset is None else offset


@cache
def _zone() -> ZoneInfo | None:
    try:
        return ZoneInfo(PARIS)
    except ZoneInfoNotFoundError:
        return None


def _last_sunday(year: int, month: int) -> datetime:
    last = datetime(year, month, 31, 1, tzinfo=UTC)
    return last - timedelta(days=(last.weekday() + 1) % 7)
