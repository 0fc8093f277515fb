"""Scoping: who is concerned, for which activities, which requirements apply; an absent answer is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.certification.errors import CertificationDataError, RecordRefusedError
from hygie.proof.certification.scoping import (
    Applies,
    Scope,
    own_words,
    parse_answers,
    read_words,
    roles_held,
    scope,
)

WORDS = own_words()
CONDITIONS = {
    "EXI-01": None,
    "EXI-06": "when subcontracting is used",
    "EXI-14": "certified-subcontractor",
    "EXI-15": "item 1 only where resources are specific to the client",
    "EXI-28": "where the activity involves storing health data",
    "EXI-29": "when remote access from a non-EEA country exists",
    "EXI-30": "when the host or a subcontractor is subject to the law of a non-adequate third country",
    "EXI-99": "when the moon is full",
}
REQUIREMENTS: list[dict[str, Any]] = [
    {"id": name, "applies_to": {"activities": [1, 2, 3, 4, 5, 6], "condition": condition}, "title_fr": "…"}
    for name, condition in CONDITIONS.items()
] + [{"id": "EXI-X6", "applies_to": {"activities": [6], "condition": None}}]


def body(**changes: Any) -> dict[str, Any]:
    return {
        "id": "clinique",
        "answered_on": "2027-01-11",
        "answered_by": "DPO",
        "for_others": True,
        "data": "health",
        "care_context": True,
        "short_loan": False,
        "archiving_only": False,
        "activities": [4, 5],
        "layers": [{"activity": n, "actor": "cloud"} for n in (1, 2, 3)],
        "subcontracts": True,
        "certified_subcontractor": True,
        "stores_data": True,
        "remote_access_outside_eea": False,
        "foreign_law": False,
        "client_specific_resources": False,
    } | changes


def scoped(**changes: Any) -> Scope:
    found = scope(parse_answers(body(**changes)), REQUIREMENTS, WORDS)
    assert all(reason.fr and reason.en for reason in found.reasons)
    assert all(each.reason.fr and each.reason.en for each in found.requirements)
    return found


def ruled(found: Scope) -> dict[str, str]:
    return {each.id: each.applies.value for each in found.requirements}


def test_a_host_for_others_is_concerned_for_what_it_performs() -> None:
    found = scoped()
    assert found.concerned is Applies.YES
    assert (found.needed, found.to_certify) == ((1, 2, 3, 4, 5), (4, 5))
    assert [layer.actor for layer in found.relied_on] == ["cloud"] * 3
    assert ruled(found) == {
        "EXI-01": "yes",
        "EXI-06": "yes",
        "EXI-14": "yes",
        "EXI-15": "yes",
        "EXI-15.1": "no",
        "EXI-28": "yes",
        "EXI-29": "no",
        "EXI-30": "no",
        "EXI-99": "unknown",
        "EXI-X6": "no",
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"for_others": False}, "keeps its own data"),
        ({"data": "anonymous"}, "not personal health data"),
        ({"data": "other"}, "not personal health data"),
        ({"care_context": False}, "not gathered during care"),
        ({"short_loan": True}, "is not hosting"),
        ({"archiving_only": True}, "minister of culture"),
        ({"activities": []}, "performs no activity itself"),
    ],
)
def test_one_no_settles_that_it_is_not_concerned(changes: dict[str, Any], words: str) -> None:
    found = scoped(**changes)
    assert found.concerned is Applies.NO
    assert [words in reason.en for reason in found.reasons] == [True]
    assert set(ruled(found).values()) == {"no"}
    assert found.to_certify == ()


def test_pseudonymised_data_remain_personal_health_data() -> None:
    assert scoped(data="pseudonymised").concerned is Applies.YES


@pytest.mark.parametrize("field", ["for_others", "data", "care_context", "short_loan", "archiving_only", "activities"])
def test_an_absent_answer_leaves_it_open_unless_another_settles_it(field: str) -> None:
    found = scoped(**{field: None})
    assert found.concerned is Applies.UNKNOWN
    assert found.reasons[0].en.startswith("no answer: ")
    assert set(ruled(found).values()) == {"unknown"}
    other = "care_context" if field == "for_others" else "for_others"
    assert scoped(**{field: None, other: False}).concerned is Applies.NO


@pytest.mark.parametrize(
    ("field", "requirement"),
    [
        ("certified_subcontractor", "EXI-14"),
        ("client_specific_resources", "EXI-15.1"),
        ("stores_data", "EXI-28"),
        ("remote_access_outside_eea", "EXI-29"),
        ("foreign_law", "EXI-30"),
    ],
)
def test_a_condition_follows_its_answer(field: str, requirement: str) -> None:
    for answer, expected in ((True, "yes"), (False, "no"), (None, "unknown")):
        assert ruled(scoped(**{field: answer}))[requirement] == expected


def test_subcontracting_follows_from_layers_left_to_others() -> None:
    assert ruled(scoped(subcontracts=None))["EXI-06"] == "yes"
    alone = {"layers": [], "certified_subcontractor": None}
    assert ruled(scoped(subcontracts=None, **alone))["EXI-06"] == "unknown"
    assert ruled(scoped(subcontracts=False, **alone))["EXI-06"] == "no"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subcontracts": False}, "subcontracts"),
        ({"subcontracts": False, "layers": []}, "certified_subcontractor"),
        ({"activities": [3, 4]}, "layers"),
        ({"for_others": "yes"}, "for_others"),
        ({"data": "secret"}, "data"),
        ({"answered_by": None}, "answered_by"),
        ({"activities": [8]}, "activities"),
        ({"mood": 1}, "mood"),
    ],
)
def test_answers_that_contradict_one_another_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordRefusedError) as caught:
        parse_answers(body(**changes))
    assert caught.value.facts["field"] == field


def test_answers_are_read_field_by_field_and_what_is_not_answered_is_not_no() -> None:
    read, whole = parse_answers(body()), body()
    layers = whole.pop("layers")
    for name, value in whole.items():
        found = getattr(read, name)
        assert (str(found) if isinstance(value, str) else list(found) if isinstance(value, list) else found) == value
    assert [{"activity": one.activity, "actor": one.actor} for one in read.layers] == layers
    bare = parse_answers({name: whole[name] for name in ("id", "answered_on", "answered_by")})
    assert {getattr(bare, name) for name in set(whole) - {"id", "answered_on", "answered_by"}} == {None}
    assert parse_answers(body(activities=[])).activities == ()


@pytest.mark.parametrize(
    ("requirement", "record", "field"),
    [
        ({"applies_to": {"activities": [1]}}, "requirements[0]", "id"),
        ({"id": "EXI-01"}, "requirements[0].applies_to", "-"),
        ({"id": "EXI-01", "applies_to": {"activities": [9]}}, "requirements[0].applies_to", "activities"),
    ],
)
def test_a_malformed_requirement_is_refused_with_its_place(
    requirement: dict[str, Any], record: str, field: str
) -> None:
    with pytest.raises(RecordRefusedError) as caught:
        scope(parse_answers(body()), [requirement], WORDS)
    assert (caught.value.facts["record"], caught.value.facts["field"]) == (record, field)


def test_the_six_roles_stand_on_the_six_activities() -> None:
    assert len(WORDS.roles) == 6
    assert {n for role in WORDS.roles for n in role.activities} == {1, 2, 3, 4, 5, 6}
    held = {role.id: how_much.value for role, how_much in roles_held([1, 4, 5], WORDS)}
    assert held == {
        "physical": "partly",  # sites without hardware: the role speaks of both
        "virtual": "none",
        "applications": "whole",
        "administration": "whole",
        "backup": "none",
        "managed": "whole",
    }


@pytest.mark.parametrize(
    "text",
    [
        "[[role]]\nid='x'\ntitle_fr='x'\ntitle_en='x'\nnote_fr='x'\nnote_en='x'\nactivities=[7]",
        "[[role]]\nid='x'\ntitle_fr='x'\ntitle_en='x'\nnote_fr='x'\nnote_en='x'\nactivities=[]",
        "[[condition]]\nkey='x'\nsentence='x'\nanswer='mood'\nyes_fr='x'\nyes_en='x'\nno_fr='x'\nno_en='x'",
    ],
)
def test_words_that_do_not_hold_together_are_refused(text: str) -> None:
    with pytest.raises(CertificationDataError):
        read_words(text)


ANSWER = st.sampled_from([True, False, None])


@given(
    for_others=ANSWER,
    care_context=ANSWER,
    short_loan=ANSWER,
    archiving_only=ANSWER,
    data=st.sampled_from(["health", "pseudonymised", "anonymous", "other", None]),
    activities=st.none() | st.sets(st.integers(4, 6)).map(sorted),
)
def test_nobody_is_concerned_without_every_answer_and_nobody_cleared_without_a_no(**answers: Any) -> None:
    found = scoped(**answers)
    held = [
        answers["for_others"],
        answers["care_context"],
        None if answers["short_loan"] is None else not answers["short_loan"],
        None if answers["archiving_only"] is None else not answers["archiving_only"],
        None if answers["data"] is None else answers["data"] in {"health", "pseudonymised"},
        None if answers["activities"] is None else bool(answers["activities"]),
    ]
    expected = Applies.NO if False in held else Applies.UNKNOWN if None in held else Applies.YES
    assert found.concerned is expected
