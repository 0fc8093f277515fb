"""NIR, RPPS and ADELI: a typing mistake is found, and the value is never repeated."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.identifiers import (
    InvalidIdentifierError,
    luhn_digit,
    luhn_holds,
    nir_key,
    parse_professional,
)

departments = st.one_of(st.integers(1, 95).map(lambda n: f"{n:02d}"), st.sampled_from(["2A", "2B", "97", "99"]))
nirs = st.builds(
    lambda sex, year, month, department, commune, order: (
        f"{sex}{year:02d}{month:02d}{department}{commune:03d}{order:03d}"
    ),
    st.sampled_from("12"),
    st.integers(0, 99),
    st.integers(1, 12),
    departments,
    st.integers(1, 990),
    st.integers(1, 999),
)


def test_published_examples_hold() -> None:
    assert nir_key("1000175101001") == "51"
    assert nir_key("1891275125012") == "82"
    assert luhn_holds("79927398713")
    assert not luhn_holds("79927398714")


rpps = st.integers(10**9, 10**10 - 1).map(lambda number: f"{number}{luhn_digit(str(number))}")


@given(nirs, st.integers(0, 12), st.integers(1, 9))
def test_one_digit_changed_in_a_nir_changes_its_key(number: str, at: int, by: int) -> None:
    if not number[at].isdigit() or number[5:7] in {"2A", "2B"}:
        return
    assert nir_key(number[:at] + str((int(number[at]) + by) % 10) + number[at + 1 :]) != nir_key(number)


@pytest.mark.parametrize("prefix", ["", "8"])
@given(number=rpps, at=st.integers(0, 10), by=st.integers(1, 9))
def test_one_digit_changed_in_an_rpps_is_found(prefix: str, number: str, at: int, by: int) -> None:
    assert parse_professional(prefix + number) == prefix + number
    changed = prefix + number[:at] + str((int(number[at]) + by) % 10) + number[at + 1 :]
    with pytest.raises(InvalidIdentifierError) as caught:
        parse_professional(changed)
    assert changed not in str(caught.value)


@pytest.mark.parametrize("value", ["759912345", "2A9912345", "0759912345"])
def test_an_adeli_has_its_form(value: str) -> None:
    assert parse_professional(value) == value


@given(st.text(alphabet="0123456789", min_size=1, max_size=14), st.integers(0, 14), st.integers(1, 9))
def test_luhn_finds_one_digit_changed(number: str, at: int, by: int) -> None:
    whole = number + luhn_digit(number)
    assert luhn_holds(whole)
    at %= len(whole)
    assert not luhn_holds(whole[:at] + str((int(whole[at]) + by) % 10) + whole[at + 1 :])


@given(st.text(max_size=20))
def test_any_text_is_accepted_or_refused_and_nothing_else(text: str) -> None:
    for parse in (parse_professional, nir_key):
        with contextlib.suppress(InvalidIdentifierError):
            parse(text)


@pytest.mark.parametrize(
    "value", ["", "10001234565 ", "１0001234565", "801", "910001234565", "2C9912345", "8759912345"]
)
def test_what_only_looks_like_a_professional_is_refused(value: str) -> None:
    with pytest.raises(InvalidIdentifierError):
        parse_professional(value)
