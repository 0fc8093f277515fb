"""What the entry of a read says of whom it was about."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.base.permit import PatientScope, Permit, Place
from hygie.base.words import words_of
from hygie.feeding import for_a_soc
from hygie.fhir.notable import notable
from hygie.vault.model import Stored
from hygie.watch.events import JOURNAL, Event

HL7 = "http://terminology.hl7.org/CodeSystem/"
PERMIT = Permit(
    permit_id=bytes(16),
    account="marie",
    professional_id="",
    authentication="token",
    action=Action.OBJECT_READ,
    place=Place(bytes(16), bytes(16), "hygie_env_1"),
    habilitation="h1",
    purpose="",
    address="",
    device="",
    kin=words_of("Marie Lefèvre d'Ormesson"),
)


def stored(type_: str = "Patient", **fields: Any) -> Stored:
    return Stored(type_, "p1", 1, 0, json.dumps({"resourceType": type_, **fields}).encode(), deleted=False)


def named(*families: str) -> Stored:
    return stored(name=[{"family": family, "given": ["Paul"]} for family in families])


@pytest.mark.parametrize("family", ["LEFEVRE", "Lefe\u0300vre", "Martin-Lefèvre", "d'Ormesson", "Ormesson (née X)"])
def test_a_namesake_is_one_however_the_name_is_written(family: str) -> None:
    assert notable(PERMIT, named("Martin", family)) == {"same_name": "yes"}


@pytest.mark.parametrize("family", ["Lefevrier", "Le Fevre", "D", "", "Durand"])
def test_another_name_is_not(family: str) -> None:
    assert notable(PERMIT, named(family)) == {}


def test_only_patients_have_namesakes_and_only_people_are_some() -> None:
    assert notable(PERMIT, replace(named("Lefèvre"), type="Practitioner")) == {}
    assert notable(replace(PERMIT, kin=frozenset()), named("Lefèvre")) == {}


def test_a_patient_whom_somebody_put_in_his_care_is_no_curiosity_until_he_opens_more() -> None:
    care = PatientScope(sets=frozenset({"ward"}))
    assert notable(replace(PERMIT, patients=care), named("Lefèvre")) == {}
    opened = replace(PERMIT, patients=care | PatientScope(subjects=frozenset({bytes(16)})))
    assert notable(opened, named("Lefèvre")) == {"same_name": "yes"}


@pytest.mark.parametrize(
    ("system", "code", "is_known"),
    [
        ("v3-ActCode", "CEL", True),
        ("v3-ActCode", "EMP", True),
        ("v3-Confidentiality", "V", True),
        ("v3-EncounterSpecialCourtesy", "VIP", True),
        ("v3-Confidentiality", "R", False),
        ("v3-ActCode", "VIP", False),
    ],
)
def test_labels_say_whom_people_are_curious_of(system: str, code: str, is_known: bool) -> None:
    labels = [{"system": "urn:other", "code": "x"}, {"system": HL7 + system, "code": code}]
    assert notable(PERMIT, stored("Observation", meta={"security": labels})) == ({"vip": "yes"} if is_known else {})


@pytest.mark.parametrize("body", [b"", b"{", b'"security"', b'{"meta":{"security":3}}', b'{"name":"Lefevre"}', b"[]"])
def test_a_body_of_no_known_shape_is_read_all_the_same(body: bytes) -> None:
    assert notable(PERMIT, Stored("Patient", "p1", 1, 0, body, deleted=not body)) == {}


def test_a_soc_is_not_told_whose_names_agree() -> None:
    event = Event(JOURNAL, 7, 3, {"action": "object:read", "detail.same_name": "yes", "detail.vip": "yes"})
    assert for_a_soc(event) == Event(JOURNAL, 7, 3, {"action": "object:read"})
    assert for_a_soc(Event(JOURNAL, 7, 3, {"action": "x"})) == Event(JOURNAL, 7, 3, {"action": "x"})
