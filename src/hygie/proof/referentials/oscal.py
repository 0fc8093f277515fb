"""Catalogs of OSCAL 1.1 and 1.2 (JSON, or the same members in YAML): groups, controls, parts, parameters, links.

A group is a heading; a control is something asked, whose statement is its summary; the items of a statement are nodes
under it, and controls inside a control as well. Parameters are written in brackets, by value, choices or label.
Source: NIST OSCAL, catalog model 1.1.2 and 1.2.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hygie.proof.model import same
from hygie.proof.referentials import fields
from hygie.proof.referentials.documents import Record
from hygie.proof.referentials.model import NODE_MARK, Kind, Link, Referential, Relation, Requirement
from hygie.proof.referentials.tree import Placed, accept, ordered, slug

INSERTS_MAX = 8  # parameters inside a parameter's choices: published catalogues have one level
PARAM_CHARS_MAX = 5_000  # words that stand for a parameter: some hundreds in published catalogues
VERSION_CHARS_MAX = 40

_VERSIONS = re.compile(r"1\.[12]\.\d+([-+].+)?")
_INSERT = re.compile(r"\{\{\s*insert:\s*param,\s*([^\s{}]+)\s*\}\}")
_RELATIONS = {
    "related": Relation.RELATED,
    "required": Relation.REQUIRED,
    "incorporated-into": Relation.REPLACED,
    "moved-to": Relation.REPLACED,
}
_STATEMENT, _ITEM, _GUIDANCE = "statement", "item", "guidance"


@dataclass(slots=True)
class _Reading:
    """What one catalog gave so far.

    params: id → the words that stand for it; resources: uuid → title; statements: id of a statement → its control.
    """

    params: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    statements: dict[str, str] = field(default_factory=dict)
    placed: list[Placed] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    unnamed: int = 0

    def miss(self, what: str) -> None:
        """Count something that is not taken."""
        self.left_out[what] = self.left_out.get(what, 0) + 1

    def name(self, record: Record) -> str:
        """The id of a group or of an item, or one made of its rank when it has none."""
        found = fields.text(record, "id")
        if not found:
            self.unnamed += 1
            found = f"unnamed-{self.unnamed}"
        return found

    def prose(self, record: Record) -> str:
        """The text of a part with the words of its parameters in it. Raises: ReferentialRefusedError."""
        name = "prose"
        said = fields.text(record, name)
        for _ in range(INSERTS_MAX):
            written = _INSERT.sub(lambda found: f"[{self.params.get(found[1], found[1])}]", said)
            if written == said:
                return said
            if len(written) > fields.TEXT_CHARS_MAX:
                raise fields.wrong(
                    record, name, fr="texte trop long, paramètres compris", en="text too long, parameters included"
                )
            said = written
        raise fields.wrong(record, name, fr="paramètres en cercle", en="cyclic parameters")


def is_catalog(document: Record) -> bool:
    """Whether a document looks like a catalog."""
    return isinstance(document.get("catalog"), Record)


def read_catalog(document: Record) -> tuple[Referential, dict[str, int]]:
    """The référentiel of a catalog, and what was left out of it (kind of part → how many).

    Its name comes from the catalog's title, its version from the catalog's own.

    Raises: ReferentialRefusedError: with the id.
    """
    catalog = fields.one(document, "catalog")
    metadata = fields.one(catalog, "metadata")
    schema = fields.text(metadata, "oscal-version", needed=True)
    if not _VERSIONS.fullmatch(schema):
        raise fields.wrong(
            metadata, "oscal-version", fr="version inconnue (1.1 ou 1.2)", en="unknown version (1.1 or 1.2)"
        )
    uuid = fields.text(catalog, "uuid", needed=True).lower()
    title = fields.text(metadata, "title", needed=True)
    version = fields.text(metadata, "version", needed=True)
    fields.day(metadata, "last-modified")
    reading = _Reading()
    for resource in fields.records(fields.one(catalog, "back-matter"), "resources"):
        key = fields.text(resource, "uuid", needed=True).lower()
        reading.resources[key] = fields.text(resource, "title") or fields.text(fields.one(resource, "citation"), "text")
    for record in _with_params(catalog):
        reading.params |= {fields.text(one, "id", needed=True): _param(one) for one in fields.records(record, "params")}
    _read_below(reading, catalog, "")
    if not reading.placed:
        raise fields.wrong(catalog, "controls", fr="aucune mesure", en="no control")
    nodes = _with_links_that_lead(reading, ordered(reading.placed))
    referential = Referential(
        name=slug(title),
        version=re.sub(r"[^0-9A-Za-z._+-]+", "-", version).strip("-._+")[:VERSION_CHARS_MAX],
        title=same(title),
        origin=f"oscal {schema}",
        nodes=nodes,
        publisher=_publisher(metadata),
        urn=f"urn:uuid:{uuid}",
        published_on=fields.day(metadata, "published"),
        languages=(fields.text(metadata, "language").lower()[:2] or "en",),
    )
    return accept(referential, {one.node.id: one.line for one in reading.placed}), reading.left_out


def _with_params(record: Record) -> Iterator[Record]:
    """The catalog, its groups, its controls, whatever their depth: each may hold parameters."""
    waiting = [record]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += [*fields.records(one, "groups"), *fields.records(one, "controls")]


def _param(param: Record) -> str:
    """The words that stand for a parameter: its values, else its choices, else its label, else its id."""
    values = fields.texts(param, "values")
    select = fields.one(param, "select")
    choices = fields.texts(select, "choice")
    said = " ; ".join(values) or " | ".join(choices) or fields.text(param, "label") or fields.text(param, "id")
    if len(said) > PARAM_CHARS_MAX:
        raise fields.wrong(param, "select", fr="paramètre trop long", en="parameter too long")
    return said


def _read_below(reading: _Reading, record: Record, parent: str) -> None:
    for group in fields.records(record, "groups"):
        name = reading.name(group)
        parts = {fields.text(part, "name"): part for part in fields.records(group, "parts")}
        said = reading.prose(parts["overview"]) if "overview" in parts else ""
        reading.placed.append(
            Placed(
                Requirement(
                    id=name, kind=Kind.GROUP, title=same(fields.text(group, "title")), parent=parent, summary=same(said)
                ),
                group.line,
            )
        )
        _read_below(reading, group, name)
    for control in fields.records(record, "controls"):
        _read_control(reading, control, parent)
        _read_below(reading, control, fields.text(control, "id"))


def _read_control(reading: _Reading, control: Record, parent: str) -> None:
    name = fields.text(control, "id", needed=True)
    props: dict[str, str] = {}
    for prop in fields.records(control, "props"):
        props.setdefault(fields.text(prop, "name"), fields.text(prop, "value"))  # the first label is the usual one
    summary, guidance, items = "", "", []
    for part in fields.records(control, "parts"):
        kind = fields.text(part, "name")
        if kind == _STATEMENT:
            reading.statements[fields.text(part, "id")] = name
            summary = f"{summary}\n{reading.prose(part)}".strip()
            items += list(fields.records(part, "parts"))
        elif kind == _GUIDANCE:
            guidance = f"{guidance}\n{reading.prose(part)}".strip()
        else:
            reading.miss(kind or "part")
    links, references = _links(reading, control)
    withdrawn = props.get("status", "").lower() == "withdrawn"
    node = Requirement(
        id=name,
        kind=Kind.REQUIREMENT,
        title=same(fields.text(control, "title", needed=True)),
        parent=parent,
        ref=props.get("label", ""),
        summary=same(summary),
        note=same(guidance),
        assessable=not withdrawn,
        references=references,
        links=links,
    )
    reading.placed.append(Placed(node, control.line))
    for item in items:
        _read_item(reading, item, name)


def _read_item(reading: _Reading, item: Record, parent: str) -> None:
    """One item of a statement, and those under it."""
    if fields.text(item, "name") != _ITEM:
        reading.miss(fields.text(item, "name") or "part")
        return
    name = reading.name(item)
    labels = (each for each in fields.records(item, "props") if fields.text(each, "name") == "label")
    node = Requirement(
        id=name,
        kind=Kind.REQUIREMENT,
        title=same(fields.text(item, "title")),
        parent=parent,
        ref=next((fields.text(each, "value") for each in labels), ""),
        summary=same(reading.prose(item)),
        assessable=True,
    )
    reading.placed.append(Placed(node, item.line))
    for inner in fields.records(item, "parts"):
        _read_item(reading, inner, name)


def _links(reading: _Reading, control: Record) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """Links to other nodes, and the texts it refers to."""
    links: dict[Link, None] = {}
    references: dict[str, None] = {}
    for link in fields.records(control, "links"):
        href = fields.text(link, "href", needed=True)
        relation = fields.text(link, "rel").lower()
        resource = reading.resources.get(href.removeprefix(NODE_MARK).lower())
        if resource is not None:
            references[resource or href] = None
        elif href.startswith(NODE_MARK):
            links[Link(_RELATIONS.get(relation, Relation.RELATED), href)] = None
        else:
            references[href] = None
    return tuple(links), tuple(references)


def _with_links_that_lead(reading: _Reading, nodes: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
    """The nodes without the links to what is not in the catalog: a tailored one keeps links to controls it left out."""
    known = {one.id for one in nodes}
    found = []
    for one in nodes:
        kept = []
        for link in one.links:
            name = link.target.removeprefix(NODE_MARK)
            name = reading.statements.get(name, name)
            if name in known:
                kept.append(replace(link, target=NODE_MARK + name))
            else:
                reading.miss("absent_targets")
        found.append(replace(one, links=tuple(kept)))
    return tuple(found)


def _publisher(metadata: Record) -> str:
    """The party that published or made it, else the first one."""
    names = {fields.text(one, "uuid"): fields.text(one, "name") for one in fields.records(metadata, "parties")}
    for role in ("publisher", "creator"):
        for responsible in fields.records(metadata, "responsible-parties"):
            if fields.text(responsible, "role-id") == role:
                for uuid in fields.texts(responsible, "party-uuids"):
                    if names.get(uuid):
                        return names[uuid]
    return next(iter(names.values()), "")
