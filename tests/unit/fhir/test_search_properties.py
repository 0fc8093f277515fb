"""For any date, number or text and any search: what the exact filter accepts, the terms hold; and covers stay small."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.fhir.search.terms import COVER_TERMS_MAX, DATE, NUMBER, date_cover, date_terms, number_cover, number_terms
from hygie.fhir.search.values import DAY_MS, date_bounds, plain_text

Finds = Callable[[dict[str, Any], str], bool]

PREFIXES = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.one_of(
    st.datetimes(datetime(2012, 11, 1), datetime(2013, 2, 28), timezones=ZONES),  # noqa: DTZ001 (hypothesis wants naive bounds)
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES),  # noqa: DTZ001
)


def write(moment: datetime, precision: int) -> str:
    """A FHIR date at one of six precisions: year, month, day, second, millisecond, UTC second."""
    if precision < 3:
        return f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"[: (4, 7, 10)[precision]]
    if precision == 5:
        return f"{moment.replace(tzinfo=UTC).isoformat(timespec='seconds').replace('+00:00', 'Z')}"
    return moment.isoformat(timespec="seconds" if precision == 3 else "milliseconds")


DATES = st.builds(write, MOMENTS, st.integers(0, 5))
PERIODS = st.fixed_dictionaries({}, optional={"start": DATES, "end": DATES})
NUMBERS = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000).map(str),
    st.builds(lambda digits, exponent: f"{digits}e{exponent}", st.integers(-999, 999), st.integers(-20, 20)),
)


@settings(max_examples=300, deadline=None)
@given(DATES, PREFIXES, DATES)
def test_no_date_is_lost(finds: Finds, value: str, prefix: str, asked: str) -> None:
    resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "effectiveDateTime": value}
    finds(resource, f"date={prefix}{asked}".replace("+", "%2B"))


@settings(max_examples=300, deadline=None)
@given(PERIODS, PREFIXES, DATES, st.sampled_from(["ge", "gt", "sa"]), DATES, st.sampled_from(["le", "lt", "eb"]), DATES)
def test_no_period_is_lost(
    finds: Finds, period: dict[str, str], prefix: str, asked: str, above: str, first: str, below: str, last: str
) -> None:
    resource = {"resourceType": "Encounter", "status": "finished", "class": {"code": "IMP"}, "period": period}
    finds(resource, f"date={prefix}{asked}".replace("+", "%2B"))
    finds(resource, f"date={above}{first}&date={below}{last}".replace("+", "%2B"))


@settings(max_examples=200, deadline=None)
@given(st.lists(DATES, min_size=1, max_size=3), DATES, DATES)
def test_no_date_of_several_is_lost(finds: Finds, events: list[str], first: str, last: str) -> None:
    resource = {
        "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "effectiveTiming": {"event": events},
    }  # fmt: skip
    finds(resource, f"date=ge{first}&date=le{last}".replace("+", "%2B"))


@settings(max_examples=400, deadline=None)
@given(NUMBERS, PREFIXES, NUMBERS)
def test_no_number_is_lost(finds: Finds, value: str, prefix: str, asked: str) -> None:
    import json

    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    resource = observation | {"valueQuantity": {"value": json.loads(value.replace("E", "e")), "code": "mg"}}
    finds(resource, f"value-quantity={prefix}{asked}||mg")


@settings(max_examples=200, deadline=None)
@given(st.none() | st.integers(0, 120), st.none() | st.integers(0, 120), PREFIXES, st.integers(-5, 130))
def test_no_range_is_lost(finds: Finds, low: int | None, high: int | None, prefix: str, asked: int) -> None:
    ends = {name: {"value": end} for name, end in (("low", low), ("high", high)) if end is not None}
    resource = {"resourceType": "Condition", "subject": {"display": "x"}, "onsetRange": ends}
    finds(resource, f"onset-age={prefix}{asked}")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12), st.integers(0, 12))
def test_no_text_is_lost(finds: Finds, text: str, length: int) -> None:
    from urllib.parse import quote

    resource = {"resourceType": "Patient", "name": [{"family": text}]}
    asked = plain_text(text)[:length]
    if asked.strip():
        escaped = asked.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|")
        assert finds(resource, f"family={quote(escaped)}")


@settings(max_examples=300, deadline=None)
@given(st.integers(-60_000, 50_000), st.integers(0, 60_000), st.integers(-100, 60_100))
def test_a_cover_of_days_is_small_and_whole(first: int, length: int, day: int) -> None:
    last = first + length
    cover = date_cover(first * DAY_MS, last * DAY_MS + DAY_MS - 1)
    assert len(cover) <= COVER_TERMS_MAX
    at = first + min(max(day, 0), length)
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=at)).date().isoformat()
    found: list[str] = []
    date_terms("", text, found.append)
    assert {f"{DATE}{bucket}" for bucket in cover}.intersection(found)


@settings(max_examples=300, deadline=None)
@given(*[st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14)] * 3)
def test_a_cover_of_numbers_is_small_and_whole(one: Decimal, two: Decimal, three: Decimal) -> None:
    low, middle, high = sorted((one, two, three))
    found: list[str] = []
    number_terms("", middle, found.append)
    for cover in (number_cover(low, high), number_cover(low, None), number_cover(None, high), number_cover(None, None)):
        assert len(cover) <= COVER_TERMS_MAX
        assert {f"{NUMBER}{bucket}" for bucket in cover}.intersection(found)


@given(DATES)
def test_bounds_hold_each_other(text: str) -> None:
    low, high = date_bounds(text)
    assert low <= high
    if len(text) > 4:
        year_low, year_high = date_bounds(text[:4])
        assert year_low - DAY_MS < low
        assert high < year_high + DAY_MS
