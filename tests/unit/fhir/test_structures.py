"""What a valid resource gives back, and what each kind of R4 structure error is refused for."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hygie.fhir.errors import PROBLEMS, FhirContentError, FhirJsonError, FhirStructureError
from hygie.fhir.structures import encode, parse
from hygie.fhir.types import all_types, elements_of, resource_types, struct_of

DATA = Path(__file__).parents[2] / "data" / "fhir"
SAMPLES = ["patient.json", "observation.json", "transaction.json"]


def exact(text: bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


def observation(**changes: object) -> dict[str, Any]:
    body: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    body |= changes
    return {name: value for name, value in body.items() if value is not ...}


def refused(body: object) -> FhirStructureError:
    with pytest.raises(FhirStructureError) as caught:
        parse(json.dumps(body).encode())
    return caught.value


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_written_is_given_back_equal(name: str) -> None:
    raw = (DATA / name).read_bytes()
    parsed = parse(raw)
    assert exact(parsed.encoded) == exact(raw)
    assert encode(parsed.resource) == parsed.encoded
    assert parse(parsed.encoded).encoded == parsed.encoded


def test_the_canonical_text_begins_with_type_id_and_meta() -> None:
    raw = b'{"gender":"male","meta":{"source":"https://example.org"},"id":"a","resourceType":"Patient"}'
    assert parse(raw).encoded == (
        b'{"resourceType":"Patient","id":"a","meta":{"source":"https://example.org"},"gender":"male"}'
    )


def test_decimals_keep_their_digits() -> None:
    parsed = parse((DATA / "observation.json").read_bytes())
    assert b'"value":72.50,' in parsed.encoded
    assert parsed.resource.valueQuantity.value == Decimal("72.50")


def test_attributes_are_named_as_documented() -> None:
    patient = parse((DATA / "patient.json").read_bytes(), expected="Patient").resource
    assert patient.ext_birthDate.extension[0].valueString == "day"
    assert patient.name[0].given == ["Éloïse", None]
    assert patient.deceasedBoolean is None
    encounter = parse(b'{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"}}').resource
    assert encounter.class_.code == "AMB"


def test_contained_resources_are_typed_in_place() -> None:
    device = parse((DATA / "observation.json").read_bytes()).resource.contained[0]
    assert isinstance(device, struct_of("Device"))


def test_a_resource_does_not_show_its_values_in_a_traceback() -> None:
    parsed = parse((DATA / "patient.json").read_bytes())
    assert "DUPONT" not in repr(parsed) + repr(parsed.resource) + repr(parsed.resource.name)


@pytest.mark.parametrize(
    ("body", "problem", "expression"),
    [
        (observation(encounterr={}), "unknown", "Observation.encounterr"),
        (observation(code={"coding": [{"code": "a", "text": "b"}]}), "unknown", "Observation.code.coding[0].text"),
        (observation(code=...), "required", "Observation.code"),
        (observation(status=...), "required", "Observation.status"),
        (observation(status="finished"), "code", "Observation.status"),
        (observation(status=3), "type", "Observation.status"),
        (observation(category={"text": "x"}), "type", "Observation.category"),
        (observation(category=[]), "empty", "Observation.category"),
        (observation(subject={}), "empty", "Observation.subject"),
        (observation(subject=None), "null", "Observation.subject"),
        (observation(subject={"display": ""}), "length", "Observation.subject.display"),
        (observation(valueString="a", valueBoolean=True), "choice", "Observation.value"),
        (observation(valueString="a", _valueBoolean={"id": "b"}), "choice", "Observation.value"),
        (observation(valueQuantity={"value": "1.5"}), "number", "Observation.valueQuantity.value"),
        (observation(valueQuantity={"value": "NaN"}), "number", "Observation.valueQuantity.value"),
        (observation(valueInteger=1 << 31), "range", "Observation.valueInteger"),
        (observation(valueInteger=1.0), "type", "Observation.valueInteger"),
        (observation(valueTime="24:00:00"), "form", "Observation.valueTime"),
        (observation(effectiveDateTime="2026-02-30"), "form", "Observation.effectiveDateTime"),
        (observation(issued="2026-02-03T10:00:00"), "form", "Observation.issued"),
        (observation(id="a b"), "form", "Observation.id"),
        (observation(implicitRules="http://a b"), "form", "Observation.implicitRules"),
        (observation(implicitRules="http://a\tb"), "form", "Observation.implicitRules"),
        (observation(language=" fr"), "form", "Observation.language"),
        (observation(contained=[{"id": "x"}]), "resource-type", "Observation.contained[0]"),
        (observation(contained=[observation(status="x")]), "code", "Observation.contained[0].status"),
        (
            observation(contained=[observation(contained=[observation()])]),
            "contained",
            "Observation.contained[0]",
        ),
        ({"resourceType": "Patient", "name": [{"given": ["a", None]}]}, "null", "Patient.name[0].given[1]"),
        (
            {"resourceType": "Patient", "name": [{"given": [None], "_given": [None]}]},
            "null",
            "Patient.name[0].given[0]",
        ),
        ({"resourceType": "Patient", "extension": [{"valueString": "a"}]}, "required", "Patient.extension[0].url"),
        (
            {"resourceType": "Patient", "extension": [{"url": "u", "valueString": "a", "valueCode": "b"}]},
            "choice",
            "Patient.extension[0].value",
        ),
        ({"resourceType": "Patient", "photo": [{"data": "é"}]}, "form", "Patient.photo[0].data"),
        ({"resourceType": "Goal", "lifecycleStatus": "active"}, "required", "Goal.description"),
        ({"resourceType": "MedicationRequest", "status": "active"}, "required", "MedicationRequest.subject"),
        ({"resourceType": "SubscriptionStatus"}, "resource-type", ""),
        ({"resourceType": "Resource"}, "resource-type", ""),
        ({"id": "x"}, "resource-type", ""),
        ([], "resource-type", ""),
        (
            {"resourceType": "Parameters", "parameter": [{"name": "a", "resource": {"resourceType": "Flag"}}]},
            "required",
            "Parameters.parameter[0].resource",
        ),
        (
            {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": observation(status="x")}]},
            "code",
            "Bundle.entry[0].resource.status",
        ),
    ],
)
def test_a_structure_error_is_named(body: object, problem: str, expression: str) -> None:
    error = refused(body)
    assert error.problem == problem
    if problem == "required" and expression.count(".") == 2 and "resource" in expression:
        assert error.expression.startswith(expression)  # the first of several that are missing
    else:
        assert error.expression == expression


@pytest.mark.parametrize(
    "body",
    [
        observation(status=..., _status={"extension": [{"url": "u", "valueCode": "unknown"}]}),
        observation(_valueString={"id": "only-the-sibling"}),
        observation(effectiveDateTime="2026"),
        observation(effectiveDateTime="2000-02-29T23:59:60Z"),
        observation(valueQuantity={"value": -0}),
        observation(method={"text": 'E- {} null "E+" \\ 4E-2A'}),
        observation(note=[{"text": "tab\tand\nline"}]),
        {"resourceType": "Patient", "name": [{"_given": [{"id": "a"}]}]},
    ],
)
def test_unusual_but_valid_is_accepted(body: object) -> None:
    raw = json.dumps(body).encode()
    assert exact(parse(raw).encoded) == exact(raw)


@pytest.mark.parametrize(
    "day", ["1900-02-29", "2100-02-29", "2023-02-29", "2026-04-31", "2026-13-01", "0000", "26-1-1"]
)
def test_a_day_that_does_not_exist_is_refused(day: str) -> None:
    assert refused({"resourceType": "Patient", "birthDate": day}).problem == "form"


def test_errors_hold_no_value() -> None:
    error = refused(observation(status="SECRET", code={"SECRET é": 1}))
    assert "SECRET" not in f"{error} {error.sentence('fr')} {error.facts}"
    error = refused(observation(status="final", code={"SECRET é": 1}))
    assert error.expression == "Observation.code"


def test_the_address_and_the_body_name_one_type() -> None:
    with pytest.raises(FhirContentError) as caught:
        parse(b'{"resourceType":"Patient"}', expected="Observation")
    assert caught.value.problem == "resource-type"
    assert caught.value.http_status == 422


def test_every_problem_has_its_words_in_both_languages() -> None:
    for problem in PROBLEMS:
        error = FhirJsonError(problem, "Patient.name")
        assert error.issue_code
        assert error.sentence("fr") != error.sentence("en")
        assert "Patient.name" in error.sentence("fr")


def test_every_r4_type_builds() -> None:
    assert len(resource_types()) == 146
    for path in all_types():
        struct = struct_of(path)
        assert struct.__struct_config__.forbid_unknown_fields
        assert elements_of(path)
    for name in resource_types():
        with pytest.raises(FhirContentError):
            parse(json.dumps({"resourceType": name, "notInR4": 1}).encode())


def test_the_definitions_are_r4_and_not_their_publishers() -> None:
    names = {path: {element.name for element in elements_of(path)} for path in all_types()}
    assert not names["Meta"] & {"project", "author", "account", "accounts", "compartment", "onBehalfOf"}
    assert "url" not in names["Binary"]
    assert "definition[x]" in names["EvidenceVariable.characteristic"]
    assert "SubscriptionStatus" not in names


def test_a_process_start_builds_no_type() -> None:
    code = (
        "import sys, hygie.fhir.structures; m = sys.modules['hygie.fhir.r4'];"
        "assert not [n for n in vars(m) if not n.startswith('_')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
