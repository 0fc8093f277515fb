"""What a value means to a search: bounds of a date in milliseconds, a text without case, a reference's parts.

Source: FHIR R4 search.html. A date is an interval as wide as its precision; without a timezone it is UTC (the
server's local time, as the page says). Infinite ends of a period are ``FIRST_MS`` and ``LAST_MS``.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from datetime import UTC, datetime

FIRST_MS = -(2**62)
LAST_MS = 2**62
_EPOCH_ORDINAL = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
DAY_MS = 86_400_000
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "’": "'", "ø": "o", "ł": "l", "đ": "d"})  # NFKD leaves them whole
_REFERENCE = re.compile(
    r"(?:(.*)/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?", re.DOTALL
)

Bounds = tuple[int, int]


def date_bounds(text: str) -> Bounds:
    """First and last millisecond (both included, UTC) of a FHIR date, dateTime or instant.

    Raises: ValueError: not a date.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("not a FHIR date")
    year_text, month_text, day_text, hour, minute, second, fraction, zone = match.groups()
    year = int(year_text)
    month, day = int(month_text or 1), int(day_text or 1)
    low = (datetime(year, month, day, tzinfo=UTC).toordinal() - _EPOCH_ORDINAL) * DAY_MS
    if hour is None:
        if day_text:
            return low, low + DAY_MS - 1
        if month_text:
            return low, low + monthrange(year, month)[1] * DAY_MS - 1
        return low, low + (366 if monthrange(year, 2)[1] == 29 else 365) * DAY_MS - 1
    low += _clock_ms(int(hour), int(minute), int(second or 0)) - _offset_ms(zone)
    if second is None:
        return low, low + 59_999
    if fraction is None:
        return low, low + 999
    low += int(fraction[:3].ljust(3, "0"))
    return low, low + 10 ** max(0, 3 - len(fraction)) - 1


def _clock_ms(hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError("not a time")
    return ((hour * 60 + minute) * 60 + min(second, 59)) * 1000  # FHIR allows a leap second; it stays in its day


def _offset_ms(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return (minutes if zone[0] == "+" else -minutes) * 60_000


def period_bounds(start: str | None, end: str | None) -> Bounds:
    """Bounds of a Period; an absent end is open, ends in the wrong order are read in the right one.

    Raises: ValueError.
    """
    low = FIRST_MS if start is None else date_bounds(start)[0]
    high = LAST_MS if end is None else date_bounds(end)[1]
    return (low, high) if low <= high else (high, low)


def plain_text(text: str) -> str:
    """A text as string searches compare it: no case, no accents, single spaces."""
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in folded if not unicodedata.combining(character))
    return " ".join(bare.translate(_LIGATURES).casefold().split())


def reference_parts(reference: str) -> tuple[str, str, str] | None:
    """(base, type, id) of a literal reference to a resource, base empty when relative; None for any other form."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        return None
    base, type_, id_ = match.groups()
    return base or "", type_, id_


def unversioned(reference: str) -> str:
    """A reference without its version part."""
    return reference.partition("/_history/")[0]
