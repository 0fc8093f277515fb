"""From a typed resource to its index terms, patients and references, in one pass of generated code.

One function per resource type is generated at its first use from the resolved parameters: straight attribute reads and
loops, no recursion. The generated source comes from HL7's definitions alone, never from a resource or a request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

import msgspec

from hygie.fhir.primitives import PRIMITIVES
from hygie.fhir.search import terms
from hygie.fhir.search.compartment import compartment_slots
from hygie.fhir.search.errors import SearchLimitError
from hygie.fhir.search.parameters import Leaf, list_slots, parameters_of
from hygie.fhir.search.terms import BAR, MANY, PRESENT, REFERENCE, SEPARATOR, TERMS_MAX, TOKEN, URI
from hygie.fhir.search.values import reference_parts, unversioned

_FUNCTION_OF_TYPE = {
    "date": "date_terms",
    "dateTime": "date_terms",
    "instant": "date_terms",
    "Period": "period_terms",
    "Timing": "timing_terms",
    "Money": "money_terms",
    "Range": "range_terms",
}

Collect = Callable[[Any, Callable[[str], object], list[str], list[str]], None]


class Extracted(msgspec.Struct, frozen=True):
    """What the vault needs to file a resource.

    terms: distinct index terms, at most ``TERMS_MAX``; patients: logical ids of the patients it belongs to, sorted;
    references: reference strings found at indexed elements, as written.
    """

    terms: list[str]
    patients: tuple[str, ...]
    references: list[str]


def resource_type(resource: msgspec.Struct) -> str:
    """The resourceType of a typed resource."""
    tag = resource.__struct_config__.tag
    assert isinstance(tag, str), "not a resource"
    return tag


def extract(resource: msgspec.Struct, base_url: str = "") -> Extracted:
    """Index terms, patients and references of a resource.

    base_url: our own address of this environment, without a final slash; absolute references under it are ours.
    Raises: SearchLimitError: more than ``TERMS_MAX`` terms outside lists.
    """
    type_ = resource_type(resource)
    found: list[str] = []
    references: list[str] = []
    owners: list[str] = []
    _collector(type_)(resource, found.append, references, owners)
    distinct = list(dict.fromkeys(found))
    if len(distinct) > TERMS_MAX:
        distinct = _bounded(distinct, list_slots(type_))
    return Extracted(distinct, patient_ids(owners, base_url), references)


def patient_ids(references: list[str], base_url: str) -> tuple[str, ...]:
    """The ids of our own patients among reference strings, sorted, once each."""
    if not references:
        return ()
    ids = set()
    for reference in references:
        if reference.startswith("Patient/") and "/" not in (id_ := reference[8:]):
            ids.add(id_)
        elif (parts := reference_parts(reference)) and parts[1] == "Patient" and parts[0] in {"", base_url}:
            ids.add(parts[2])
    return tuple(sorted(ids))


def _bounded(found: list[str], lists: frozenset[str]) -> list[str]:
    """Replace the terms of the fullest lists by one ``MANY`` term each: candidates grow, nothing is lost.

    Raises: SearchLimitError: the bound is exceeded outside lists (hundreds of codings of one concept).
    """
    slots: dict[str, list[str]] = {}
    for term in found:
        slots.setdefault(term.partition(SEPARATOR)[0], []).append(term)
    total = len(found)
    for slot in sorted(slots.keys() & lists, key=lambda one: (-len(slots[one]), one)):
        if total <= TERMS_MAX:
            break
        total -= len(slots[slot]) - 1
        slots[slot] = [slot + SEPARATOR + MANY]
    if total > TERMS_MAX:
        raise SearchLimitError(limit="values of one resource", maximum=TERMS_MAX)
    return [term for kept in slots.values() for term in kept]


# -- generation ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    """One attribute of the tree of all paths of a resource type."""

    many: bool = False
    children: dict[str, _Node] = field(default_factory=dict)
    ends: dict[tuple[str, str], Leaf] = field(default_factory=dict)  # (kind, type) -> leaf


@cache
def _collector(type_: str) -> Collect:
    source = generate(type_)
    names = {name: getattr(terms, name) for name in {*_FUNCTION_OF_TYPE.values(), "text_terms", "number_terms"}}
    names |= {"quantity_terms": terms.quantity_terms, "unversioned": unversioned}
    exec(compile(source, f"<terms of {type_}>", "exec"), names)  # noqa: S102 (source made of HL7's definitions)
    collector: Collect = names["collect"]
    return collector


def generate(type_: str) -> str:
    """The Python source that collects the terms of one resource type."""
    root = _Node()
    truths: dict[str, list[Leaf]] = {}
    owned = compartment_slots(type_)
    for parameter in parameters_of(type_).values():
        for leaf in parameter.leaves:
            if leaf.truth:
                truths.setdefault(leaf.slot, []).append(leaf)
                continue
            node = root
            for hop in leaf.hops:
                node = node.children.setdefault(hop.attribute, _Node(hop.many))
            node.ends.setdefault((parameter.kind, leaf.type), leaf)
    lines = ["def collect(r, add, references, owners):"]
    if type_ == "Patient":
        lines += ["    if r.id is not None:", "        owners.append('Patient/' + r.id)"]
    if type_ == "Binary":  # no search parameter says whose a content is: its security context does
        lines += ["    c = r.securityContext", "    if c is not None and c.reference is not None:"]
        lines += ["        owners.append(c.reference)"]
    for slot, leaves in truths.items():
        lines += _truth_lines(slot, leaves)
    _Writer(lines, owned).node(root, "r", 1)
    return "\n".join(lines)


def _truth_lines(slot: str, leaves: list[Leaf]) -> list[str]:
    tests = []
    for leaf in leaves:
        assert len(leaf.hops) == 1, "a truth is one element of the resource"
        name = f"r.{leaf.hops[0].attribute}"
        tests.append(f"({name} is not None and {name} is not False)")
    return [f"    add({slot + SEPARATOR + TOKEN!r} + ('true' if {' or '.join(tests)} else 'false'))"]


class _Writer:
    """Writes the body of one generated function."""

    def __init__(self, lines: list[str], owned: frozenset[str]) -> None:
        self._lines = lines
        self._owned = owned
        self._names = (f"v{number}" for number in count())

    def node(self, node: _Node, variable: str, depth: int) -> None:
        """Read each attribute below ``variable``, add its terms, go down."""
        lines, pad = self._lines, "    " * depth
        for attribute, child in node.children.items():
            name, deeper = next(self._names), depth + 1
            lines.append(f"{pad}{name} = {variable}.{attribute}")
            lines.append(f"{pad}if {name} is not None:")
            start = len(lines)
            for (kind, _), leaf in child.ends.items():
                if not leaf.required and kind != "date":
                    lines.append(f"{pad}    add({present_term(leaf.slot, kind)!r})")
            if child.many:
                item = next(self._names)
                lines.append(f"{pad}    for {item} in {name}:")
                name, deeper, start = item, depth + 2, len(lines)
                if any(type_ in PRIMITIVES for _, type_ in child.ends):
                    lines.append(f"{pad}        if {item} is None:  # its value is in the sibling's extension")
                    lines.append(f"{pad}            continue")
            for (kind, type_), leaf in child.ends.items():
                lines += ["    " * deeper + line for line in _end_lines(kind, type_, leaf, name, self._owned)]
            self.node(child, name, deeper)
            if len(lines) == start:
                lines.append("    " * deeper + "pass")


def present_term(slot: str, kind: str) -> str:
    """The term that says an optional element has a value. Dates have none: their decades say it."""
    return f"{slot}{SEPARATOR}{PRESENT}{kind}"


def _end_lines(kind: str, type_: str, leaf: Leaf, v: str, owned: frozenset[str]) -> list[str]:
    prefix = leaf.slot + SEPARATOR
    if kind == "token":
        return _token_lines(type_, prefix + TOKEN, v)
    if kind == "reference" and type_ == "Reference":
        owner = ["    owners.append(s)"] if leaf.slot in owned else []
        return [
            f"s = {v}.reference",
            "if s is not None and s[0] != '#':",  # a contained resource is nobody else's
            "    references.append(s)",
            *owner,
            f"    add({prefix + REFERENCE!r} + (s if '/_history/' not in s else unversioned(s)))",
        ]
    if kind in {"reference", "uri"}:
        head = prefix + (REFERENCE if kind == "reference" else URI)
        return [f"add({head!r} + {v}.partition('|')[0])" if type_ == "canonical" else f"add({head!r} + {v})"]
    function = "text_terms" if kind == "string" else _FUNCTION_OF_TYPE.get(type_)
    function = function or ("number_terms" if kind == "number" else "quantity_terms")
    return [f"{function}({prefix!r}, {v}, add)"]


def _token_lines(type_: str, head: str, v: str) -> list[str]:
    if type_ == "CodeableConcept":
        return [
            f"if {v}.coding is not None:",
            f"    for c in {v}.coding:",
            *("        " + line for line in _pair_lines(head, "c", "code")),
        ]
    if type_ in {"Coding", "Identifier"}:
        return _pair_lines(head, v, "code" if type_ == "Coding" else "value")
    if type_ == "ContactPoint":
        return [f"if {v}.value is not None:", f"    add({head!r} + {v}.value)"]
    if type_ == "boolean":
        return [f"add({head + 'true'!r} if {v} else {head + 'false'!r})"]
    if type_ in {"uri", "string"}:
        return [f"add({head!r} + {v}.replace('|', {BAR!r}))"]
    return [f"add({head!r} + {v})"]


def _pair_lines(head: str, v: str, attribute: str) -> list[str]:
    return [
        f"s = {v}.{attribute}",
        "if s is not None:",
        "    if '|' in s:",
        f"        s = s.replace('|', {BAR!r})",
        f"    add({head!r} + s)",
        f"    add({head!r} + ({v}.system or '') + '|' + s)",
    ]
