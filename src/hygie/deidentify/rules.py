"""The allow-list of a de-identified copy, read from ``rules.toml`` and held to the compiled FHIR R4 structures. Pure.

Source: docs/formats/deidentification.md v1.  A *plan* says of one type which members leave, and how each is changed.
No rule can keep a text: ``keep`` is for booleans and codes of a closed list; every other word makes something else of
what it is given.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final

import msgspec

from hygie.deidentify.errors import RulesBrokenError
from hygie.fhir.types import Element, all_types, choice_member, elements_of, resource_types

FORMAT = "hygie de-identification 1"


class Way(StrEnum):
    """What becomes of one value: a rule's word, and the type it stands on."""

    KEEP = "keep"
    SHIFT = "shift"
    SHIFT_PERIOD = "shift-period"
    ALIAS_REFERENCE = "reference"
    ALIAS_IDENTIFIER = "identifier"
    ALIAS_TEXT = "text"
    ROUND = "round"
    ROUND_QUANTITY = "quantity"
    CODING = "coding"
    CONCEPT = "concept"
    BIRTH = "birth"
    SEX = "sex"
    DEPARTMENT = "department"
    NAME = "name"
    INS = "ins"
    RPPS = "rpps"
    DOCUMENT = "document"
    INSIDE = "inside"


class _System(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    parents: tuple[int, ...] = ()
    never: frozenset[str] = frozenset()


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: str
    made: str = msgspec.field(name="as", default="")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    systems: dict[str, _System]
    types: dict[str, dict[str, _Rule | str]]


@dataclass(frozen=True, slots=True)
class System:
    """A code system whose codes may leave. form: of a code; parents: lengths of its generalisations, longest first."""

    form: re.Pattern[str]
    parents: tuple[int, ...]
    never: frozenset[str]

    def parent(self, code: str) -> str | None:
        """The next generalisation of a code; None: there is none."""
        return next((code[:length] for length in self.parents if length < len(code)), None)


@dataclass(frozen=True, slots=True)
class Member:
    """One member that leaves. many: it repeats; plan: of what is inside it."""

    name: str
    many: bool
    way: Way
    plan: Plan | None = None


@dataclass(slots=True)
class Plan:
    """One type: its members by name; required: groups of names of which one must be there, or the value is dropped."""

    path: str
    members: dict[str, Member] = field(default_factory=dict)
    required: list[tuple[str, ...]] = field(default_factory=list)

    def rows(self, where: str = "") -> list[list[str]]:
        """Every field that leaves, with what it becomes, for people."""
        found: list[list[str]] = []
        for name, member in self.members.items():
            path = f"{where or self.path}.{name}"
            found += member.plan.rows(path) if member.plan is not None else [[path, member.way.value]]
        return found


@dataclass(frozen=True, slots=True)
class Rules:
    """plans: by resource type that may be copied; systems: by address."""

    plans: Mapping[str, Plan]
    systems: Mapping[str, System]


_MADE: Final = {"name": "HumanName", "ins": "Identifier", "rpps": "Identifier", "document": "Attachment"}
_NUMBERS: Final = frozenset({"integer", "positiveInt", "unsignedInt", "decimal"})
_QUANTITIES: Final = frozenset({"Quantity", "Age", "Duration", "Count", "Distance"})
_PSEUDONYMS: Final = {"Reference": Way.ALIAS_REFERENCE, "Identifier": Way.ALIAS_IDENTIFIER, "string": Way.ALIAS_TEXT}
_GENERALISED: Final = {"CodeableConcept": Way.CONCEPT, "Coding": Way.CODING, "Address": Way.DEPARTMENT}


@cache
def shipped_rules() -> Rules:
    """The rules of this version of Hygie. Raises: RulesBrokenError."""
    return read_rules((resources.files("hygie.deidentify") / "rules.toml").read_text("utf-8"))


def read_rules(text: str) -> Rules:
    """Rules from TOML.

    Raises: RulesBrokenError: not of the format, a path that R4 has not, a word that its type does not take, a rule that
    nothing reaches, or a resource that could never be valid again.
    """
    try:
        found = msgspec.convert(tomllib.loads(text), _File)
        systems = {
            name: System(re.compile(one.code, re.ASCII), one.parents, one.never) for name, one in found.systems.items()
        }
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, re.error) as error:
        raise RulesBrokenError(where="rules.toml", reason=str(error)) from error
    if found.format != FORMAT:
        raise RulesBrokenError(where="rules.toml", reason="format")
    known = set(all_types())
    for path in found.types:
        if path not in known:
            raise RulesBrokenError(where=path, reason="no such type")
    plans: dict[str, Plan] = {}
    for path in found.types:
        if path in resource_types():
            _plan(path, found.types, plans)
    for path in found.types.keys() - plans.keys():
        raise RulesBrokenError(where=path, reason="nothing reaches it")
    return Rules({path: plan for path, plan in plans.items() if path in resource_types()}, systems)


def _plan(path: str, types: Mapping[str, Mapping[str, _Rule | str]], made: dict[str, Plan]) -> Plan:
    if path in made:
        return made[path]
    plan = made[path] = Plan(path)
    rules = dict(types[path])
    for element in elements_of(path):
        names = _members(element)
        for name, type_name in names:
            rule = rules.pop(name, None)
            if rule is None or rule == "drop":
                continue
            given = _Rule(rule) if isinstance(rule, str) else rule
            way = _way(f"{path}.{name}", given, element, type_name)
            inner = None
            if way is Way.INSIDE:
                if type_name not in types:
                    raise RulesBrokenError(where=f"{path}.{name}", reason="its type has no rules")
                inner = _plan(type_name, types, made)
            plan.members[name] = Member(name, element.max == 0, way, inner)
        if element.min:
            kept = tuple(name for name, _ in names if name in plan.members)
            if not kept:
                raise RulesBrokenError(where=f"{path}.{element.name}", reason="required, and dropped")
            plan.required.append(kept)
    for name in rules:
        raise RulesBrokenError(where=f"{path}.{name}", reason="no such element")
    return plan


def _members(element: Element) -> list[tuple[str, str]]:
    """The JSON members of an element, with their types."""
    if element.name.endswith("[x]"):
        return [(choice_member(element.name, one), one) for one in element.types]
    return [(element.name, element.types[0])]


def _way(where: str, given: _Rule, element: Element, type_name: str) -> Way:
    """What a word does to a type. Raises: RulesBrokenError: nothing that de-identifies."""
    found: Way | None = None
    if given.rule == "keep" and (type_name == "boolean" or element.codes):
        found = Way.KEEP
    elif given.rule == "date-shift":
        found = {"date": Way.SHIFT, "dateTime": Way.SHIFT, "instant": Way.SHIFT, "Period": Way.SHIFT_PERIOD}.get(
            type_name
        )
    elif given.rule == "pseudonym":
        found = _PSEUDONYMS.get(type_name)
    elif given.rule == "generalise":
        found = _generalised(where, type_name)
    elif given.rule == "synthetic" and _MADE.get(given.made) == type_name:
        found = Way(given.made)
    elif given.rule == "inside" and type_name[0].isupper():
        found = Way.INSIDE
    if found is None or (given.made and given.rule != "synthetic"):
        raise RulesBrokenError(where=where, reason=f"{given.rule} does not apply to {type_name}")
    return found


def _generalised(where: str, type_name: str) -> Way | None:
    if where == "Patient.birthDate":
        return Way.BIRTH
    if where == "Patient.gender":
        return Way.SEX
    if type_name in _NUMBERS:
        return Way.ROUND
    return Way.ROUND_QUANTITY if type_name in _QUANTITIES else _GENERALISED.get(type_name)
