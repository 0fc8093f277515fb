"""From the decoder's words to FHIR's: which problem, and where. Values stay out, and names not shaped like names."""

from __future__ import annotations

import re

import msgspec

from hygie.fhir.errors import FhirContentError

_UNKNOWN = re.compile(r"Object contains unknown field `([A-Za-z_]{1,64})`")
_MISSING = re.compile(r"Object missing required field `([A-Za-z_]{1,64})`")
_OURS = re.compile(r"(required|choice|null)\|([A-Za-z]+(?:\[[0-9x]+\])?)")
_PATH = re.compile(r" - at `\$?([A-Za-z0-9_.\[\]]*)`\Z")


def translate(error: msgspec.ValidationError, root: str) -> FhirContentError:
    """A refusal with its FHIRPath expression, from the decoder's message.

    Args: root: the expression of the resource that was decoded, e.g. ``Patient`` or ``Observation.contained[0]``.
    """
    text = str(error)
    place = _PATH.search(text)
    where = root + (place[1].replace("._", ".") if place else "")
    if where.endswith(".resourceType"):
        return FhirContentError("resource-type", where.removesuffix(".resourceType"))
    if match := _OURS.match(text):
        return FhirContentError(match[1], f"{where}.{match[2].removesuffix('[x]')}")
    if text.startswith("Object contains unknown field"):
        named = _UNKNOWN.match(text)
        return FhirContentError("unknown", f"{where}.{named[1]}" if named else where)
    if match := _MISSING.match(text):
        return FhirContentError("required", f"{where}.{match[1].removeprefix('_')}")
    return FhirContentError(_problem(text), where)


def _problem(text: str) -> str:
    return next((problem for words, problem in _WORDS if words.search(text)), "type")


_WORDS = tuple(
    (re.compile(words), problem)
    for words, problem in (
        (r"\AInvalid enum value", "code"),
        (r"\AInvalid decimal", "number"),
        (r"\AExpected `str` matching regex", "form"),
        (r"got `null`", "null"),
        (r"\AExpected `array` of length", "empty"),
        (r"\AExpected `str` of length", "length"),
        (r"[<>]= |out of range", "range"),
    )
)
