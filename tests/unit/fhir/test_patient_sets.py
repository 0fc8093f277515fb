"""Which members of a Group a habilitation limited to it opens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hygie.fhir.patient_sets import ALWAYS_MS, members_of
from hygie.fhir.search import extract
from hygie.fhir.structures import parse
from hygie.vault.model import SetMember

BASE = "https://ours.example/chu/prod/fhir"
DAY_MS = 86_400_000


def members(*listed: dict[str, Any], **fields: Any) -> tuple[SetMember, ...]:
    body = {"resourceType": "Group", "type": "person", "actual": True} | ({"member": list(listed)} if listed else {})
    return members_of(parse(json.dumps(body | fields).encode(), expected="Group").resource, BASE)


def one(reference: str = "Patient/a", **fields: Any) -> dict[str, Any]:
    return {"entity": {"reference": reference}} | fields


WHOLE = (SetMember("a", 0, ALWAYS_MS),)


def test_present_members_of_real_persons_count() -> None:
    assert members(one()) == WHOLE
    assert members(one(), active=True) == WHOLE
    assert members(one(inactive=False)) == WHOLE
    assert members(one(f"{BASE}/Patient/a")) == WHOLE
    assert members(one(), one("Patient/b")) == (*WHOLE, SetMember("b", 0, ALWAYS_MS))
    assert members() == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "practitioner"},
        {"actual": False},
        {"active": False},
        {"modifierExtension": [{"url": "https://x.example", "valueBoolean": True}]},
    ],
)
def test_another_kind_of_group_opens_nothing(fields: dict[str, Any]) -> None:
    assert members(one(), **fields) == ()


@pytest.mark.parametrize(
    "listed",
    [
        one(inactive=True),
        one("Practitioner/a"),
        one("Group/other"),
        one("https://other.example/fhir/Patient/a"),
        one("#a"),
        {"entity": {"identifier": {"value": "a"}}},
        one(modifierExtension=[{"url": "https://x.example", "valueBoolean": True}]),
        one(period={"start": "2021", "end": "2020"}),
        one(period={"end": "1960"}),
    ],
)
def test_a_member_that_does_not_count(listed: dict[str, Any]) -> None:
    assert members(listed) == ()


def test_a_period_is_from_its_first_instant_to_its_last() -> None:
    assert members(one(period={"start": "1970-01-02", "end": "1970-01-03"})) == (SetMember("a", DAY_MS, 3 * DAY_MS),)
    assert members(one(period={"start": "1970-01-02"})) == (SetMember("a", DAY_MS, ALWAYS_MS),)
    assert members(one(period={"end": "1970-01-03T12:00:00Z"})) == (SetMember("a", 0, int(2.5 * DAY_MS) + 1000),)


def test_a_binary_belongs_to_the_patient_of_its_security_context() -> None:
    def owners(**fields: Any) -> tuple[str, ...]:
        body = {"resourceType": "Binary", "contentType": "text/plain"} | fields
        return extract(parse(json.dumps(body).encode(), expected="Binary").resource, BASE).patients

    assert owners() == ()
    assert owners(securityContext={"reference": "Patient/a"}) == ("a",)
    assert owners(securityContext={"reference": f"{BASE}/Patient/a"}) == ("a",)
    assert owners(securityContext={"reference": "DocumentReference/a"}) == ()
    assert owners(securityContext={"display": "a"}) == ()
