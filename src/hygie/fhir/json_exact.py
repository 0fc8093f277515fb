"""The exact comparison of a JSON text with what was understood of it: slow (Python), run only on a cheap sign.

It names the member at fault: written twice, a string where a number stands, empty, ``null`` without its sibling, a
number too large.  What it accepts is equal to the text as FHIR understands it: same members, numbers equal as decimals.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from hygie.fhir.errors import FhirContentError, FhirJsonError, FhirLimitError
from hygie.fhir.json_limits import DIGITS_MAX
from hygie.fhir.types import all_types, choice_member, elements_of


class _Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


class _Twice:
    """The mark left by a member written twice."""

    __slots__ = ()


_TWICE = _Twice()


def compare(raw: bytes, encoded: bytes, root: str) -> None:
    """Check that ``encoded`` says exactly what ``raw`` said.

    Args: root: the resource type, first part of the expressions.
    Raises: FhirJsonError, FhirContentError, FhirLimitError with the expression of the first difference.
    """
    _compare(_load(raw), _load(encoded), root)


def _load(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=_members, parse_float=_Number, parse_int=_Number, parse_constant=_Number)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        members[name] = _TWICE if name in members else value
    return members


def _compare(said: Any, kept: Any, where: str) -> None:
    if said is _TWICE:
        raise FhirJsonError("duplicate", where)
    if isinstance(said, dict) and isinstance(kept, dict):
        _compare_objects(said, kept, where)
    elif isinstance(said, list) and isinstance(kept, list) and len(said) == len(kept):
        for index, (one, other) in enumerate(zip(said, kept, strict=True)):
            _compare(one, other, f"{where}[{index}]")
    elif isinstance(said, _Number):
        _compare_numbers(said, kept, where)
    elif isinstance(kept, _Number):
        raise FhirContentError("number", where)
    elif type(said) is not type(kept) or said != kept:
        raise FhirContentError("type", where)


def _compare_objects(said: dict[str, Any], kept: dict[str, Any], where: str) -> None:
    if not said:
        raise FhirContentError("empty", where)
    for name, value in said.items():
        inside = f"{where}.{name.removeprefix('_')}"
        if name not in kept:  # first for a member written twice, whose name the definitions know
            raise FhirJsonError("duplicate" if value is _TWICE else "null", inside)
        _compare(value, kept[name], inside)
    if len(said) != len(kept):
        raise FhirContentError("resource-type", where)  # the decoder supplied a tag that was not written


def _compare_numbers(said: _Number, kept: Any, where: str) -> None:
    if not isinstance(kept, _Number):
        raise FhirContentError("type", where)
    try:
        number = Decimal(said)
    except InvalidOperation:
        raise FhirLimitError("digits", where) from None
    sign_digits_exponent = number.as_tuple()
    exponent = sign_digits_exponent.exponent
    if not isinstance(exponent, int) or abs(exponent) > DIGITS_MAX or len(sign_digits_exponent.digits) > DIGITS_MAX:
        raise FhirLimitError("digits", where)
    if number != Decimal(kept):
        raise FhirContentError("type", where)


def spaced_member(encoded: bytes) -> str | None:
    """The name of a member that may hold no tab nor line end (codes, addresses, ids) and holds one; None if none does.

    Their patterns look for blanks only; here the others stand out, because the encoder writes them as escapes.
    """
    if _SPACE_ESCAPE.search(encoded) is None:
        return None
    for match in _SPACED.finditer(encoded):
        name = match[1].decode()
        if name in _spaceless_members():
            return name
    return None


_SPACE_ESCAPE = re.compile(rb"\\[nrt]")
_SPACED = re.compile(rb'"([A-Za-z]+)":\[?"(?:[^"\\]|\\[^nrt])*\\[nrt]')


@cache
def _spaceless_members() -> frozenset[str]:
    """Names that are always a code, an address or an id in R4, choices expanded."""
    spaceless: set[str] = set()
    spaced: set[str] = set()
    for path in all_types():
        for element in elements_of(path):
            for type_name in element.types:
                choice = element.name.endswith("[x]")
                name = choice_member(element.name, type_name) if choice else element.name
                (spaceless if type_name in {"uri", "uri.plain", "url", "canonical", "code"} else spaced).add(name)
    return frozenset(spaceless - spaced)
