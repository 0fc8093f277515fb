"""Terms and exact filter agree for every parameter of every type, on resources that a machine made up.

Whatever ``parse`` accepts must be indexed and searched: a value that one of them did not expect is a resource that
cannot be stored, or a search that fails for everybody.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from hygie.base.errors import HygieError
from hygie.fhir.errors import FhirStructureError
from hygie.fhir.search import compile_query, extract
from hygie.fhir.search.parameters import parameters_of
from hygie.fhir.structures import parse
from hygie.fhir.types import PRIMITIVES, Element, _codes, choice_member, elements_of, resource_types

BASE = "https://h"
EACH = 3  # resources of one type: five seconds in all
EXTENSION = {"extension": [{"url": "http://e", "valueString": "x"}]}
DATES = ["2024", "2024-02-29", "0001-01-01", "9999-12-31", "1899-12-31", "2100"]
VALUES: dict[str, list[Any]] = {
    "base64Binary": ["YQ=="],
    "boolean": [True, False],
    "canonical": ["http://x/a|1", "urn:uuid:x", "#c", "http://x/a|", "a|b|c", "http://x"],
    "code": ["a", "a b", "|", "é"],
    "date": DATES,
    "dateTime": [*DATES, "2024-02-29T23:59:60Z", "9999-12-31T23:59:59-14:00", "2024-01-01T00:00:00.123456789012+05:30"],
    "decimal": [0, 1.5, -2, 1e-9, 123456789.123, 100],
    "id": ["A.b-1"],
    "instant": ["2024-02-29T23:59:60.0000000001Z", "0001-01-01T00:00:00+14:00"],
    "integer": [0, -1, 2**31 - 1],
    "oid": ["urn:oid:1.2.3"],
    "positiveInt": [1],
    "string": ["a", "http://x|a", "|a", "Éa", "ﬁne ß", "İ", " ", "œuvre d’art", "x" * 300],
    "time": ["10:00:00"],
    "unsignedInt": [0],
    "uri": ["a", "http://x|a", "http://x", "|a", "#"],
    "url": ["http://y"],
    "uuid": ["urn:uuid:00000000-0000-4000-8000-000000000000"],
    "xhtml": ['<div xmlns="http://www.w3.org/1999/xhtml">x</div>'],
}
VALUES["markdown"] = VALUES["string"]
REFERENCES = [
    "Patient/1",
    "Patient/1/_history/2",
    f"{BASE}/Patient/1",
    "https://o/Patient/1",
    "#c",
    "urn:uuid:x",
    "Group/2",
]
ASKED = {
    "token": ["a", "|a", "http://x|a", r"http://x\|a", "a|", "true", "é", "http://x|"],
    "string": ["Éa", "e", "fi", "oe", "œu", " ", "x" * 30, "|a"],
    "reference": [
        "Patient/1",
        "1",
        f"{BASE}/Patient/1",
        "https://o/Patient/1",
        "urn:uuid:x",
        "Group/2",
        "http://x/a|1",
    ],
    "uri": ["http://x", "http://x/a", "http://x/a|1", "a|b", "#", "urn:oid:1.2"],
    "date": [p + d for p in ("", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap") for d in DATES],
    "number": [p + n for p in ("", "ne", "gt", "ge", "lt", "le", "ap") for n in ("0", "1.5", "-2", "1e2")],
    "quantity": [p + n for p in ("", "ne", "gt", "lt", "ap") for n in ("0", "1.5||a", "-2", "100|http://x|a")],
}
MODIFIED = [("missing", "true"), ("missing", "false"), ("not", "a"), ("contains", "e"), ("exact", "Éa")]
SKIPPED = {"id", "extension", "modifierExtension", "contained", "implicitRules", "language", "text"}


class Maker:
    """Makes up valid resources, always the same ones."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def make(self, path: str, depth: int = 0) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for element in elements_of(path):
            likely = 1.0 if element.min else (0.6, 0.5, 0.25, 0.25)[depth] if depth < 4 else 0.02
            if element.name not in SKIPPED and self.random.random() <= likely:
                self._add(made, element, depth)
        return made

    def _add(self, made: dict[str, Any], element: Element, depth: int) -> None:
        type_ = self.random.choice(element.types)
        name = choice_member(element.name, type_) if element.name.endswith("[x]") else element.name
        values = [self._value(type_, element.codes, depth) for _ in range(self.random.choice((1, 1, 2)))]
        if type_ not in PRIMITIVES:
            values = [value or EXTENSION for value in values]
        elif type_ != "xhtml" and self.random.random() < 0.05:  # a value that only an extension stands for
            made["_" + name] = [None, EXTENSION] if element.max == 0 else EXTENSION
            if element.max == 0:
                made[name] = [values[0], None]
            return
        made[name] = values if element.max == 0 else values[0]

    def _value(self, type_: str, codes: str | None, depth: int) -> Any:
        plain = type_.partition(".plain")[0]
        if codes and plain in VALUES:
            return self.random.choice(_codes()[codes])
        if plain in VALUES:
            return self.random.choice(VALUES[plain])
        if plain == "Reference":
            return self.random.choice([{"reference": self.random.choice(REFERENCES)}, {"type": "Patient"}])
        if plain == "Resource":
            return {"resourceType": "Basic", "code": {"text": "x"}}
        return EXTENSION["extension"][0] if plain == "Extension" else self.make(plain, depth + 1)


@pytest.mark.parametrize("type_", sorted(resource_types()))
def test_every_parameter_agrees_with_its_terms(type_: str) -> None:
    maker = Maker(type_)
    parsed = []
    while len(parsed) < EACH:
        try:
            parsed.append(parse(json.dumps({"resourceType": type_, **maker.make(type_)}).encode()))
        except FhirStructureError:
            continue  # a required element stands in another way than made here
    for one in parsed:
        terms = set(extract(one.resource, BASE).terms)
        for code, parameter in parameters_of(type_).items():
            asked = [("", maker.random.choice(ASKED[parameter.kind])) for _ in range(4)]
            for modifier, value in [*asked, *MODIFIED]:
                name = f"{code}:{modifier}" if modifier else code
                try:
                    query = compile_query(type_, [(name, value)], BASE)
                except HygieError:
                    continue
                candidate = all(terms.intersection(clause) for clause in query.clauses)
                exact = query.matches(one.resource, type_)
                assert candidate or not exact, (name, value, one.encoded)
                assert not query.precise or candidate == exact, (name, value, one.encoded)
            for asked_for in (("_sort", code), ("_sort", f"-{code}"), ("_include", f"{type_}:{code}")):
                try:
                    query = compile_query(type_, [asked_for], BASE)
                except HygieError:
                    continue
                query.included(one.resource) if query.includes else query.sort_key(one.resource)


def test_what_the_machine_found(finds: Any) -> None:
    """Answers that were wrong, in words."""
    about: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    group = about | {"subject": {"reference": "Group/2"}}
    assert finds(group, "subject=Group/2")
    assert not finds(group, "patient=Group/2")
    # an identifier must not pass for one of another system
    forged = {"resourceType": "Patient", "identifier": [{"value": "urn:oid:1.2.250|1850"}]}
    assert not finds(forged, "identifier=urn:oid:1.2.250|1850")
    assert not finds(forged, "identifier=|1850")
    assert finds(forged, r"identifier=urn:oid:1.2.250\|1850")
    concepts = {"resourceType": "ConceptMap", "status": "draft", "sourceUri": "http://x"}
    assert finds(concepts, "source-uri=http://x")
    assert not finds(concepts, "source:missing=false")
    events = about | {"effectiveTiming": {"event": [None, "2024-01-01"], "_event": [EXTENSION, None]}}
    assert finds(events, "date=2024")
