"""The words of référentiels: requirement, link, crosswalk, implementation group, référentiel. Pure.

A référentiel says what is asked; it holds no verdict. Links between référentiels are kept as their editors wrote them
and never make anything conform: a verdict comes from checks and evidence alone.
Source: docs/formats/referential.md v1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property

from hygie.proof.errors import RequirementUnknownError
from hygie.proof.model import Text
from hygie.proof.referentials.encoding import canonical_json

NOTHING = Text("", "")
NODE_MARK = "#"


class Kind(StrEnum):
    """What a node is: a heading, something asked, a measure that answers, a threat."""

    GROUP = "group"
    REQUIREMENT = "requirement"
    CONTROL = "control"
    THREAT = "threat"


class Standing(StrEnum):
    """What an obligation rests on: the words of a text, a treatment of risk, our own promise; or whom it concerns."""

    LITERAL = "literal"
    DERIVED = "derived"
    PROMISE = "promise"
    SCOPE = "scope"


class Relation(StrEnum):
    """How the source of a link stands to its target.

    basis: the target is the text it rests on; required: the target must hold as well; replaced: the target took its
    place; related: an editor says that they go together.
    """

    EQUAL = "equal"
    SUBSET = "subset"
    SUPERSET = "superset"
    INTERSECT = "intersect"
    RELATED = "related"
    BASIS = "basis"
    REQUIRED = "required"
    REPLACED = "replaced"


class Mode(StrEnum):
    """Who gathers a piece of evidence: the platform, a person, or both."""

    MACHINE = "machine"
    HUMAN = "human"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Link:
    """From one node to another.

    target: ``name@version#node``, ``#node`` in the same référentiel, or the URN of a node that is held nowhere here.
    source: only in a crosswalk, likewise; empty: the node that holds the link. strength: 0 to 10, by its editor.
    """

    relation: Relation
    target: str
    source: str = ""
    rationale: str = ""
    strength: int | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """A piece of evidence that would show a requirement met. max_age_days: older than this it shows nothing; None: it
    does not age, or nobody said. nodes: the sub-items it speaks of; empty: the whole requirement."""

    what: Text
    mode: Mode
    max_age_days: int | None = None
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """One node of the tree.

    parent: id of the node above, empty at the top. ref: how its publisher writes it, when this is not the id.
    activities: those of CSP R.1111-9, 1 to 6, that it applies to; empty: those of its parent, or not said; condition:
    when it bites. natures: organisational, technical, contractual, transparency; the main one first. locator: where in
    the publisher's text. references: legal or other texts that are held nowhere here. groups: implementation groups.
    """

    id: str
    kind: Kind
    title: Text = NOTHING
    parent: str = ""
    ref: str = ""
    summary: Text = NOTHING
    note: Text = NOTHING
    assessable: bool = False
    status: Standing | None = None
    activities: tuple[int, ...] = ()
    condition: Text = NOTHING
    natures: tuple[str, ...] = ()
    locator: str = ""
    references: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    evidence: tuple[Expected, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How people write it."""
        return self.ref or self.id


@dataclass(frozen=True, slots=True)
class ImplementationGroup:
    """A named choice of requirements (a level, a profile). chosen: by default."""

    id: str
    title: Text
    summary: Text = NOTHING
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Crosswalk:
    """A set of links between two référentiels. source, target: their URNs, as its editor wrote them."""

    id: str
    source: str
    target: str
    links: tuple[Link, ...]
    title: Text = NOTHING


@dataclass(frozen=True)
class Referential:
    """One version of one référentiel. It never changes: another content is another version.

    nodes: each after its parent, sisters in their order. origin: the format it came from; urn: what its publisher calls
    it. effective_until: the last day, None while it holds. languages: those its texts exist in; a text that lacks one
    repeats the other. depends_on: URNs of what it refers to.
    """

    name: str
    version: str
    title: Text
    origin: str
    nodes: tuple[Requirement, ...] = ()
    summary: Text = NOTHING
    publisher: str = ""
    source: str = ""
    rights: str = ""
    urn: str = ""
    published_on: date | None = None
    effective_from: date | None = None
    effective_until: date | None = None
    languages: tuple[str, ...] = ()
    groups: tuple[ImplementationGroup, ...] = ()
    crosswalks: tuple[Crosswalk, ...] = ()
    depends_on: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(canonical_json(self)).hexdigest()

    @cached_property
    def _by_id(self) -> dict[str, Requirement]:
        return {one.id: one for one in self.nodes}

    def __contains__(self, node: object) -> bool:
        return node in self._by_id

    def node(self, node: str) -> Requirement:
        """The node of that id.

        Raises: RequirementUnknownError.
        """
        found = self._by_id.get(node)
        if found is None:
            raise RequirementUnknownError(referential=self.id, id=node)
        return found

    def children(self, node: str) -> tuple[Requirement, ...]:
        """The nodes right under one, in order; those at the top for an empty id."""
        return tuple(one for one in self.nodes if one.parent == node)

    def activities_of(self, node: str) -> tuple[int, ...]:
        """The activities a node applies to: its own, or those of the nearest node above that names some."""
        one = self.node(node)
        while not one.activities and one.parent:
            one = self.node(one.parent)
        return one.activities

    def walk(self) -> Iterator[tuple[int, Requirement]]:
        """Each node with its depth, 0 at the top, in order."""
        depths: dict[str, int] = {}
        for one in self.nodes:
            depths[one.id] = depths[one.parent] + 1 if one.parent else 0
            yield depths[one.id], one
