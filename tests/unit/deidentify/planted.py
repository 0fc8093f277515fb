"""A resource of any R4 type with an unmistakable value in every field, made from the compiled structures."""

from __future__ import annotations

import base64
from typing import Any

from hygie.fhir.primitives import PRIMITIVES
from hygie.fhir.types import Element, choice_member, elements_of
from hygie.fhir.types import _codes as closed_codes

MARK = "Zqmark"
DAY, TIME, WHOLE, EXACT = "1953-07-19", "04:53:27", 918273645, 9182736.45
# What must be nowhere in a copy, whatever the field it stood in.
NEEDLES = (
    MARK,
    MARK.lower(),
    MARK.upper(),
    DAY,
    TIME,
    str(WHOLE),
    str(EXACT),
    base64.b64encode(MARK.encode()).decode(),
)
DEPTH_MAX = 5
_TEXTS: dict[str, Any] = {
    "base64Binary": base64.b64encode(MARK.encode()).decode(),
    "boolean": True,
    "date": DAY,
    "dateTime": f"{DAY}T{TIME}.123+02:00",
    "decimal": EXACT,
    "instant": f"{DAY}T{TIME}.123+02:00",
    "integer": WHOLE,
    "oid": "urn:oid:2.999.918273645",
    "positiveInt": WHOLE,
    "time": TIME,
    "unsignedInt": WHOLE,
    "xhtml": f'<div xmlns="http://www.w3.org/1999/xhtml">{MARK}</div>',
}
_TEXTS["uuid"] = "urn:uuid:91827364-5aaa-4bbb-8ccc-dddddddddddd"
_URIS = {"uri", "uri.plain", "url", "canonical"}


def planted(type_: str, variant: int = 0) -> dict[str, Any]:
    """A valid resource with every element filled. Args: variant: which type of each choice, in turn."""
    body = {"resourceType": type_, **_filled(type_, variant, 0)}
    body.pop("implicitRules", None)
    return body


def choices(type_: str) -> int:
    """How many variants show every type of every choice of a resource, at its first level."""
    return max([len(one.types) for one in elements_of(type_) if one.name.endswith("[x]")], default=1)


def _filled(path: str, variant: int, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for element in elements_of(path):
        type_name = element.types[variant % len(element.types)]
        name = choice_member(element.name, type_name) if element.name.endswith("[x]") else element.name
        value = _value(path, element, type_name, variant, depth)
        if value is None:
            continue
        made[name] = [value] if element.max == 0 else value
        if type_name in PRIMITIVES and not type_name.endswith(".plain") and type_name != "xhtml":
            sibling = {"extension": [_extension()]}
            made[f"_{name}"] = [sibling] if element.max == 0 else sibling
    return made


def _value(path: str, element: Element, type_name: str, variant: int, depth: int) -> Any:
    if type_name == "Extension":
        return _extension()
    if type_name == "Resource":
        return {"resourceType": "Basic", "id": "inner", "code": {"text": MARK}} if element.name == "contained" else None
    if type_name in PRIMITIVES:
        return _primitive(element, type_name)
    if depth >= DEPTH_MAX and not element.min:
        return None
    if (path, element.name) in {("Reference", "identifier"), ("Identifier", "assigner")} and depth > 2:
        return None
    made = _filled(type_name, variant, depth + 1)
    if type_name == "Reference":
        made["reference"] = f"Practitioner/{MARK}"
        made["type"] = "Practitioner"
    return made


def _primitive(element: Element, type_name: str) -> Any:
    if element.codes:
        return closed_codes()[element.codes][0]
    if type_name in _TEXTS:
        return _TEXTS[type_name]
    return f"urn:{MARK}" if type_name in _URIS else MARK


def _extension() -> dict[str, Any]:
    return {"url": f"urn:{MARK}", "valueString": MARK}
