"""What an event must at least say for a rule to speak of it: by this an event meets only the rules that it may match.

Pure, and careful: what is read here may be less than what a rule asks, never more.  A value that is told is one of a
plain list (``action: [object:read, object:search]``); all the rest (wildcards, modifiers, ``not``) asks for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from hygie.watch.conditions import All, Condition, Name, Not, One
from hygie.watch.events import Fields
from hygie.watch.matching import folded, is_plain

Needs = Mapping[str, frozenset[str]]  # field → the folded values of which it must have one
NOTHING: Needs = {}


def needs_of_selection(selection: object) -> Needs:
    """Of one search identifier that :func:`hygie.watch.matching.compile_selection` took."""
    if isinstance(selection, Mapping):
        return _both([_needs_of_field(str(key), value) for key, value in selection.items()])
    if not isinstance(selection, Sequence) or not all(isinstance(one, Mapping) for one in selection):
        return NOTHING  # words, in whatever field
    return either([needs_of_selection(one) for one in selection])


def needs_of_condition(condition: Condition, selections: Mapping[str, Needs]) -> Needs:
    """Of what a condition says of its selections."""
    match condition:
        case Name(name):
            return selections[name]
        case Not():
            return NOTHING
        case All(parts):
            return _both([needs_of_condition(part, selections) for part in parts])
        case One(parts):
            return either([needs_of_condition(part, selections) for part in parts])


def _needs_of_field(key: str, value: object) -> Needs:
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if "|" in key or not all(is_plain(one) for one in values):
        return NOTHING
    return {key: frozenset(folded(one) for one in values)}


def _both(parts: Sequence[Needs]) -> Needs:
    found: dict[str, frozenset[str]] = {}
    for part in parts:
        for name, values in part.items():
            found[name] = found[name] & values if name in found else values
    return found


def either(parts: Sequence[Needs]) -> Needs:
    """Of parts of which one holds."""
    first, *rest = parts
    names = [name for name in first if all(name in one for one in rest)]
    return {name: frozenset[str]().union(*(one[name] for one in parts)) for name in names}


class Needy(Protocol):
    """What has needs."""

    @property
    def needs(self) -> Needs:
        """What an event must at least say."""


T = TypeVar("T", bound=Needy)


class Index(Generic[T]):
    """Rules of one source, in their order, found by the value of the field that most of them ask for."""

    def __init__(self, rules: Sequence[T]) -> None:
        asked = Counter(name for one in rules for name in one.needs)
        self._field = max(asked, key=lambda name: asked[name], default="")
        values = {value for one in rules for value in one.needs.get(self._field, ())}
        self._others = tuple(one for one in rules if self._field not in one.needs)
        self._by_value = {
            value: tuple(one for one in rules if value in one.needs.get(self._field, (value,))) for value in values
        }

    def of(self, fields: Fields) -> tuple[T, ...]:
        """Those that an event may match, in their order."""
        value = fields.get(self._field)
        return self._others if value is None else self._by_value.get(folded(value), self._others)
