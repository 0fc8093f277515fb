"""From the decoder's words to FHIR's: which problem, and where. Values and unknown names of any other shape stay out."""

from __future__ import annotations

import re

import msgspec

from hygie.fhir.errors import FhirContentError

_UNKNOWN = re.compile(r"Object contains unknown field `([A-Za-z_]{1,64})`")
_MISSING = re.compile(r"Object missing required field `([A-Za-z_]{1,64})`")
_OURS = re.compile(r"(required|choice)\|([A-Za-z]+(?:\[x\])?)")
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
    if text.startswith("Invalid enum value"):
        return "code"
    if "matching regex" in text:
        return "form"
    if "got `null`" in text:
        return "null"
    if "`array` of length" in text:
        return "empty"
    if "of length" in text:
        return "length"
    if "<=" in text or ">=" in text or "out of range" in text:
        return "range"
    if text.startswith("Invalid decimal"):
        return "number"
    return "type"
