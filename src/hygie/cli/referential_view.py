"""Référentiels for people and for machines: the list, one of them, its tree, one requirement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hygie.base.language import say
from hygie.cli.console import Console
from hygie.proof.model import Text, same
from hygie.proof.referentials.encoding import plain
from hygie.proof.referentials.model import Kind, Mode, Referential, Relation, Requirement, Standing

DIGEST_SHOWN = 16  # hexadecimal digits: enough to compare by eye
WORDS_MAX = 100  # characters of a summary that stands for a title

_KINDS = {
    Kind.GROUP: Text("titre", "heading"),
    Kind.REQUIREMENT: Text("exigence", "requirement"),
    Kind.CONTROL: Text("mesure", "control"),
    Kind.THREAT: Text("menace", "threat"),
}
_LINK = Text("correspondance", "mapping")
_LEFT_OUT = {
    "absent_targets": Text("liens vers des mesures absentes", "links to controls that are not there"),
    "not_related": Text("correspondances qui disent « sans rapport »", "mappings that say: not related"),
    "undefined_groups": Text("groupes définis nulle part", "groups that are defined nowhere"),
}
_STANDINGS = {
    Standing.LITERAL: Text("un texte le demande", "a text asks it"),
    Standing.DERIVED: Text("tiré du traitement des risques", "derived from the treatment of risks"),
    Standing.PROMISE: Text("promesse de la plateforme", "promise of the platform"),
    Standing.SCOPE: Text("qui est concerné", "who is concerned"),
}
_RELATIONS = {
    Relation.EQUAL: Text("égale", "equal to"),
    Relation.SUBSET: Text("incluse dans", "subset of"),
    Relation.SUPERSET: Text("inclut", "superset of"),
    Relation.INTERSECT: Text("recoupe", "intersects"),
    Relation.RELATED: Text("liée à", "related to"),
    Relation.BASIS: Text("fondée sur", "based on"),
    Relation.REQUIRED: Text("demande", "requires"),
    Relation.REPLACED: Text("remplacée par", "replaced by"),
}
_MODES = {
    Mode.MACHINE: Text("machine", "machine"),
    Mode.HUMAN: Text("personne", "person"),
    Mode.MIXED: Text("les deux", "both"),
}
_NATURES = {
    "organisational": Text("organisationnelle", "organisational"),
    "technical": Text("technique", "technical"),
    "contractual": Text("contractuelle", "contractual"),
    "transparency": Text("transparence", "transparency"),
}


def head_of(one: Referential) -> dict[str, Any]:
    """What identifies a référentiel, for machines."""
    dates = (("published_on", one.published_on), ("effective_from", one.effective_from))
    return {
        "id": one.id,
        "title": one.title.said(),
        "publisher": one.publisher,
        "source": one.source,
        "origin": one.origin,
        "urn": one.urn,
        **{name: day.isoformat() if day else None for name, day in (*dates, ("effective_until", one.effective_until))},
        "languages": list(one.languages),
        "sha256": one.digest,
        "counts": {kind.value: sum(node.kind is kind for node in one.nodes) for kind in Kind},
        "assessable": sum(node.assessable for node in one.nodes),
        "groups": [group.id for group in one.groups],
        "links": _links(one),
    }


def whole(one: Referential) -> dict[str, Any]:
    """A référentiel for machines: its head, and each node, both languages."""
    return {**head_of(one), "nodes": plain(one.nodes), "crosswalks": plain(one.crosswalks)}


def show_list(out: Console, all_: list[Referential]) -> None:
    """One line each."""
    columns = (
        say(fr="identifiant", en="id"),
        say(fr="titre", en="title"),
        say(fr="à évaluer", en="assessable"),
        say(fr="origine", en="origin"),
        "sha256",
    )
    rows = [
        (one.id, one.title.said(), sum(node.assessable for node in one.nodes), one.origin, one.digest[:DIGEST_SHOWN])
        for one in all_
    ]
    out.table(columns, rows)


def show_head(out: Console, one: Referential) -> None:
    """What it is, since when, how much it holds."""
    out.line(f"{one.id}  {one.title.said()}", style="bold")
    if one.summary.said():
        out.line(one.summary.said())
    span = " → ".join(day.isoformat() for day in (one.effective_from, one.effective_until) if day)
    rows = [
        (say(fr="éditeur", en="publisher"), one.publisher),
        (say(fr="source", en="source"), one.source or one.urn),
        (say(fr="droits", en="rights"), " ".join(one.rights.split())),
        (say(fr="publié le", en="published on"), one.published_on.isoformat() if one.published_on else ""),
        (say(fr="en vigueur", en="in force"), span),
        (say(fr="langues", en="languages"), ", ".join(one.languages)),
        (say(fr="contenu", en="content"), counts(one)),
        (say(fr="groupes", en="groups"), ", ".join(group.id for group in one.groups)),
        ("sha256", one.digest),
    ]
    out.table(("", ""), [row for row in rows if row[1]])


def counts(one: Referential) -> str:
    """``3 headings, 85 requirements, 85 assessable, 12 mappings``."""
    numbers = [(sum(node.kind is kind for node in one.nodes), words) for kind, words in _KINDS.items()]
    assessable = sum(node.assessable for node in one.nodes)
    return ", ".join(
        (
            *(_counted(number, words) for number, words in numbers if number),
            say(fr=f"{assessable} à évaluer", en=f"{assessable} assessable"),
            _counted(_links(one), _LINK),
        )
    )


def _counted(number: int, words: Text) -> str:
    """In French the plural begins at two."""
    return say(fr=f"{number} {words.fr}{'s' * (number > 1)}", en=f"{number} {words.en}{'s' * (number != 1)}")


def _links(one: Referential) -> int:
    return sum(len(node.links) for node in one.nodes) + sum(len(each.links) for each in one.crosswalks)


def tree_lines(one: Referential, *, depth_max: int | None = None) -> Iterator[tuple[str, str]]:
    """The tree, a line each with its style. depth_max: levels shown, all when None."""
    for depth, node in one.walk():
        if depth_max is None or depth < depth_max:
            style = "bold" if node.kind is Kind.GROUP else ""
            yield f"{'  ' * depth}{label(node)}  {title(node)}".rstrip(), style


def show_tree(out: Console, one: Referential, *, depth_max: int | None = None) -> None:
    """See :func:`tree_lines`."""
    for line, style in tree_lines(one, depth_max=depth_max):
        out.line(line, style=style)


def left_out(name: str) -> str:
    """What an import did not take, in words; the file's own name for a kind of object."""
    return _LEFT_OUT.get(name, same(name)).said()


def label(node: Requirement) -> str:
    """How people write a node: without the common part of a URN."""
    return node.ref or node.id.rpartition(":")[2]


def title(node: Requirement) -> str:
    """Its title, or the beginning of what it says when it has none."""
    said = " ".join((node.title.said() or node.summary.said()).split())
    return said if len(said) <= WORDS_MAX else f"{said[:WORDS_MAX].rsplit(' ', 1)[0]}…"


def show_node(out: Console, one: Referential, node: Requirement) -> None:
    """One requirement, with what it rests on and what would show it met."""
    out.line(f"{one.id}#{node.id}  {node.title.said()}", style="bold")
    for said in (node.summary.said(), node.note.said()):
        if said:
            out.line(said)
    activities = one.activities_of(node.id)
    natures = ", ".join(_NATURES.get(name, same(name)).said() for name in node.natures)
    rows = [
        (say(fr="chapitre", en="chapter"), node.locator),
        (say(fr="statut", en="status"), _STANDINGS[node.status].said() if node.status else ""),
        (say(fr="activités", en="activities"), ", ".join(map(str, activities))),
        (say(fr="condition", en="condition"), node.condition.said()),
        (say(fr="nature", en="nature"), natures),
        (say(fr="textes", en="texts"), " ; ".join(node.references)),
        (say(fr="groupes", en="groups"), ", ".join(node.groups)),
    ]
    rows += [(words.said(), _targets(node, relation)) for relation, words in _RELATIONS.items()]
    rows += [(say(fr="en dessous", en="below"), f"{label(each)}  {title(each)}") for each in one.children(node.id)]
    out.table(("", ""), [row for row in rows if row[1]])
    columns = (
        say(fr="preuve attendue", en="expected evidence"),
        say(fr="par", en="by"),
        say(fr="jours au plus", en="days at most"),
        say(fr="pour", en="for"),
    )
    out.table(
        columns,
        [
            (each.what.said(), _MODES[each.mode].said(), each.max_age_days or "", ", ".join(each.nodes))
            for each in node.evidence
        ],
    )


def _targets(node: Requirement, relation: Relation) -> str:
    """``iso27001@2022: A.5.1, A.5.2 ; rgpd@2016-679: 32``."""
    by_referential: dict[str, list[str]] = {}
    for link in node.links:
        if link.relation is relation:
            name, _, target = link.target.rpartition("#")
            by_referential.setdefault(name, []).append(target)
    parts = (f"{name}: {', '.join(targets)}".removeprefix(": ") for name, targets in by_referential.items())
    return " ; ".join(parts)
