"""What a copy keeps of a resource: nothing of what was planted in it, and what holds together."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from random import SystemRandom
from typing import Any

import msgspec
import pytest

from hygie.base.identifiers import INS_NIR_TEST_OID, nir_key
from hygie.deidentify.cells import CellCount
from hygie.deidentify.people import LEVELS, choose_level, dress
from hygie.deidentify.rules import shipped_rules
from hygie.deidentify.scrub import Held, Scrubber, rounded
from hygie.fhir.structures import parse
from hygie.fhir.types import resource_types
from hygie.synthetic.patients import bundle_bytes, planted_words
from tests.unit.deidentify.planted import NEEDLES, choices, planted

TODAY = date(2026, 11, 28)
TYPES = sorted(shipped_rules().plans)
LOINC = {"system": "http://loinc.org", "code": "718-7"}
GRAM = {"system": "http://unitsofmeasure.org", "code": "g/dL"}


class Copy:
    """A copy in memory, as ``run`` makes it. k, cells: as declared."""

    def __init__(self, *, k: int = 2, cells: int = 2) -> None:
        self.scrubber = Scrubber(shipped_rules(), SystemRandom(), TODAY)
        self.k, self.cells = k, cells
        self.held: list[Held] = []

    def take(self, body: dict[str, Any], holder: str | None) -> None:
        raw = msgspec.json.encode(body)
        name = (holder or f"{body['resourceType']}/{body['id']}").encode()
        taken = self.scrubber.take(body["resourceType"], body["id"], raw, name, of_patient=holder is not None)
        if taken is not None:
            self.held.append(taken)

    def end(self) -> list[dict[str, Any]]:
        """What would be written."""
        people = [one for one in self.scrubber.people.values() if one.known]
        level, _ = choose_level(people, self.k, TODAY)
        dress(people, level, self.scrubber.draw, TODAY)
        made = [self.scrubber.settle(one) for one in self.scrubber.settle_all(self.held, self.cells)]
        self.counts = self.scrubber.cells.count()
        for one in made:
            assert one is not None
            parse(one)
        return [json.loads(one or b"") for one in made]


def of_type(made: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    return [one for one in made if one["resourceType"] == type_]


def patient(number: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", "gender": "female", "birthDate": "1980-05-04", **more}


def observation(number: int, about: int, **more: Any) -> dict[str, Any]:
    body = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"coding": [LOINC]}}
    return body | {"subject": {"reference": f"Patient/p{about}"}} | more


@pytest.mark.parametrize("type_", TYPES)
def test_nothing_of_what_is_planted_in_every_field_survives(type_: str) -> None:
    """Each choice in turn; eight people with the same values, so that nothing is dropped for being rare."""
    for variant in range(choices(type_)):
        copy = Copy()
        for number in range(8):
            copy.take(patient(number), f"c{number}")
            body = planted(type_, variant) | {"id": f"x{number}"}
            parse(msgspec.json.encode(body))  # what is planted is a resource that the face would have taken
            copy.take(body, f"c{number}")
        made = copy.end()
        assert len(of_type(made, "Patient")) >= 8
        written = json.dumps(made)
        for needle in NEEDLES:
            assert needle not in written, (type_, variant, needle)


def test_a_type_without_rules_is_not_copied() -> None:
    for type_ in resource_types() - set(TYPES):
        copy = Copy()
        copy.take(planted(type_) | {"id": "x"}, None)
        assert copy.held == []


def test_what_survives_is_what_the_rules_name() -> None:
    """Every member of what is written has a rule, and every word of text is the copy's own."""
    copy = Copy()
    for number in range(4):
        copy.take(patient(number), f"c{number}")
        about = {
            "valueQuantity": {"value": 13.76, "unit": "g per dL", **GRAM},
            "issued": "2024-03-05T08:15:42.007+01:00",
        }
        copy.take(observation(number, number, **about, note=[{"text": "alone"}]), f"c{number}")
    (first, *_) = of_type(copy.end(), "Observation")
    assert set(first) == {"resourceType", "id", "meta", "status", "code", "subject", "valueQuantity", "issued"}
    assert first["valueQuantity"] == {"value": 14, "unit": "g/dL", **GRAM}
    assert first["code"] == {"coding": [LOINC]}
    assert first["issued"].endswith(":00Z")
    assert not first["issued"].startswith("2024-03-05")


def test_references_lead_to_the_copy_of_what_they_led_to_or_nowhere() -> None:
    copy = Copy()
    for number in range(3):
        copy.take(patient(number, managingOrganization={"reference": "Organization/gone"}), f"c{number}")
        more = {
            "hasMember": [{"reference": f"Observation/o{number}b"}, {"reference": "https://elsewhere/Observation/1"}]
        }
        copy.take(observation(number, number, **more), f"c{number}")
        copy.take(observation(number, number) | {"id": f"o{number}b"}, f"c{number}")
    made = copy.end()
    ids = {f"{one['resourceType']}/{one['id']}" for one in made}
    assert all("managingOrganization" not in one for one in made)
    named = [one["reference"] for each in made for one in [each.get("subject"), *each.get("hasMember", [])] if one]
    assert len(named) == 3 * 3
    assert set(named) <= ids
    for number in range(3):
        assert f"o{number}" not in json.dumps(made)


def test_a_resource_without_what_r4_requires_is_left_out_with_what_needs_it() -> None:
    """A rare code is all an observation says: it goes, and the reference to it."""
    copy = Copy(cells=3)
    for number in range(4):
        copy.take(patient(number), f"c{number}")
        copy.take(observation(number, number), f"c{number}")
    rare = {"coding": [{"system": "http://loinc.org", "code": "99999-9"}]}
    copy.take(observation(9, 0, code=rare), "c0")
    copy.take(observation(8, 0, hasMember=[{"reference": "Observation/o9"}]), "c0")
    made = of_type(copy.end(), "Observation")
    assert len(made) == 5
    assert all("hasMember" not in one for one in made)
    assert copy.counts == CellCount(1, 0, 1)


@pytest.mark.parametrize(
    ("system", "code", "unit"),
    [
        ("http://loinc.org", "30525-0", "a"),
        ("http://loinc.org", "35659-2", "a"),
        ("http://loinc.org", "39016-1", "d"),
        ("http://loinc.org", "63900-5", "wk"),
        ("http://loinc.org", "35267-4", "a"),
        ("http://snomed.info/sct", "424144002", "a"),
        ("http://snomed.info/sct", "397669002", "d"),
        ("http://snomed.info/sct", "445518008", "d"),
        ("http://loinc.org", "718-7", "a"),
        ("http://loinc.org", "718-7", "a_j"),
        ("http://loinc.org", "718-7", "mo"),
        ("http://loinc.org", "718-7", "a{age}"),
        ("http://loinc.org", "718-7", "1.a"),
    ],
)
def test_an_age_is_shown_as_coarsely_as_k_asks_and_nowhere_else(system: str, code: str, unit: str) -> None:
    copy = Copy(k=3, cells=3)
    for number in range(4):
        copy.take(patient(number), f"c{number}")
        quantity = {"value": 87, "system": "http://unitsofmeasure.org", "code": unit}
        concept = {"coding": [{"system": system, "code": code}]}
        copy.take(observation(number, number, code=concept, valueQuantity=quantity), f"c{number}")
        more = observation(number, number, component=[{"code": concept, "valueQuantity": quantity}])
        copy.take(more | {"id": f"c{number}"}, f"c{number}")
    assert "87" not in json.dumps([one.get("valueQuantity", one.get("component")) for one in copy.end()])


@pytest.mark.parametrize("unit", ["/a", "mol", "mmol/L", "mo1", "d", "am", "kg"])
def test_other_units_leave(unit: str) -> None:
    copy = Copy()
    for number in range(3):
        copy.take(patient(number), f"c{number}")
        quantity = {"value": 87, "system": "http://unitsofmeasure.org", "code": unit}
        copy.take(observation(number, number, valueQuantity=quantity), f"c{number}")
    assert {one["valueQuantity"]["code"] for one in of_type(copy.end(), "Observation")} == {unit}


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://www.whocc.no/atc", "code": code}]}


def shown_codes(made: list[dict[str, Any]]) -> set[str]:
    """Every ATC code of a result."""
    return set(re.findall(r'"http://www.whocc.no/atc", "code": "(\w+)"', json.dumps(made)))


def test_a_code_is_counted_again_on_what_is_left() -> None:
    """Of three, one patient is not copied: two are left. Another code goes with the part it stands in."""
    copy = Copy(cells=3)
    for number in range(3):
        copy.take(patient(number), f"c{number}")
        copy.take(observation(number, number), f"c{number}")
        copy.take(
            observation(number, number, valueCodeableConcept=coded("B01AC06")) | {"id": f"v{number}"}, f"c{number}"
        )
    for number in (0, 1, 3):
        copy.take(
            observation(number, number, valueCodeableConcept=coded("C09AA05")) | {"id": f"b{number}"}, f"c{number}"
        )
    rare = {"code": {"coding": [{"system": "http://loinc.org", "code": "99999-9"}]}}
    for number, parts in ((0, {}), (1, {}), (2, rare)):
        part = {"code": {"coding": [LOINC]}} | parts | {"valueCodeableConcept": coded("N02BE01")}
        copy.take(observation(number, number, component=[part]) | {"id": f"d{number}"}, f"c{number}")
    assert shown_codes(copy.end()) == {"B01AC06"}
    assert copy.counts == CellCount(2, 0, 3)


def test_what_is_left_of_a_rare_code_is_counted_with_its_parent() -> None:
    copy = Copy(cells=3)
    for number, code in enumerate(("C09AA05", "C09AA05", "C09AA05", "C09AA04", "C09AA03")):
        if number:  # the first one's own resource is not copied: two are left
            copy.take(patient(number), f"c{number}")
        copy.take(observation(number, number, valueCodeableConcept=coded(code)), f"c{number}")
    assert shown_codes(copy.end()) == {"C09AA"}


def medication(id_: str, code: str) -> dict[str, Any]:
    return {"resourceType": "Medication", "id": id_, "code": coded(code)}


def request(number: int, medicine: str) -> dict[str, Any]:
    body = {"resourceType": "MedicationRequest", "id": f"r{number}{medicine}", "status": "active", "intent": "order"}
    named = {"reference": f"Medication/{medicine}"}
    return body | {"subject": {"reference": f"Patient/p{number}"}, "medicationReference": named}


def test_the_holders_of_what_is_nobodys_are_the_patients_who_are_led_to_it() -> None:
    """Four packets of one drug, which one patient takes; a drug that four take; one that nobody takes."""
    copy = Copy(cells=3)
    for number in range(4):
        copy.take(patient(number), f"c{number}")
        copy.take(medication(f"rare{number}", "C09AA05"), None)
        copy.take(request(0, f"rare{number}"), "c0")
        copy.take(request(number, "common"), f"c{number}")
        copy.take(medication(f"alone{number}", "B01AC06"), None)
    copy.take(medication("common", "N02BE01"), None)
    made = copy.end()
    assert shown_codes(made) == {"N02BE01"}
    assert len(of_type(made, "Medication")) == 9  # without its code, it says that something is taken


def test_what_is_nobodys_is_held_through_others_too() -> None:
    """The kind of a ward's hospital is known of whoever lay in the ward; a ring of them ends."""
    copy = Copy(cells=3)
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "prov"}]}
    odd = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "cult"}]}
    ring = {"h": ("g", kind), "g": ("h", kind), "o": ("h", odd)}
    for name, (part_of, type_) in ring.items():
        body = {"resourceType": "Organization", "id": name, "type": [type_], "name": "X"}
        copy.take(body | {"partOf": {"reference": f"Organization/{part_of}"}}, None)
    for name, of in (("w", "h"), ("x", "o")):
        copy.take(
            {"resourceType": "Location", "id": name, "managingOrganization": {"reference": f"Organization/{of}"}}, None
        )
    for number in range(4):
        copy.take(patient(number), f"c{number}")
        place = {"location": {"reference": f"Location/{'x' if number == 3 else 'w'}"}}
        body = {"resourceType": "Encounter", "id": f"e{number}", "status": "finished", "location": [place]}
        visit = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
        copy.take(body | {"class": visit, "subject": {"reference": f"Patient/p{number}"}}, f"c{number}")
    made = of_type(copy.end(), "Organization")
    assert sorted(str(one.get("type", [{"coding": [{"code": ""}]}])[0]["coding"][0]["code"]) for one in made) == [
        "",
        "prov",
        "prov",
    ]


def test_an_age_beside_another_code_is_an_age() -> None:
    copy = Copy()
    both = {"coding": [LOINC, {"system": "http://loinc.org", "code": "30525-0"}]}
    for number in range(3):
        copy.take(patient(number), f"c{number}")
        copy.take(observation(number, number, code=both, valueInteger=87), f"c{number}")
    assert of_type(copy.end(), "Observation") == []


def test_data_of_a_patient_whose_own_resource_is_gone_are_not_copied() -> None:
    copy = Copy()
    for number in range(2):
        copy.take(patient(number), f"c{number}")
        copy.take(observation(number, number), f"c{number}")
    copy.take({**observation(7, 7), "subject": None}, "c7")
    copy.take(observation(8, 8), "c8")
    assert len(of_type(copy.end(), "Observation")) == 2


def test_a_second_copy_links_to_nothing_of_the_first() -> None:
    def once() -> tuple[set[str], set[str]]:
        copy = Copy()
        for number in range(20):
            who = patient(number, name=[{"family": "X"}], identifier=[{"value": str(number)}])
            copy.take(who, f"c{number}")
            copy.take(observation(number, number, effectiveDateTime="2024-03-05T08:15:00+01:00"), f"c{number}")
        copy.take({"resourceType": "Organization", "id": "h", "name": "CHU", "identifier": [{"value": "7"}]}, None)
        made = copy.end()
        words = {one["id"] for one in made} | {one["identifier"][0]["value"] for one in made if "identifier" in one}
        return words, {one["effectiveDateTime"] for one in made if "effectiveDateTime" in one}

    (ids, dates), (others, other_dates) = once(), once()
    assert len(ids) > 40
    assert not ids & others
    assert len(dates) == len(other_dates) == 20  # a random offset for each patient
    assert not dates & other_dates


def test_one_patient_keeps_his_intervals() -> None:
    copy = Copy()
    for number in range(2):
        copy.take(patient(number), f"c{number}")
        for rank, at in enumerate(("2024-03-05T08:15:00Z", "2024-03-07T08:15:00Z")):
            copy.take(observation(number, number, effectiveDateTime=at) | {"id": f"o{number}{rank}"}, f"c{number}")
    made = of_type(copy.end(), "Observation")
    by_person: dict[str, list[str]] = {}
    for one in made:
        by_person.setdefault(one["subject"]["reference"], []).append(one["effectiveDateTime"])
    for first, last in by_person.values():
        days = (date.fromisoformat(max(first, last)[:10]) - date.fromisoformat(min(first, last)[:10])).days
        assert days == 2


def test_people_are_shown_as_coarsely_as_k_asks() -> None:
    """A person of 104 among the old, one alone in his department: the level makes them like others."""
    copy = Copy(k=3)
    for number, (born, code) in enumerate([("1922-01-02", "35000"), *([("1931-05-06", "69003")] * 3)]):
        address = [{"line": ["1 rue X"], "city": "Y", "postalCode": code, "country": "FR"}]
        copy.take(patient(number, birthDate=born, address=address), f"c{number}")
    made = of_type(copy.end(), "Patient")
    assert {one["birthDate"] for one in made} == {"1930"}
    assert not any("address" in one for one in made)


def test_the_test_identity_says_no_more_than_the_level() -> None:
    copy = Copy()
    for number in range(6):
        sex = "female" if number % 2 else "male"
        copy.take(patient(number, gender=sex, identifier=[{"value": "7"}]), f"c{number}")
    for one in of_type(copy.end(), "Patient"):
        (identifier,) = one["identifier"]
        assert identifier["system"] == f"urn:oid:{INS_NIR_TEST_OID}"
        number = identifier["value"]
        assert number[13:] == nir_key(number[:13])
        assert number[1:3] == "80"
        assert number[0] == ("2" if one["gender"] == "female" else "1")
        assert one["birthDate"] == "1980"


def test_a_synthetic_set_keeps_nothing_of_its_people() -> None:
    copy = Copy(k=5, cells=5)
    words: set[str] = set()
    for seed in range(40):
        words |= set(planted_words(seed))
        names: dict[str, str] = {}
        entries = json.loads(bundle_bytes(seed))["entry"]
        for rank, entry in enumerate(entries):
            names[entry["fullUrl"]] = f"{entry['resource']['resourceType']}/{seed}-{rank}"
        for entry in entries:
            text = json.dumps(entry["resource"], ensure_ascii=False)
            for url, name in names.items():
                text = text.replace(url, name)
            body = json.loads(text)
            body["id"] = names[entry["fullUrl"]].partition("/")[2]
            common = body["resourceType"] in ("Practitioner", "Organization")
            copy.take(body, None if common else f"c{seed}")
    made = copy.end()
    written = json.dumps(made, ensure_ascii=False)
    assert len(made) > 1_000
    for word in words:
        # a made-up family name may fall on a syllable of another one: 2.5 million of them
        assert word not in written or word in {half for one in made for half in _family(one)}
    assert len(of_type(made, "DocumentReference")) > 50


def _family(one: dict[str, Any]) -> set[str]:
    return {half for name in one.get("name") or () if isinstance(name, dict) for half in name["family"].split("-")}


@pytest.mark.parametrize(
    ("given", "kept"), [("5.40", "5.4"), ("138", "140"), ("0.0123", "0.012"), ("987654321.5", "990000000"), ("0", "0")]
)
def test_numbers_leave_with_two_digits(given: str, kept: str) -> None:
    assert str(rounded(Decimal(given))) == kept


def test_levels_go_from_fine_to_coarse() -> None:
    assert LEVELS[0] == (1, True, True)
    assert LEVELS[-1] == (0, False, False)
