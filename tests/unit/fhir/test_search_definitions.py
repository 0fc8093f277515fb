"""Every R4 search parameter is served, or is on the short list below with its reason."""

from __future__ import annotations

import pytest

from hygie.fhir.search import search_parameters_of
from hygie.fhir.search.definitions import compartment_parameters, definitions_of
from hygie.fhir.search.errors import UnknownSearchTypeError
from hygie.fhir.search.extraction import generate
from hygie.fhir.search.parameters import all_parameters_of, parameters_of
from hygie.fhir.search.path import PathNotUnderstoodError, Step, parse
from hygie.fhir.types import resource_types

TYPES = sorted(resource_types())

NOT_SERVED = {
    "*._text": "no expression: full text",
    "*._content": "no expression: full text",
    "*._query": "no expression: named queries",
    "Bundle.composition": "refers to the resource itself inside the bundle, not to a reference",
    "Bundle.message": "refers to the resource itself inside the bundle, not to a reference",
    "DeviceDefinition.classification": "not an element of R4: the package carries a later version's parameter",
    "Location.near": "special: distances",
}
# SampledData is a curve: its origin and limits are not values of the observation
HALF_SERVED = {"Observation.value-quantity", "Observation.component-value-quantity", "Observation.combo-value-quantity"}


def test_every_parameter_is_served_or_listed_with_a_reason() -> None:
    lost, partial = set(), set()
    for type_ in TYPES:
        for code, parameter in all_parameters_of(type_).items():
            name = f"*.{code}" if code in {"_text", "_content", "_query"} else f"{type_}.{code}"
            if parameter.kind == "composite":
                assert not parameter.leaves
            elif not parameter.leaves:
                lost.add(name)
            elif parameter.unserved:
                partial.add(name)
    assert lost == NOT_SERVED.keys()
    assert partial == HALF_SERVED


def test_every_resource_type_compiles() -> None:
    for type_ in TYPES:
        compile(generate(type_), type_, "exec")


def test_the_distillate_holds_what_hl7_published() -> None:
    definition = definitions_of("Observation")["patient"]
    assert definition.expression == "Observation.subject.where(resolve() is Patient)"
    assert definition.kind == "reference"
    assert "Patient" in definition.targets
    assert definition.url == "http://hl7.org/fhir/SearchParameter/clinical-patient"
    assert definitions_of("Account")["_id"].expression == "Account.id"
    assert compartment_parameters("Observation") == ("performer", "subject")
    assert sum(len(definitions_of(type_)) for type_ in TYPES) > 2500


def test_the_capability_list_names_only_what_works() -> None:
    names = {name: kind for name, kind, _ in search_parameters_of("Observation")}
    assert names["code"] == "token"
    assert names["_lastUpdated"] == "date"
    assert "code-value-quantity" not in names
    assert "_text" not in names
    assert names.keys() - {"_id", "_lastUpdated"} == parameters_of("Observation").keys()


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(UnknownSearchTypeError):
        search_parameters_of("Patients")


def test_paths_are_parsed_to_steps() -> None:
    assert [path.steps for path in parse("(Observation.value as Quantity) | Observation.value.as(Range)")] == [
        (Step("value", as_type="Quantity"),),
        (Step("value", as_type="Range"),),
    ]
    assert parse("Patient.telecom.where(system='email')")[0].steps == (Step("telecom", where=("system", "email")),)
    assert parse("Task.for.where(resolve() is Patient)")[0].steps == (Step("for", target="Patient"),)
    assert parse("Patient.deceased.exists() and Patient.deceased != false")[0].truth


@pytest.mark.parametrize(
    "expression",
    [
        "Bundle.entry[0].resource",
        "Patient.name.trace()",
        "Patient.deceased.exists()",
        "Patient.deceased.exists() and Patient.active != false",
        "Patient.name | ",
        "Patient.name)",
        "Patient.name @",
        "(Patient as Patient)",
    ],
)
def test_a_path_outside_the_subset_is_refused(expression: str) -> None:
    with pytest.raises(PathNotUnderstoodError):
        parse(expression)
