"""Scopes: what is understood, what they open, and that nothing granted is more than asked nor than held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.actions import Action
from hygie.base.permit import reaches
from hygie.base.roles import ACTIONS_OF_ROLE, Role
from hygie.gate.scopes import granted, narrowed, parse_scopes, reach_of

TYPES = ["Patient", "Observation", "Binary", "*"]
SCOPES = st.builds(
    lambda type_, letters: f"system/{type_}.{letters}",
    st.sampled_from(TYPES),
    st.sets(st.sampled_from("cruds"), min_size=1).map(lambda kept: "".join(c for c in "cruds" if c in kept)),
)
ASKED = st.lists(SCOPES, min_size=1, max_size=6, unique=True)
HELD = st.sampled_from([ACTIONS_OF_ROLE[role] for role in Role])
LIMITS = st.sets(st.sampled_from(TYPES[:-1])).map(frozenset)


def test_words_of_version_1_are_said_in_those_of_version_2() -> None:
    asked = parse_scopes("system/Patient.read system/*.write user/Observation.* system/Patient.read")
    assert asked == ("system/Patient.rs", "system/*.cud", "user/Observation.cruds")


@pytest.mark.parametrize(
    "text", ["", "  ", "system/Patient.", "system/Patient.sr", "launch", "patient/Patient.rs", "system/Patient.rs?x=y"]
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="scope"):
        parse_scopes(text)


def test_a_letter_opens_its_interactions() -> None:
    reach = reach_of(["system/Patient.r", "system/Observation.cs"])
    assert reaches(reach, Action.OBJECT_READ, "Patient")
    assert reaches(reach, Action.OBJECT_HISTORY, "Patient")
    assert not reaches(reach, Action.OBJECT_SEARCH, "Patient")
    assert reaches(reach, Action.OBJECT_CREATE, "Observation")
    assert not reaches(reach, Action.OBJECT_EXPORT, "Observation")


@given(ASKED, HELD, LIMITS)
def test_what_is_granted_is_asked_and_held(asked: list[str], held: frozenset[Action], types: frozenset[str]) -> None:
    wanted, given_ = reach_of(asked), reach_of(granted(asked, held, types))
    for action, open_ in given_.items():
        for type_ in open_ - {"*"} or {"Anything"}:
            assert reaches(wanted, action, type_)
            assert not types or type_ in types
        # a history is opened by reading or by searching: either must be held
        assert action in held or action is Action.OBJECT_HISTORY


@given(ASKED, LIMITS)
def test_limits_only_narrow(asked: list[str], types: frozenset[str]) -> None:
    reach = reach_of(asked)
    for action, left in narrowed(reach, frozenset(Action), types).items():
        assert left <= types
        assert all(reaches(reach, action, type_) for type_ in left)
