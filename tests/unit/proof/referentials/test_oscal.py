"""Catalogs of OSCAL: groups, controls in controls, statements with their parameters, links; refused when they lie."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hygie.proof.errors import ReferentialRefusedError
from hygie.proof.referentials.importing import Imported, read_referential
from hygie.proof.referentials.model import Kind, Link, Relation

FILE = Path(__file__).resolve().parents[3] / "data" / "referentials" / "catalog.json"


def changed(change: Callable[[Any], object]) -> bytes:
    """The sample after a change of its catalog."""
    document = json.loads(FILE.read_text())
    change(document["catalog"])
    return json.dumps(document).encode()


def control(catalog: Any) -> Any:
    return catalog["groups"][0]["controls"][0]


def read(change: Callable[[Any], object] = lambda catalog: None) -> Imported:
    return read_referential(changed(change))


def test_a_catalog_is_read() -> None:
    imported = read_referential(FILE.read_bytes())
    one = imported.referential
    assert (one.id, one.origin) == ("regles-d-un-cabinet@1.0-draft", "oscal 1.1.2")
    assert (one.publisher, one.languages) == ("Ordre imaginaire", ("fr",))
    assert one.published_on == dt.date(2026, 2, 28)
    assert [(depth, node.id) for depth, node in one.walk()] == [
        (0, "ac"), (1, "ac-1"), (2, "ac-1_smt.a"), (3, "unnamed-1"), (2, "ac-1.1"), (1, "ac-2"),
    ]  # fmt: skip
    assert one.node("ac").kind is Kind.GROUP
    assert one.node("ac").summary.fr == "Qui entre."
    first = one.node("ac-1")
    said = "Un compte inutilisé se ferme après [30 jours], revu [chaque mois | selon [qui]]."
    assert first.summary.fr == said
    assert (first.ref, first.note.fr) == ("AC-1", "Voir les départs.")
    assert first.links == (Link(Relation.RELATED, "#ac-2"),)
    assert first.references == ("Un guide", "https://example.org/regle")
    assert one.node("ac-1.1").links == (Link(Relation.REQUIRED, "#ac-1"),)
    assert not one.node("ac-2").assessable
    assert imported.left_out == (("absent_targets", 1), ("assessment-objective", 1))


def test_a_link_to_a_statement_is_one_to_its_control_and_the_first_label_counts() -> None:
    def change(catalog: Any) -> None:
        withdrawn = catalog["groups"][0]["controls"][1]
        withdrawn["links"] = [{"href": "#ac-1_smt", "rel": "moved-to"}, {"href": "#ac-1_smt.a", "rel": "moved-to"}]
        control(catalog)["props"].append({"name": "label", "value": "AC-01", "class": "padded"})

    one = read(change).referential
    assert one.node("ac-2").links == (Link(Relation.REPLACED, "#ac-1"), Link(Relation.REPLACED, "#ac-1_smt.a"))
    assert one.node("ac-1").ref == "AC-1"


@pytest.mark.parametrize("version", ["1.1.0", "1.1.3", "1.2.0", "1.2.0-rc1"])
def test_both_versions_of_the_model_are_taken(version: str) -> None:
    imported = read(lambda catalog: catalog["metadata"].update({"oscal-version": version}))
    assert imported.referential.origin == f"oscal {version}"


def required(catalog: Any) -> None:
    control(catalog)["links"].append({"href": "#ac-1.1", "rel": "required"})


def turning(catalog: Any) -> None:
    control(catalog)["params"][1]["select"]["choice"] = ["{{ insert: param, ac-1_p2 }}"]


def swollen(catalog: Any) -> None:
    catalog["params"][0]["label"] = "x" * 4_000
    control(catalog)["parts"][0]["prose"] = "{{ insert: param, who }}" * 3_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["metadata"].update({"oscal-version": "2.0.0"}), "oscal-version: unknown version (1.1 or 1.2)"),
        (lambda c: c["metadata"].update({"oscal-version": "1.0.4"}), "oscal-version: unknown version (1.1 or 1.2)"),
        (lambda c: c["metadata"].pop("version"), "version: missing field"),
        (lambda c: c["metadata"].update(version="…"), "missing or unknown version"),
        (lambda c: c["metadata"].update(published="2026-02-30T10:00:00Z"), "published: impossible date"),
        (lambda c: c["metadata"].update(published="2026-02-28T25:00:00Z"), "published: impossible date"),
        (lambda c: c["metadata"].update({"last-modified": "yesterday"}), "last-modified: impossible date"),
        (lambda c: control(c).update(id="ac-2"), "ac-2: the same id twice"),
        (lambda c: control(c).pop("title"), "ac-1: title: missing field"),
        (lambda c: control(c).update(parts=[1]), "ac-1: parts: a list of objects is expected"),
        (lambda c: control(c)["links"][0].update(href="#ac-1"), "ac-1: a link to itself"),
        (lambda c: control(c).update(title="\ud800"), "ac-1: title: impossible character"),
        (lambda c: c.update(groups=[]), "controls: no control"),
        (required, "cyclic mapping"),
        (turning, "ac-1_smt: prose: cyclic parameters"),
        (swollen, "ac-1_smt: prose: text too long, parameters included"),
        (lambda c: c["params"][0].update(label="x" * 5_001), "who: select: parameter too long"),
    ],
)
def test_what_is_wrong_is_refused_whole_with_the_id_and_the_reason(change: Callable[[Any], object], said: str) -> None:
    with pytest.raises(ReferentialRefusedError) as refused:
        read(change)
    assert said in refused.value.sentence("en")
    assert "refusé, " in refused.value.sentence("fr")
