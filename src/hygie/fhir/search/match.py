"""The exact answer: whether the values of an opened resource satisfy a searched value. Knows nothing of index terms.

Source: FHIR R4 search.html, sections on each parameter type and on prefixes. Two readings are ours: ``ge`` and ``le``
accept a partial overlap with the searched interval, and ``ap`` on a date widens it by its own length on each side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hygie.fhir.search.parameters import Leaf, Parameter
from hygie.fhir.search.terms import timing_bounds
from hygie.fhir.search.values import date_bounds, period_bounds, plain_text, reference_parts, unversioned
from hygie.fhir.types import attribute_of

Value = tuple[str, Any]  # FHIR type, value
Reader = Callable[[Any], list[Value]]
Test = Callable[[str, Any], bool]


# -- reading -------------------------------------------------------------------------------------------------------


def reader(parameter: Parameter) -> Reader:
    """A function from a typed resource to the values of a parameter."""
    leaves = parameter.leaves
    if any(leaf.truth for leaf in leaves):
        return lambda resource: [("boolean", any(value is not False for _, value in _read(leaves, resource)))]
    return lambda resource: list(_read(leaves, resource))


def _read(leaves: tuple[Leaf, ...], resource: Any) -> Iterator[Value]:
    for leaf in leaves:
        values = [resource]
        for hop in leaf.hops:
            following: list[Any] = []
            for value in values:
                held = getattr(value, hop.attribute)
                if held is not None:
                    following += [one for one in held if one is not None] if hop.many else [held]
            if hop.where is not None:
                name, literal = hop.where
                following = [one for one in following if getattr(one, attribute_of(name)) == literal]
            values = following
        for value in values:
            if not leaf.target or _points_to(value, leaf.target):
                yield leaf.type, value


def _points_to(reference: Any, target: str) -> bool:
    parts = reference_parts(reference.reference) if reference.reference else None
    return parts[1] == target if parts else reference.type == target


# -- token ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Token:
    """``system|code``: system None = any, empty = none; code None = any."""

    system: str | None
    code: str | None


def token_test(asked: Token) -> Test:
    """Codes compare with their case. A ``code`` element has one implied system, so any system asked for accepts it."""

    def pair(system: str | None, code: str | None) -> bool:
        if asked.code is not None and code != asked.code:
            return False
        return asked.system is None or (system or "") == asked.system

    def test(type_: str, value: Any) -> bool:
        if type_ == "CodeableConcept":
            return any(pair(coding.system, coding.code) for coding in value.coding or ())
        if type_ in {"Coding", "Identifier"}:
            return pair(value.system, value.code if type_ == "Coding" else value.value)
        if type_ == "ContactPoint":
            return asked.code in {None, value.value} and (not asked.system or value.system == asked.system)
        if type_ == "boolean":
            return asked.code == ("true" if value else "false")
        return bool(value == asked.code and (type_ == "code" or not asked.system))

    return test


# -- texts, references, uris ---------------------------------------------------------------------------------------


def text_test(text: str, modifier: str) -> Test:
    """Begins with (no modifier), ``contains``, or ``exact`` with case and accents."""
    if modifier == "exact":
        return lambda _, value: bool(value == text)
    plain = plain_text(text)
    if modifier == "contains":
        return lambda _, value: plain in plain_text(value)
    return lambda _, value: plain_text(value).startswith(plain)


def reference_test(accepted: frozenset[str]) -> Test:
    """A literal reference among these, whatever its version; a canonical with its version only if asked for."""

    def test(type_: str, value: Any) -> bool:
        text = value.reference if type_ == "Reference" else value
        if text is None:
            return False
        return text in accepted or (unversioned(text) if type_ == "Reference" else text.partition("|")[0]) in accepted

    return test


def uri_test(uri: str) -> Test:
    """The very same uri; a canonical also without its version."""
    return lambda type_, value: value == uri or (type_ == "canonical" and value.partition("|")[0] == uri)


_INFINITY = Decimal("Infinity")


# -- intervals -----------------------------------------------------------------------------------------------------


def date_interval(type_: str, value: Any) -> tuple[int, int] | None:
    """First and last millisecond of a value; None when a Timing says no instant."""
    if type_ == "Period":
        return period_bounds(value.start, value.end)
    if type_ == "Timing":
        return timing_bounds(value)
    return date_bounds(value)


# (first, last) of the value against (low, high) asked for, all included
_COMPARE: dict[str, Callable[[Any, Any, Any, Any], bool]] = {
    "gt": lambda _first, last, _low, high: last > high,
    "ge": lambda _first, last, low, _high: last >= low,
    "lt": lambda first, _last, low, _high: first < low,
    "le": lambda first, _last, _low, high: first <= high,
    "sa": lambda first, _last, _low, high: first > high,
    "eb": lambda _first, last, low, _high: last < low,
    "ap": lambda first, last, low, high: first <= high and last >= low,
    "eq": lambda first, last, low, high: low <= first and last <= high,
    "ne": lambda first, last, low, high: not (low <= first and last <= high),
}


def date_test(prefix: str, low: int, high: int) -> Test:
    """Compare with the searched interval low..high, milliseconds, both included."""
    compare = _COMPARE[prefix]
    if prefix == "ap":
        low, high = low - (high - low + 1), high + (high - low + 1)

    def test(type_: str, value: Any) -> bool:
        interval = date_interval(type_, value)
        return interval is not None and compare(*interval, low, high)

    return test


@dataclass(frozen=True, slots=True)
class Amount:
    """A searched number: the value, and the half-open interval its written precision implies."""

    value: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Unit:
    """``system|code`` of a quantity: system empty = any, then code may be the unit's name."""

    system: str
    code: str


def number_interval(type_: str, value: Any) -> tuple[Decimal, Decimal] | None:
    """Lowest and highest number of a value, infinite at an open end; None when it holds no number."""
    if type_ == "Range":
        low = value.low.value if value.low is not None else None
        high = value.high.value if value.high is not None else None
        ends = -_INFINITY if low is None else low, _INFINITY if high is None else high
        return ends if ends[0] <= ends[1] else (ends[1], ends[0])
    number = value if isinstance(value, Decimal | int) else value.value
    return None if number is None else (Decimal(number), Decimal(number))


def number_test(prefix: str, asked: Amount, unit: Unit | None = None) -> Test:
    """Compare with the searched number; with a unit, only quantities of that unit.

    Only eq and ne look at the written precision: eq asks for low <= value < high.
    """
    compare = _COMPARE[prefix]
    tenth = abs(asked.value) / 10
    near, far = (asked.value - tenth, asked.value + tenth) if prefix == "ap" else (asked.value, asked.value)

    def test(type_: str, value: Any) -> bool:
        interval = number_interval(type_, value)
        if interval is None or (unit is not None and not _has_unit(type_, value, unit)):
            return False
        if prefix in {"eq", "ne"}:
            return (asked.low <= interval[0] and interval[1] < asked.high) is (prefix == "eq")
        return compare(*interval, near, far)

    return test


def _has_unit(type_: str, value: Any, unit: Unit) -> bool:
    if type_ == "Money":
        return value.currency == unit.code and unit.system in {"", "urn:iso:std:iso:4217"}
    parts = (value.low, value.high) if type_ == "Range" else (value,)
    for part in parts:
        if part is None:
            continue
        if unit.system and part.system == unit.system and part.code == unit.code:
            return True
        if not unit.system and unit.code in {part.code, part.unit}:
            return True
    return False
