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
        if type_ == "Coding":
            return pair(value.system, value.code)
        if type_ == "Identifier":
            return pair(value.system, value.value)
        if asked.code is None:
            return type_ == "ContactPoint" and value.system == asked.system
        if type_ == "ContactPoint":
            return bool(value.value == asked.code and (not asked.system or value.system == asked.system))
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


# -- intervals -----------------------------------------------------------------------------------------------------


def date_interval(type_: str, value: Any) -> tuple[int, int] | None:
    """First and last millisecond of a value; None when a Timing says no instant."""
    if type_ == "Period":
        return period_bounds(value.start, value.end)
    if type_ == "Timing":
        return timing_bounds(value)
    return date_bounds(value)


def date_test(prefix: str, low: int, high: int) -> Test:
    """Compare with the searched interval low..high, milliseconds, both included."""

    def test(type_: str, value: Any) -> bool:
        interval = date_interval(type_, value)
        if interval is None:
            return False
        first, last = interval
        if prefix in {"eq", "ne"}:
            return (low <= first and last <= high) is (prefix == "eq")
        if prefix == "gt":
            return last > high
        if prefix == "ge":
            return last >= low
        if prefix == "lt":
            return first < low
        if prefix == "le":
            return first <= high
        if prefix == "sa":
            return first > high
        if prefix == "eb":
            return last < low
        width = high - low + 1
        return first <= high + width and last >= low - width

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


def number_interval(type_: str, value: Any) -> tuple[Decimal | None, Decimal | None] | None:
    """Lowest and highest number of a value, None for an open end; None when it holds no number."""
    if type_ == "Range":
        low = value.low.value if value.low is not None else None
        high = value.high.value if value.high is not None else None
        return low, high
    number = value if isinstance(value, Decimal | int) else value.value
    return None if number is None else (Decimal(number), Decimal(number))


def number_test(prefix: str, asked: Amount, unit: Unit | None = None) -> Test:
    """Compare with the searched number; with a unit, only quantities of that unit."""
    tenth = abs(asked.value) / 10

    def test(type_: str, value: Any) -> bool:
        interval = number_interval(type_, value)
        if interval is None or (unit is not None and not _has_unit(type_, value, unit)):
            return False
        low, high = interval
        if prefix in {"eq", "ne"}:
            within = low is not None and high is not None and asked.low <= low and high < asked.high
            return within is (prefix == "eq")
        if prefix == "gt":
            return high is None or high > asked.value
        if prefix == "ge":
            return high is None or high >= asked.value
        if prefix == "lt":
            return low is None or low < asked.value
        if prefix == "le":
            return low is None or low <= asked.value
        if prefix == "sa":
            return low is not None and low > asked.value
        if prefix == "eb":
            return high is not None and high < asked.value
        return (low is None or low <= asked.value + tenth) and (high is None or high >= asked.value - tenth)

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
