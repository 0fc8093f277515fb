"""INS, RPPS and FINESS: a typing mistake is found, and the value is never repeated."""

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
    parse_finess,
    parse_ins,
    parse_rpps,
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
    assert parse_finess("750712184")  # a hospital of Paris
    assert parse_finess("2A0000014")  # Corsica
    assert parse_rpps("10003456787"[:10] + luhn_digit("1000345678"))
    assert luhn_holds("79927398713")
    assert not luhn_holds("79927398714")


@given(nirs)
def test_a_nir_with_its_key_is_accepted(number: str) -> None:
    assert parse_ins(number + nir_key(number)) == number + nir_key(number)


@given(nirs, st.integers(0, 14), st.integers(1, 9))
def test_one_digit_changed_in_an_ins_is_found(number: str, at: int, by: int) -> None:
    ins = number + nir_key(number)
    if not ins[at].isdigit():
        return
    changed = ins[:at] + str((int(ins[at]) + by) % 10) + ins[at + 1 :]
    with pytest.raises(InvalidIdentifierError) as caught:
        parse_ins(changed)
    assert changed not in str(caught.value)


@given(st.text(alphabet="0123456789", min_size=1, max_size=14), st.integers(0, 14), st.integers(1, 9))
def test_luhn_finds_one_digit_changed(number: str, at: int, by: int) -> None:
    whole = number + luhn_digit(number)
    assert luhn_holds(whole)
    at %= len(whole)
    assert not luhn_holds(whole[:at] + str((int(whole[at]) + by) % 10) + whole[at + 1 :])


@given(st.text(max_size=20))
def test_any_text_is_accepted_or_refused_and_nothing_else(text: str) -> None:
    for parse in (parse_ins, parse_rpps, parse_finess, nir_key):
        with contextlib.suppress(InvalidIdentifierError):
            parse(text)


@pytest.mark.parametrize("value", ["", "100017510100151 ", "１00017510100151", "100137510100151", "1000175101001"])
def test_what_only_looks_like_an_ins_is_refused(value: str) -> None:
    with pytest.raises(InvalidIdentifierError):
        parse_ins(value)
