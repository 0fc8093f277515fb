"""One OSCAL catalog for each référentiel: headings as groups, what it asks as controls. Pure. Source: ``oscal.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hygie.proof.documents.model import Inputs
from hygie.proof.documents.oscal import Node, control_id, encode, identity, line, metadata, prop
from hygie.proof.documents.words import Words
from hygie.proof.referentials.model import NODE_MARK, Kind, Referential, Requirement
from hygie.proof.referentials.shipped import SHIPPED, shipped


def catalog_name(referential: str) -> str:
    """The paper's name: ``oscal/catalog-hds-2.0.json``."""
    return f"oscal/catalog-{referential.replace('@', '-')}.json"


def catalog_papers() -> dict[str, Callable[[Inputs], bytes]]:
    """A paper for each référentiel that ships; a version never changes, so that neither does its content."""
    return {catalog_name(name): _paper(name) for name in SHIPPED}


def _paper(name: str) -> Callable[[Inputs], bytes]:
    def made(inputs: Inputs) -> bytes:
        return encode(catalog(shipped(name), inputs))

    return made


def catalog(referential: Referential, inputs: Inputs) -> Node:
    """The catalog of one référentiel."""
    words = Words(inputs.language)
    below: dict[str, list[Requirement]] = {}
    for node in referential.nodes:
        below.setdefault(node.parent, []).append(node)
    body: Node = {"uuid": identity("catalog", referential.id, referential.digest, inputs.language)}
    body["metadata"] = metadata(inputs, words.of(referential.title))
    body["metadata"]["version"] = referential.version
    body["metadata"]["props"] = [prop("referential", referential.id), prop("sha256", referential.digest)]
    return {"catalog": body | _members(below, "", referential, words)}


def _members(
    below: dict[str, list[Requirement]], parent: str, referential: Referential, words: Words, *, within: bool = False
) -> Node:
    """What is under one node: groups only, or controls only. OSCAL mixes them nowhere: a heading beside or under
    something asked is a control. Args: within: the parent is a control."""
    nodes = below.get(parent, ())
    group = all(node.kind is Kind.GROUP for node in nodes) and not within
    members: list[Any] = [
        _node(node, referential, words, group=group) | _members(below, node.id, referential, words, within=not group)
        for node in nodes
    ]
    return {"groups" if group else "controls": members} if members else {}


def _node(node: Requirement, referential: Referential, words: Words, *, group: bool) -> Node:
    name = control_id(f"{referential.id}{NODE_MARK}{node.id}")
    said: Node = {"id": name, "title": line(words.of(node.title) or node.label)}
    said["props"] = [{"name": "label", "value": line(node.label)}]
    if node.status is not None:
        said["props"].append(prop("standing", node.status.value))
    if not group:
        said["props"].append(prop("assessable", "yes" if node.assessable else "no"))
    parts = []
    for kind, suffix, text in (("statement", "smt", node.summary), ("guidance", "gdn", node.note)):
        if words.of(text):
            parts.append({"id": f"{name}_{suffix}", "name": kind, "prose": words.of(text)})
    if parts:
        said["parts"] = parts
    return said
