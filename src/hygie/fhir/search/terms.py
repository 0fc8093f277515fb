"""Index terms of values, and the covers that a query asks for. Why so: docs/adr/0006-blind-search-terms.md.

A term is ``slot`` U+001F ``kind letter`` ``value``: the slot is the path of the element (``Observation.subject``), so
parameters that read one element share its terms. Terms find candidates; ``match`` decides on the opened resource.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hygie.fhir.search.values import DAY_MS, FIRST_MS, LAST_MS, date_bounds, period_bounds, plain_text

Add = Callable[[str], object]

SEPARATOR = "\x1f"
BAR = "\\|"  # of a code or an identifier's value: a bare one stands between system and code
TOKEN, TEXT, REFERENCE, URI, DATE, NUMBER, UNIT, PRESENT, WIDE, MANY = "tsrudqnpwm"

TERMS_MAX = (
    256  # per resource: one GIN entry each; a bed-side resource has 10 to 80, beyond it is a list or a value set
)
PREFIX_LENGTHS = (2, 3, 5, 8)  # characters; a query of another length takes the next shorter one, then filters
COVER_TERMS_MAX = 90  # one probe of the index each; a wider cover is rounded outwards to whole months

_EPOCH = date(1970, 1, 1)
_DECADE_FIRST, _DECADE_LAST = 190, 209  # clinical dates; outside, one bucket each side
_BEFORE, _AFTER = "-", "+"
_EXPONENT_MIN, _EXPONENT_MAX = -9, 12  # 1e-9 to 9.9e12: outside, zero and the two ends
_ZERO, _HUGE = "0", "H"


# -- dates ---------------------------------------------------------------------------------------------------------


def date_terms(prefix: str, text: str, add: Add) -> None:
    """Buckets of a date, dateTime or instant. ``prefix`` ends before the kind letter."""
    if len(text) == 10 or (len(text) > 10 and text[-1] == "Z"):  # the usual forms need no arithmetic
        _bucket_terms(prefix, text[:10], add)
        return
    _interval_terms(prefix, *date_bounds(text), add)


def period_terms(prefix: str, period: Any, add: Add) -> None:
    """Buckets of both ends of a Period (any object with ``start`` and ``end``)."""
    _interval_terms(prefix, *period_bounds(period.start, period.end), add)


def timing_bounds(timing: Any) -> tuple[int, int] | None:
    """The outer limits of a Timing: its events and the bounds of its repetition; None when it says neither."""
    found = [date_bounds(event) for event in timing.event or () if event is not None]  # null beside an extension
    period = timing.repeat.boundsPeriod if timing.repeat is not None else None
    if period is not None:
        found.append(period_bounds(period.start, period.end))
    if not found:
        return None
    return min(low for low, _ in found), max(high for _, high in found)


def timing_terms(prefix: str, timing: Any, add: Add) -> None:
    """Buckets of the outer limits of a Timing."""
    bounds = timing_bounds(timing)
    if bounds is None:
        add(prefix + DATE + _BEFORE)  # it is present, which `:missing` asks; no range matches it
    else:
        _interval_terms(prefix, *bounds, add)


def _interval_terms(prefix: str, low_ms: int, high_ms: int, add: Add) -> None:
    low, high = _day_text(low_ms), _day_text(high_ms)
    _bucket_terms(prefix, low, add)
    if high != low:
        _bucket_terms(prefix, high, add)
        add(prefix + WIDE)


def _day_text(at_ms: int) -> str:
    if at_ms == FIRST_MS:
        return _BEFORE
    if at_ms == LAST_MS:
        return _AFTER
    return _day(at_ms).isoformat()


def _day(at_ms: int) -> date:
    try:
        return _EPOCH + timedelta(days=at_ms // DAY_MS)
    except OverflowError:
        return date.min if at_ms < 0 else date.max


def _bucket_terms(prefix: str, day: str, add: Add) -> None:
    """``day``: yyyy-mm-dd, or one of the two open ends."""
    head = prefix + DATE
    if day < "1900" or day >= "2100":  # the open ends "-" and "+" sort before the digits
        add(head + (_AFTER if day >= "2100" or day == _AFTER else _BEFORE))
        return
    add(head + day)
    add(head + day[:7])
    add(head + day[:4])
    add(head + day[:3])


def date_cover(low_ms: int, high_ms: int) -> list[str]:
    """Bucket values that hold every instant of low..high (both included), at most ``COVER_TERMS_MAX``."""
    if low_ms > high_ms:
        return []
    first, last = _day(low_ms), _day(high_ms)
    found = _cover_days(first, last)
    if len(found) > COVER_TERMS_MAX:
        end = (
            (last.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1) if last.year < 9999 else last
        )
        found = _cover_days(first.replace(day=1), end)
    return found


def _cover_days(first: date, last: date) -> list[str]:
    found: list[str] = []
    lowest, highest = date(_DECADE_FIRST * 10, 1, 1), date(_DECADE_LAST * 10 + 9, 12, 31)
    if first < lowest:
        found.append(_BEFORE)
        first = lowest
    if last > highest:
        found.append(_AFTER)
        last = highest
    at = first
    while at <= last:
        text = at.isoformat()
        for size in (3, 4, 7, 10):
            if size < 10 and text[size:] != ("0-01-01" if size == 3 else "-01-01" if size == 4 else "-01"):
                continue
            following = _after(at, size)
            if following - timedelta(days=1) <= last:
                found.append(text[:size])
                at = following
                break
    return found


def _after(at: date, size: int) -> date:
    """The first day after the bucket of ``size`` characters that begins at ``at``."""
    if size == 3:
        return at.replace(year=at.year + 10)
    if size == 4:
        return at.replace(year=at.year + 1)
    if size == 7:
        return date(at.year + at.month // 12, at.month % 12 + 1, 1)
    return at + timedelta(days=1)


# -- numbers -------------------------------------------------------------------------------------------------------


def number_terms(prefix: str, value: Decimal | int | float, add: Add) -> None:
    """Buckets of a number: order of magnitude, first digit, first two digits."""
    head, sign, exponent, digits = prefix + NUMBER, *_scientific(value)
    add(f"{head}{sign}{exponent}")
    if digits:
        add(f"{head}{sign}{exponent}:{digits // 10}")
        add(f"{head}{sign}{exponent}:{digits}")


def _scientific(value: Decimal | int | float) -> tuple[str, int | str, int]:
    """(sign, order of magnitude, first two digits); digits are 0 for zero and for what is out of scale."""
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    sign, digits, _ = number.as_tuple()
    exponent = number.adjusted()
    if not number or exponent < _EXPONENT_MIN:
        return "", _ZERO, 0
    mark = "-" if sign else "+"
    if exponent > _EXPONENT_MAX:
        return mark, _HUGE, 0
    return mark, exponent, digits[0] * 10 + (digits[1] if len(digits) > 1 else 0)


def quantity_terms(prefix: str, quantity: Any, add: Add) -> None:
    """Buckets of a Quantity (Age, Duration…) and its unit, by code and by name."""
    if quantity.value is not None:
        number_terms(prefix, quantity.value, add)
    unit, code = quantity.unit, quantity.code
    if code is not None:
        add(prefix + UNIT + code)
    if unit is not None and unit != code:
        add(prefix + UNIT + unit)


def money_terms(prefix: str, money: Any, add: Add) -> None:
    """Buckets of an amount, and its currency as unit."""
    if money.value is not None:
        number_terms(prefix, money.value, add)
    if money.currency is not None:
        add(prefix + UNIT + money.currency)


def range_terms(prefix: str, range_: Any, add: Add) -> None:
    """Buckets of both ends of a Range; an absent end is the open end of its side."""
    add(prefix + WIDE)
    for end, open_sign in ((range_.low, "-"), (range_.high, "+")):
        if end is None or end.value is None:
            add(f"{prefix}{NUMBER}{open_sign}{_HUGE}")
        if end is not None:
            quantity_terms(prefix, end, add)


def number_cover(low: Decimal | None, high: Decimal | None) -> list[str]:
    """Bucket values that hold every number of low..high (both included; None is open): at most about 80."""
    found: list[str] = []
    if low is None or low < 0:
        top = None if high is None or high >= 0 else -high
        found += [f"-{bucket}" for bucket in _cover_positive(top, None if low is None else -low)]
    if (low is None or low <= _TINY) and (high is None or high >= -_TINY):
        found.append(_ZERO)
    if high is None or high > 0:
        found += [f"+{bucket}" for bucket in _cover_positive(None if low is None or low <= 0 else low, high)]
    return found


_TINY = Decimal(1).scaleb(_EXPONENT_MIN)


def _cover_positive(low: Decimal | None, high: Decimal | None) -> list[str]:
    """Buckets of the positive numbers low..high; None is zero below, infinity above."""
    if high is not None and high < _TINY:
        return []
    _, first, first_digits = _scientific(low) if low is not None and low >= _TINY else ("", _EXPONENT_MIN, 10)
    _, last, last_digits = _scientific(high) if high is not None else ("", _HUGE, 0)
    if first == _HUGE:
        return [_HUGE]
    assert isinstance(first, int)
    found = [_HUGE] if last == _HUGE else []
    if not isinstance(last, int):
        last, last_digits = _EXPONENT_MAX, 99
    for exponent in range(first, last + 1):
        start = first_digits if exponent == first else 10
        stop = last_digits if exponent == last else 99
        found += _cover_digits(exponent, start, stop)
    return found


def _cover_digits(exponent: int, start: int, stop: int) -> list[str]:
    if (start, stop) == (10, 99):
        return [str(exponent)]
    found = []
    at = start
    while at <= stop:
        if at % 10 == 0 and at + 9 <= stop:
            found.append(f"{exponent}:{at // 10}")
            at += 10
        else:
            found.append(f"{exponent}:{at}")
            at += 1
    return found


# -- texts ---------------------------------------------------------------------------------------------------------


def text_terms(prefix: str, text: str, add: Add) -> None:
    """Prefixes of a text without case and accents."""
    plain = plain_text(text)
    head = prefix + TEXT
    for length in PREFIX_LENGTHS:
        if len(plain) < length:
            return
        add(head + plain[:length])


def text_probe(plain: str) -> str | None:
    """The longest indexed prefix of a searched text; None when it is too short to be indexed."""
    lengths = [length for length in PREFIX_LENGTHS if length <= len(plain)]
    return plain[: lengths[-1]] if lengths else None
