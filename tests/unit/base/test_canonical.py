"""Canonical bytes: two different tuples never give the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.canonical import FIELDS_MAX, Field, canonical

fields = st.lists(st.one_of(st.binary(max_size=12), st.text(max_size=6), st.integers(0, 2**64 - 1)), max_size=5)


def raw(values: list[Field]) -> list[bytes]:
    """What each field stands for: text and integers are the bytes they encode to, nothing more."""
    return [v.encode() if isinstance(v, str) else v.to_bytes(8, "big") if isinstance(v, int) else v for v in values]


def decode(data: bytes) -> list[bytes]:
    """An independent reader of docs/formats/canonical.md: if it always gives the fields back, encoding is injective."""
    count, at, found = data[0], 1, []
    for _ in range(count):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    assert at == len(data)
    return found


@given(fields)
def test_the_fields_are_read_back_from_the_bytes(values: list[Field]) -> None:
    assert decode(canonical(*values)) == raw(values)


@given(fields, fields)
def test_two_different_tuples_never_give_the_same_bytes(first: list[Field], second: list[Field]) -> None:
    assert (canonical(*first) == canonical(*second)) == (raw(first) == raw(second))


def test_moving_a_byte_between_fields_changes_the_bytes() -> None:
    assert canonical("ab", "c") != canonical("a", "bc") != canonical("abc") != canonical("abc", "")


def test_too_many_fields_and_integers_out_of_range_are_refused() -> None:
    canonical(*[b""] * FIELDS_MAX)
    with pytest.raises(ValueError, match="too many fields"):
        canonical(*[b""] * (FIELDS_MAX + 1))
    for number in (-1, 2**64):
        with pytest.raises(OverflowError):
            canonical(number)
