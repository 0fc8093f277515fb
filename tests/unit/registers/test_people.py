"""Whom a text names, and who may approve what others wrote."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from hygie.registers.chain import RecordVersion
from hygie.registers.people import has_left, is_of_another, named

DAY = date(2026, 11, 20)


def person(key: str, **fields: Any) -> RecordVersion:
    return RecordVersion(1, "person", key, 1, 0, "local:rh", "", "", fields.pop("state", "present"), "", fields)


PEOPLE = [
    person("PER-1", name="Anne Martin", account="anne"),
    person("PER-2", name="Paul Durand", account="paul"),
    person("PER-3", name="Paul Durand"),
    person("PER-4", name="Lise Petit", account="lise", ends_on="2026-11-20"),
    person("PER-5", name="Zoé Roux", account="zoe", state="left"),
]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("local:anne", {"PER-1"}),
        (" ANNE martin ", {"PER-1"}),
        ("per-1", {"PER-1"}),
        ("Paul Durand", {"PER-2", "PER-3"}),
        ("paul", {"PER-2"}),
        ("None", {"none"}),  # what some have no account would read
        ("", {""}),
        ("Somebody", {"somebody"}),
    ],
)
def test_a_text_names_persons_by_key_account_or_name(text: str, keys: set[str]) -> None:
    assert named(text, PEOPLE) == keys


def test_who_has_left_ends_on_the_very_day() -> None:
    assert [has_left(one, DAY) for one in PEOPLE] == [False, False, False, True, True]
    assert not has_left(PEOPLE[3], date(2026, 11, 19))


@pytest.mark.parametrize(
    ("approver", "concerned", "agreed"),
    [
        ("anne", ["local:paul", "dpo"], True),
        ("anne", ["PER-1"], False),
        ("anne", ["paul", "Anne Martin"], False),
        ("Paul Durand", ["paul"], False),  # one of the two
        ("Paul Durand", ["anne"], True),
        ("lise", ["anne"], False),
        ("zoe", ["anne"], False),
        ("somebody", ["anne"], False),
        ("", ["anne"], False),
        ("None", ["anne"], False),
    ],
)
def test_an_approval_is_of_somebody_present_who_is_not_concerned(
    approver: str, concerned: list[str], agreed: bool
) -> None:
    assert is_of_another(approver, concerned, PEOPLE, DAY) is agreed
