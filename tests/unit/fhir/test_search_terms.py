"""What a resource is filed under: terms, patients, references."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hygie.fhir.search import extract
from hygie.fhir.search.compartment import compartment_members
from hygie.fhir.search.errors import SearchLimitError
from hygie.fhir.search.terms import TERMS_MAX
from hygie.fhir.search.values import date_bounds, plain_text, reference_parts

Typed = Callable[[dict[str, Any]], Any]
Finds = Callable[[dict[str, Any], str], bool]

BASE = "https://hygie.example/fhir/t/e"
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"coding": [{"code": "c", "system": "s"}]}}


def _terms(struct: Any) -> list[str]:
    return [term.replace("\x1f", " ") for term in extract(struct).terms]


def test_the_terms_of_a_small_observation(typed: Typed) -> None:
    resource = OBSERVATION | {
        "subject": {"reference": "Patient/p/_history/2"},
        "effectiveDateTime": "2020-05-06T23:30:00-02:00",
        "valueQuantity": {"value": 37.25, "code": "Cel", "unit": "°C"},
    }
    assert sorted(_terms(typed(resource))) == sorted(
        [
            "Observation.code tc",
            "Observation.code ts|c",
            "Observation.effective d2020-05-07",
            "Observation.effective d2020-05",
            "Observation.effective d2020",
            "Observation.effective d202",
            "Observation.status tfinal",
            "Observation.subject preference",
            "Observation.subject rPatient/p",
            "Observation.value pquantity",
            "Observation.value q+1",
            "Observation.value q+1:3",
            "Observation.value q+1:37",
            "Observation.value nCel",
            "Observation.value n°C",
        ]
    )


def test_parameters_that_read_one_element_share_its_terms(typed: Typed) -> None:
    terms = _terms(typed({"resourceType": "Patient", "name": [{"family": "Durand"}]}))
    # family, name and phonetic together: presence, and prefixes of 2, 3 and 5 characters
    family = [f"Patient.name.family {one}" for one in ("pstring", "sdu", "sdur", "sduran")]
    assert sorted(terms) == ["Patient.deceased tfalse", *family]


def test_a_value_held_by_an_extension_has_no_term(typed: Typed) -> None:
    gap = {"given": [None, "Paul"], "_given": [{"extension": [{"url": "urn:x", "valueCode": "masked"}]}, None]}
    terms = _terms(typed({"resourceType": "Patient", "name": [gap]}))
    assert sorted(terms) == [
        "Patient.deceased tfalse",
        *(f"Patient.name.given {one}" for one in ("pstring", "spa", "spau")),
    ]


@pytest.mark.parametrize("members", [10, 300, 5000])
def test_a_long_list_is_filed_under_one_term_and_still_found(members: int, typed: Typed, finds: Finds) -> None:
    group = {
        "resourceType": "Group",
        "type": "person",
        "actual": True,
        "code": {"text": "cohorte"},
        "member": [{"entity": {"reference": f"Patient/{number}"}} for number in range(members)],
    }
    found = extract(typed(group))
    assert len(found.terms) <= TERMS_MAX
    assert len(found.patients) == members
    assert finds(group, f"member=Patient/{members - 1}")
    assert not finds(group, f"member=Patient/{members}")
    assert finds(group, "actual=true")


def test_too_many_codings_of_one_concept_are_refused(typed: Typed) -> None:
    concept = {"coding": [{"code": f"c{number}"} for number in range(TERMS_MAX)]}
    with pytest.raises(SearchLimitError):
        extract(typed(OBSERVATION | {"code": concept}))


def test_patients_are_our_own_and_only_those(typed: Typed) -> None:
    def of(reference: str) -> tuple[str, ...]:
        return extract(typed(OBSERVATION | {"subject": {"reference": reference}}), BASE).patients

    assert of("Patient/a") == ("a",)
    assert of("Patient/a/_history/4") == ("a",)
    assert of(f"{BASE}/Patient/a") == ("a",)
    assert of("https://elsewhere.example/Patient/a") == ()
    assert of("urn:uuid:2d4b2f0a-0c5b-4f0e-9c69-6ff4aa0f6a1b") == ()
    assert of("Group/a") == ()
    assert of("#contained") == ()


def test_several_patients_are_all_named(typed: Typed) -> None:
    resource = OBSERVATION | {
        "subject": {"reference": "Patient/b"},
        "performer": [{"reference": "Patient/a"}, {"reference": "Practitioner/x"}, {"reference": "Patient/b"}],
    }
    assert extract(typed(resource)).patients == ("a", "b")


def test_a_patient_belongs_to_itself_not_to_its_links(typed: Typed) -> None:
    patient = {"resourceType": "Patient", "id": "a", "link": [{"other": {"reference": "Patient/b"}, "type": "seealso"}]}
    assert extract(typed(patient)).patients == ("a",)


def test_an_organization_belongs_to_the_environment(typed: Typed) -> None:
    assert extract(typed({"resourceType": "Organization", "name": "CHU"})).patients == ()


@pytest.mark.parametrize(
    ("type_", "element"), [("Task", "for"), ("Device", "patient"), ("GuidanceResponse", "subject")]
)
def test_types_outside_the_r4_compartment_follow_their_patient(type_: str, element: str, typed: Typed) -> None:
    needed: dict[str, dict[str, Any]] = {
        "Task": {"status": "draft", "intent": "order"},
        "Device": {},
        "GuidanceResponse": {"moduleUri": "urn:x", "status": "success"},
    }
    resource = {"resourceType": type_, **needed[type_], element: {"reference": "Patient/a"}}
    assert extract(typed(resource)).patients == ("a",)
    assert compartment_members(type_)


@pytest.mark.parametrize(
    ("text", "low", "length_ms"),
    [
        ("1970", 0, 365 * 86_400_000),
        ("1972-02", 65_750_400_000, 29 * 86_400_000),
        ("1970-01-02", 86_400_000, 86_400_000),
        ("1970-01-01T00:01Z", 60_000, 60_000),
        ("1970-01-01T01:00:00+01:00", 0, 1000),
        ("1970-01-01T00:00:00.5Z", 500, 100),
        ("1970-01-01T00:00:00.123456Z", 123, 1),
        ("1970-01-01T23:59:60Z", 86_399_000, 1000),
    ],
)
def test_a_date_is_as_wide_as_its_precision(text: str, low: int, length_ms: int) -> None:
    assert date_bounds(text) == (low, low + length_ms - 1)


@pytest.mark.parametrize("text", ["", "20", "2020-13", "2020-02-30", "2020-01-01T25:00Z", "2020-01-01T", "٢٠٢٠", "x"])
def test_what_is_not_a_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (calendar errors have their own texts)
        date_bounds(text)


def test_texts_are_compared_without_case_accents_and_spaces() -> None:
    assert plain_text("  Éric\t du  BŒUF ") == "eric du boeuf"
    assert plain_text("STRASSE") == plain_text("straße")
    assert plain_text("e\u0301") == plain_text("é") == "e"


def test_references_are_cut_into_base_type_and_id() -> None:
    assert reference_parts("Patient/1") == ("", "Patient", "1")
    assert reference_parts("https://x/y/Patient/1/_history/2") == ("https://x/y", "Patient", "1")
    assert reference_parts("urn:uuid:1") is None
    assert reference_parts("#p") is None
