"""The distillate of the R4 search parameters and of the Patient compartment. Source: ``parameters.json`` beside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from hygie.fhir.search.errors import UnknownSearchTypeError
from hygie.fhir.types import resource_types

_FILE = Path(__file__).with_name("parameters.json")

# Parameters of every resource that are answered by a column or by the id, not by index terms.
BY_COLUMN = frozenset({"_id", "_lastUpdated"})


class _Distillate(msgspec.Struct):
    targets: list[list[str]]
    parameters: dict[str, dict[str, tuple[str, str, int, str]]]
    patient_compartment: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Definition:
    """One search parameter of one resource type, as HL7 published it.

    kind: token, string, reference, date, quantity, number, uri, composite or special;
    expression: FHIRPath for this type alone, empty when HL7 gives none; targets: types a reference may point to.
    """

    type: str
    code: str
    kind: str
    expression: str
    targets: tuple[str, ...]
    url: str


@cache
def _distillate() -> _Distillate:
    return msgspec.json.decode(_FILE.read_bytes(), type=_Distillate)


@cache
def definitions_of(type_: str) -> dict[str, Definition]:
    """All search parameters of a resource type, those of every resource included.

    Raises: UnknownSearchTypeError.
    """
    if type_ not in resource_types():
        raise UnknownSearchTypeError
    facts = _distillate()
    found: dict[str, Definition] = {}
    for base in ("Resource", "DomainResource", type_):
        for code, (kind, published, goals, url) in facts.parameters.get(base, {}).items():
            path = published.partition(".")[2]
            expression = f"{type_}.{path}" if base != type_ and path else published
            found[code] = Definition(type_, code, kind, expression, tuple(facts.targets[goals]), url)
    return found


@cache
def compartment_parameters(type_: str) -> tuple[str, ...]:
    """The parameters through which a resource of this type belongs to a patient."""
    return tuple(_distillate().patient_compartment.get(type_, ()))
