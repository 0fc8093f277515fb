"""Search parameters resolved on the R4 structures: which typed attributes of a resource each one reads.

A parameter becomes leaves, one per typed element; a choice element gives one leaf for each of its types that the
parameter's kind can search. What cannot be resolved is kept with its reason (``Parameter.unserved``), never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from hygie.fhir.search.definitions import BY_COLUMN, Definition, definitions_of
from hygie.fhir.search.path import Path as Alternative
from hygie.fhir.search.path import PathNotUnderstoodError, Step, parse
from hygie.fhir.types import attribute_of, choice_member, elements_of

_QUANTITIES = {"Quantity", "Age", "Duration", "Count", "Distance"}
SEARCHED_TYPES: dict[str, set[str]] = {
    "token": {"CodeableConcept", "Coding", "Identifier", "ContactPoint", "boolean", "code", "id", "string", "uri"},
    "string": {"string", "markdown", "HumanName", "Address"},
    "reference": {"Reference", "canonical", "uri"},
    "uri": {"uri", "url", "canonical", "oid", "uuid"},
    "date": {"date", "dateTime", "instant", "Period", "Timing"},
    "number": {"integer", "positiveInt", "unsignedInt", "decimal", "Range"},
    "quantity": {*_QUANTITIES, "Money", "Range"},
}
# A text parameter on a name or an address searches these parts of it (FHIR R4 search.html, string).
PARTS = {
    "HumanName": ("family", "given", "prefix", "suffix", "text"),
    "Address": ("line", "city", "district", "state", "postalCode", "country", "text"),
}


@dataclass(frozen=True, slots=True)
class Hop:
    """One attribute on the way: its name in Python, whether it is a list, what its values must satisfy."""

    attribute: str
    many: bool
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One typed element a parameter reads.

    slot: path of the element without choice types nor conditions, shared by the parameters that read it;
    required: the element is in every valid resource of its type; target: keep only references to this type.
    """

    slot: str
    hops: tuple[Hop, ...]
    type: str
    required: bool
    target: str = ""
    truth: bool = False

    @property
    def conditional(self) -> bool:
        """Whether only some values of the element belong to the parameter."""
        return bool(self.target) or any(hop.where for hop in self.hops)

    @property
    def many(self) -> bool:
        """Whether a resource may hold several values here."""
        return any(hop.many for hop in self.hops)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter of a resource type, ready to be extracted and asked for."""

    definition: Definition
    leaves: tuple[Leaf, ...]
    unserved: tuple[str, ...] = field(default=())

    @property
    def code(self) -> str:
        """Its name in a URL."""
        return self.definition.code

    @property
    def kind(self) -> str:
        """token, string, reference, uri, date, number or quantity."""
        return self.definition.kind

    @property
    def slots(self) -> tuple[str, ...]:
        """The distinct slots of its leaves, in order."""
        return tuple(dict.fromkeys(leaf.slot for leaf in self.leaves))


@dataclass(frozen=True, slots=True)
class _Element:
    types: tuple[str, ...]
    required: bool
    many: bool
    choice: bool


@cache
def _elements(type_: str) -> dict[str, _Element]:
    try:
        rows = elements_of(type_)
    except KeyError:  # a primitive has no elements
        return {}
    found = {}
    for row in rows:
        plain = tuple(one.partition(".plain")[0] for one in row.types)
        choice = row.name.endswith("[x]")
        found[row.name.removesuffix("[x]")] = _Element(plain, bool(row.min), row.max != 1, choice)
    return found


@cache
def all_parameters_of(type_: str) -> dict[str, Parameter]:
    """Every parameter of a resource type except those answered by columns, served or not.

    Raises: UnknownSearchTypeError.
    """
    return {code: _resolve(definition) for code, definition in definitions_of(type_).items() if code not in BY_COLUMN}


@cache
def parameters_of(type_: str) -> dict[str, Parameter]:
    """The parameters of a resource type that work. Raises: UnknownSearchTypeError."""
    return {code: parameter for code, parameter in all_parameters_of(type_).items() if parameter.leaves}


@cache
def list_slots(type_: str) -> frozenset[str]:
    """The slots where a resource may hold any number of values. Raises: UnknownSearchTypeError."""
    leaves = (leaf for parameter in parameters_of(type_).values() for leaf in parameter.leaves)
    return frozenset(leaf.slot for leaf in leaves if leaf.many)


@cache
def shares_terms(type_: str, code: str) -> bool:
    """Whether terms of a parameter's slots also come from types that it does not read (a uri beside a canonical)."""
    parameter = parameters_of(type_)[code]
    own = {(leaf.slot, leaf.type) for leaf in parameter.leaves}
    of_kind = (leaf for one in parameters_of(type_).values() if one.kind == parameter.kind for leaf in one.leaves)
    return any(leaf.slot in parameter.slots and (leaf.slot, leaf.type) not in own for leaf in of_kind)


def _resolve(definition: Definition) -> Parameter:
    searched = SEARCHED_TYPES.get(definition.kind)
    if searched is None:
        return Parameter(definition, (), (f"kind {definition.kind}",))
    if not definition.expression:
        return Parameter(definition, (), ("no expression",))
    try:
        alternatives = parse(definition.expression)
    except PathNotUnderstoodError:
        return Parameter(definition, (), ("expression",))
    leaves: list[Leaf] = []
    unserved: list[str] = []
    for alternative in alternatives:
        found, lost = _walk(definition.type, alternative, definition.kind)
        leaves += found
        unserved += lost
    return Parameter(definition, tuple(dict.fromkeys(leaves)), tuple(unserved))


def _walk(type_: str, alternative: Alternative, kind: str) -> tuple[list[Leaf], list[str]]:
    """Leaves of one alternative, and the names of its typed ends that this kind cannot search."""
    states: list[tuple[str, tuple[Hop, ...], str, bool]] = [(type_, (), type_, True)]  # type, hops, slot, required
    narrowed = False
    for step in alternative.steps:
        following: list[tuple[str, tuple[Hop, ...], str, bool]] = []
        narrowed = bool(step.as_type)
        for at, hops, slot, required in states:
            element = _elements(at).get(step.name)
            if element is None:
                continue
            for one, hop in _typed(element, step):
                following.append((one, (*hops, hop), f"{slot}.{step.name}", required and element.required))
        if not following:
            return [], [f"{type_}: {step.name}"]
        states = following
    target = alternative.steps[-1].target
    leaves: list[Leaf] = []
    lost: list[str] = []
    for one, hops, slot, required in states:
        if alternative.truth:
            leaves.append(Leaf(slot, hops, one, required=True, truth=True))
        elif one not in SEARCHED_TYPES[kind]:
            lost.append(f"{slot} as {one}")
        else:
            leaves += _parts(Leaf(slot, hops, one, required, target), kind)
    if leaves and not narrowed:
        lost = []  # an open choice: the types this kind does not speak of are not meant
    return leaves, lost


def _typed(element: _Element, step: Step) -> list[tuple[str, Hop]]:
    found = []
    for one in element.types:
        if step.as_type and element.choice and one != step.as_type:
            continue
        name = choice_member(step.name, one) if element.choice else step.name
        found.append((one, Hop(attribute_of(name), element.many, step.where)))
    return found


def _parts(leaf: Leaf, kind: str) -> list[Leaf]:
    if kind != "string" or leaf.type not in PARTS:
        return [leaf]
    parts = []
    for name in PARTS[leaf.type]:
        hop = Hop(name, _elements(leaf.type)[name].many)
        parts.append(Leaf(f"{leaf.slot}.{name}", (*leaf.hops, hop), "string", required=False))
    return parts
