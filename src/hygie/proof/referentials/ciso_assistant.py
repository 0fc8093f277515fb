"""Libraries of CISO Assistant, YAML: frameworks, reference controls, threats, mapping sets, their translations.

Older files hold one ``framework`` and one ``requirement_mapping_set`` as dictionaries and call reference controls
``security_functions``; newer ones hold lists, and plural names. URNs are compared in lower case, as that software does.
Source: the format's public documentation, and files that it publishes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hygie.proof.model import Text, same
from hygie.proof.referentials import fields
from hygie.proof.referentials.documents import Record
from hygie.proof.referentials.model import (
    Crosswalk,
    Expected,
    ImplementationGroup,
    Kind,
    Link,
    Mode,
    Referential,
    Relation,
    Requirement,
)
from hygie.proof.referentials.tree import Placed, accept, ordered, slug

STRENGTH_MAX = 10
_FRAMEWORKS = ("framework", "frameworks")
_CROSSWALKS = ("requirement_mapping_set", "requirement_mapping_sets")
_CONTROLS = ("reference_controls", "security_functions")
_UNRELATED = "not_related"
_TAKEN = {*_FRAMEWORKS, *_CROSSWALKS, *_CONTROLS, "threats"}
_TITLES = {
    "reference_controls": Text("Mesures de référence", "Reference controls"),
    "threats": Text("Menaces", "Threats"),
}


@dataclass(slots=True)
class _Reading:
    """What one library gave so far. left_out: kind of object → how many were not taken."""

    locale: str
    placed: list[Placed] = field(default_factory=list)
    groups: dict[str, ImplementationGroup] = field(default_factory=dict)
    crosswalks: list[Crosswalk] = field(default_factory=list)
    languages: dict[str, None] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def said(self, record: Record, name: str) -> Text:
        """A text in both languages; the languages of the file are noted."""
        self.languages.update(dict.fromkeys(fields.one(record, "translations")))
        return fields.bilingual(record, name, self.locale)

    def miss(self, what: str, count: int = 1) -> None:
        """Count something that is not taken."""
        self.left_out[what] = self.left_out.get(what, 0) + count

    def add(self, node: Requirement, line: int) -> None:
        """One node more."""
        self.placed.append(Placed(node, line))
        self.lines[node.id] = line


def is_library(document: Record) -> bool:
    """Whether a document looks like a library."""
    return "objects" in document and "urn" in document


def read_library(library: Record) -> tuple[Referential, dict[str, int]]:
    """The référentiel of a library, and what was left out of it (kind of object → how many).

    Its name is the last part of the library's URN, its version the library's. A library of several frameworks has a
    heading for each; reference controls and threats stand under headings of their own.

    Raises: ReferentialRefusedError: with the line and the URN.
    """
    urn = fields.text(library, "urn", needed=True).lower()
    version = fields.integer(library, "version")
    if not version:
        raise fields.wrong(library, "version", fr="version absente ou inconnue", en="missing or unknown version")
    reading = _Reading(fields.text(library, "locale").lower()[:2] or "en")
    reading.languages[reading.locale] = None
    objects = list(fields.records(library, "objects"))
    _read_frameworks(reading, objects)
    _read_extras(reading, objects, _CONTROLS, "reference_controls", Kind.CONTROL)
    _read_extras(reading, objects, ("threats",), "threats", Kind.THREAT)
    reading.crosswalks += [_crosswalk(reading, each) for each in _each(objects, _CROSSWALKS)]
    for name, held in (pair for part in objects for pair in part.items()):
        if name not in _TAKEN and held:
            reading.miss(name, len(held) if isinstance(held, list) else 1)
    if not reading.placed and not reading.crosswalks:
        raise fields.wrong(
            library,
            "objects",
            fr="ni exigence, ni mesure, ni menace, ni correspondance",
            en="no requirement, control, threat or mapping",
        )
    referential = Referential(
        name=slug(urn.rpartition(":")[2]),
        version=str(version),
        title=reading.said(library, "name") if library.get("name") else same(fields.text(library, "ref_id")),
        origin="ciso-assistant",
        nodes=ordered(reading.placed),
        summary=reading.said(library, "description"),
        publisher=fields.text(library, "provider") or fields.text(library, "packager"),
        rights=fields.text(library, "copyright"),
        urn=urn,
        published_on=fields.day(library, "publication_date"),
        languages=tuple(reading.languages),
        groups=tuple(reading.groups.values()),
        crosswalks=tuple(reading.crosswalks),
        depends_on=tuple(each.lower() for each in fields.texts(library, "dependencies")),
    )
    return accept(referential, reading.lines), reading.left_out


def _each(objects: Sequence[Record], names: Sequence[str]) -> Iterator[Record]:
    """The objects of some names, old and new, wherever they stand."""
    for part in objects:
        for name in names:
            yield from fields.records(part, name)


def _read_frameworks(reading: _Reading, objects: Sequence[Record]) -> None:
    frameworks = list(_each(objects, _FRAMEWORKS))
    for framework in frameworks:
        urn = fields.text(framework, "urn", needed=True).lower()
        top = urn if len(frameworks) > 1 else ""
        if top:
            title = reading.said(framework, "name")
            ref = fields.text(framework, "ref_id")
            heading = Requirement(top, Kind.GROUP, title, ref=ref, summary=reading.said(framework, "description"))
            reading.add(heading, framework.line)
        for group in fields.records(framework, "implementation_groups_definition"):
            choice = ImplementationGroup(
                fields.text(group, "ref_id", needed=True),
                reading.said(group, "name"),
                reading.said(group, "description"),
                chosen=fields.flag(group, "default_selected"),
            )
            if reading.groups.setdefault(choice.id, choice) != choice:
                raise fields.wrong(group, "ref_id", fr="groupe en double", en="the same group twice")
        for name in ("requirement_nodes", "requirements"):
            for node in fields.records(framework, name):
                reading.add(_requirement(reading, node, framework=urn, top=top), node.line)


def _requirement(reading: _Reading, node: Record, *, framework: str, top: str) -> Requirement:
    parent = fields.text(node, "parent_urn").lower()
    assessable = fields.flag(node, "assessable")
    evidence = reading.said(node, "typical_evidence")
    questions = node.get("questions") or node.get("question")
    if questions:
        reading.miss("questions", len(questions) if isinstance(questions, list | dict) else 1)
    groups = fields.texts(node, "implementation_groups")
    known = tuple(group for group in groups if group in reading.groups)
    if len(known) < len(groups):
        reading.miss("undefined_groups", len(groups) - len(known))
    return Requirement(
        id=fields.text(node, "urn", needed=True).lower(),
        kind=Kind.REQUIREMENT if assessable else Kind.GROUP,
        title=reading.said(node, "name"),
        parent=top if parent in {"", framework} else parent,
        ref=fields.text(node, "ref_id"),
        summary=reading.said(node, "description"),
        note=reading.said(node, "annotation"),
        assessable=assessable,
        links=tuple(_related(node)),
        evidence=(Expected(evidence, Mode.HUMAN),) if evidence.en else (),
        groups=known,
    )


def _related(node: Record) -> Iterator[Link]:
    for name in (*_CONTROLS, "threats"):
        for urn in fields.texts(node, name):
            yield Link(Relation.RELATED, urn.lower())


def _read_extras(reading: _Reading, objects: Sequence[Record], names: Sequence[str], heading: str, kind: Kind) -> None:
    """Reference controls and threats, under a heading."""
    for each in _each(objects, names):
        if heading not in reading.lines:
            reading.add(Requirement(heading, Kind.GROUP, _TITLES[heading]), each.line)
        nature = fields.text(each, "category")
        node = Requirement(
            id=fields.text(each, "urn", needed=True).lower(),
            kind=kind,
            title=reading.said(each, "name"),
            parent=heading,
            ref=fields.text(each, "ref_id"),
            summary=reading.said(each, "description"),
            note=reading.said(each, "annotation"),
            natures=(nature,) if nature else (),
        )
        reading.add(node, each.line)


def _crosswalk(reading: _Reading, record: Record) -> Crosswalk:
    urn = fields.text(record, "urn", needed=True).lower()
    if urn in reading.lines:
        raise fields.wrong(record, "urn", fr="identifiant en double", en="the same id twice")
    reading.lines[urn] = record.line
    return Crosswalk(
        id=urn,
        source=fields.text(record, "source_framework_urn", needed=True).lower(),
        target=fields.text(record, "target_framework_urn", needed=True).lower(),
        links=tuple(_mappings(reading, record)),
        title=reading.said(record, "name"),
    )


def _mappings(reading: _Reading, crosswalk: Record) -> Iterator[Link]:
    for record in fields.records(crosswalk, "requirement_mappings"):
        if fields.text(record, "relationship").lower() == _UNRELATED:
            reading.miss("not_related")
        else:
            yield _mapping(record)


def _mapping(record: Record) -> Link:
    relation = fields.text(record, "relationship", needed=True).lower()
    if relation not in {"equal", "subset", "superset", "intersect"}:
        raise fields.wrong(record, "relationship", fr="relation inconnue", en="unknown relation")
    strength = fields.integer(record, "strength_of_relationship")
    if strength is not None and strength > STRENGTH_MAX:
        raise fields.wrong(record, "strength_of_relationship", fr="de 0 à 10", en="0 to 10")
    why = (fields.text(record, "rationale"), fields.text(record, "annotation"))
    return Link(
        Relation(relation),
        target=fields.text(record, "target_requirement_urn", needed=True).lower(),
        source=fields.text(record, "source_requirement_urn", needed=True).lower(),
        rationale=" · ".join(each for each in why if each),
        strength=strength,
    )
