"""FHIR R4 resources, validated at parse speed: JSON text → compiled Struct → the same JSON text.

::

    parsed = parse(raw)                    # FhirStructureError, or everything below holds
    parsed.resource.birthDate              # typed attributes, decimals exact (1.50 stays 1.50)
    parsed.encoded                         # the canonical body: {"resourceType":"Patient","id":"…","meta":{…},…}

How it is fast, and why nothing slips through (docs/adr/0005-compiled-fhir-types.md): the decoder of msgspec checks
types, cardinalities, names, patterns and codes in C; the Struct is encoded again; if nothing was lost or bent, text
and encoding have the same length once white space is out.  Any cheap sign of a difference takes the exact, slow
comparison, which also names the member.  So the common case pays passes in C and no walk in Python.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from hygie.fhir.errors import FhirContentError, FhirJsonError, FhirLimitError, FhirStructureError
from hygie.fhir.json_exact import compare, spaced_member
from hygie.fhir.json_limits import bare_length, check_depth, clean, has_sign
from hygie.fhir.translate import translate
from hygie.fhir.types import resource_types, struct_of

__all__ = ["FhirStructureError", "Parsed", "encode", "parse", "parse_clean", "resource_types"]

_HEAD = b'{"resourceType":"'
_HOLDERS = frozenset({"Bundle", "Parameters"})  # resources that hold others elsewhere than in ``contained``
_TYPE_NAME_BYTES_MAX = 65  # longer than any name and its quote
_LOOSE_HEAD = re.compile(rb'\s*\{\s*"resourceType"\s*:\s*"([A-Za-z]{1,64})"')
_encode = msgspec.json.Encoder(decimal_format="number").encode


class _Tag(Struct):
    """Only the type of a resource whose ``resourceType`` does not come first."""

    resourceType: str = ""  # noqa: N815 (FHIR's own name)


class Parsed(Struct, frozen=True):
    """A valid resource and its canonical text.

    type: e.g. ``Patient``; resource: the Struct; encoded: compact JSON, ``resourceType`` first, then ``id``, ``meta``.
    """

    type: str
    resource: Any
    encoded: bytes

    def __repr__(self) -> str:
        return f"<Parsed {self.type}>"


def parse(raw: bytes, *, expected: str | None = None) -> Parsed:
    """Validate one resource as it came from a caller.

    Args: raw: UTF-8 JSON, already bounded in size; expected: the type that the caller named in the address.
    Raises: FhirJsonError: not JSON that can be kept; FhirLimitError: depth, digits; FhirContentError: not R4.
    Side effects: none; the type's Struct is built on its first use (some ms).
    """
    return parse_clean(clean(raw), expected=expected)


def parse_clean(text: bytes, *, expected: str | None = None) -> Parsed:
    """``parse`` for a text that went through ``json_limits.clean`` (the entries of a Bundle went with it)."""
    check_depth(text)
    type_name = _type_of(text, expected, "")
    resource = _decode(text, type_name, type_name)
    encoded = _encode(resource)
    check_kept(text, encoded, type_name)
    return Parsed(type_name, resource, encoded)


def check_kept(text: bytes, encoded: bytes, type_name: str) -> None:
    """Check that the encoding says what the clean text said, and nothing that FHIR forbids.

    Raises: FhirJsonError: a member written twice; FhirContentError: a string for a number, an empty object, white space
    in a code or address; FhirLimitError: a number too long.
    """
    if (len(text) != len(encoded) and bare_length(text) != bare_length(encoded)) or has_sign(encoded):
        compare(text, encoded, type_name)
    if b"\\" in encoded and (member := spaced_member(encoded)) is not None:
        raise FhirContentError("form", f"{type_name}.{member}")


def encode(resource: Struct) -> bytes:
    """The canonical text of a resource: compact, ``resourceType``, ``id``, ``meta`` first, then definition order."""
    return _encode(resource)


def decode_envelope(text: bytes, type_name: str) -> Any:
    """The Struct of a resource whose inner resources stay ``msgspec.Raw``; not yet compared with its text.

    Raises: as ``parse``.
    """
    return _decode_shell(text, _type_of(text, type_name, ""), type_name)


def _decode(text: bytes | Raw, type_name: str, where: str) -> Any:
    """The Struct of a resource, with the resources it holds typed in place."""
    resource = _decode_shell(text, type_name, where)
    if type_name in _HOLDERS or getattr(resource, "contained", None) is not None:
        _type_inner(resource, type_name, where)
    return resource


def _decode_shell(text: bytes | Raw, type_name: str, where: str) -> Any:
    try:
        return _decoder(type_name).decode(text)
    except msgspec.ValidationError as error:
        raise translate(error, where) from None
    except UnicodeDecodeError:
        raise FhirJsonError("encoding", where) from None
    except msgspec.DecodeError:
        raise FhirJsonError("json") from None
    except RecursionError:
        raise FhirLimitError("depth") from None


@cache
def _decoder(type_name: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(struct_of(type_name))


def _type_of(text: bytes | Raw, expected: str | None, where: str) -> str:
    """The name of a known resource type, as the text says it.

    Raises: FhirContentError: absent, unknown, or not the one expected.
    """
    if isinstance(text, bytes) and text.startswith(_HEAD):
        named = text[len(_HEAD) : text.find(b'"', len(_HEAD), len(_HEAD) + _TYPE_NAME_BYTES_MAX)]
        type_name = _type_names().get(named, "")
    elif (match := _LOOSE_HEAD.match(text)) is not None:
        type_name = _type_names().get(match[1], "")
    else:
        type_name = _slow_type_of(text, where)
    if not type_name or (expected is not None and type_name != expected):
        raise FhirContentError("resource-type", where or expected or "")
    return type_name


@cache
def _type_names() -> dict[bytes, str]:
    return {name.encode(): name for name in resource_types()}


def _slow_type_of(text: bytes | Raw, where: str) -> str:
    try:
        return _type_names().get(_tag_decoder.decode(text).resourceType.encode("utf-8", "replace"), "")
    except msgspec.ValidationError:
        return ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise FhirJsonError("json", where) from None
    except RecursionError:
        raise FhirLimitError("depth", where) from None


_tag_decoder = msgspec.json.Decoder(_Tag)


def _type_inner(resource: Any, type_name: str, where: str) -> None:
    """Type the resources that another one holds; the decoder left them as text."""
    contained = getattr(resource, "contained", None)
    if contained is not None:
        resource.contained = [
            _inner(raw, f"{where}.contained[{index}]", contained=True) for index, raw in enumerate(contained)
        ]
    if type_name == "Bundle":
        for index, entry in enumerate(resource.entry or ()):
            inside = f"{where}.entry[{index}]"
            if entry.resource is not None:
                entry.resource = _inner(entry.resource, f"{inside}.resource")
            if entry.response is not None and entry.response.outcome is not None:
                entry.response.outcome = _inner(entry.response.outcome, f"{inside}.response.outcome")
    elif type_name == "Parameters":
        _type_parameters(resource.parameter, f"{where}.parameter")


def _type_parameters(parameters: list[Any] | None, where: str) -> None:
    for index, parameter in enumerate(parameters or ()):
        if parameter.resource is not None:
            parameter.resource = _inner(parameter.resource, f"{where}[{index}].resource")
        _type_parameters(parameter.part, f"{where}[{index}].part")


def _inner(raw: Raw, where: str, *, contained: bool = False) -> Any:
    resource = _decode(raw, _type_of(raw, None, where), where)
    if contained and getattr(resource, "contained", None) is not None:
        raise FhirContentError("contained", where)
    return resource
