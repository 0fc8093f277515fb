"""The référentiels of the package: whole, in both languages, and every mapping leads to a node."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from hygie.proof.model import Text
from hygie.proof.referentials.decoding import decode
from hygie.proof.referentials.documents import parse
from hygie.proof.referentials.encoding import canonical_json
from hygie.proof.referentials.model import Kind, Mode, Referential, Relation, Standing
from hygie.proof.referentials.shipped import HDS, ISO27001, OBLIGATIONS, RGPD, SHIPPED, shipped

DOMAIN = Path(os.environ.get("HYGIE_DOMAIN", Path(__file__).parents[5] / "shared" / "domain"))
beside = pytest.mark.skipif(not DOMAIN.is_dir(), reason="the domain's pages are not beside this repository")


@pytest.fixture(params=SHIPPED)
def one(request: pytest.FixtureRequest) -> Referential:
    return shipped(request.param)


def targets(one: Referential, node: str, of: str) -> list[str]:
    return [link.target.removeprefix(f"{of}#") for link in one.node(node).links if link.target.startswith(f"{of}#")]


def test_each_is_called_as_its_file(one: Referential) -> None:
    assert one.id in SHIPPED
    assert one.effective_from is not None
    assert one.publisher
    assert one.source


def test_every_mapping_leads_to_a_node() -> None:
    seen = 0
    for referential in map(shipped, SHIPPED):
        for node in referential.nodes:
            for link in node.links:
                name, mark, target = link.target.partition("#")
                assert mark
                assert target in shipped(name), (referential.id, node.id, link.target)
                seen += 1
    assert seen > 600


def test_everything_is_said_in_both_languages(one: Referential) -> None:
    for node in one.nodes:
        assert all(node.title), node.id
        texts = [node.title, node.summary, node.note, node.condition, *(each.what for each in node.evidence)]
        for text in texts:
            assert bool(text.fr) == bool(text.en), node.id
            assert text.fr == text.fr.strip(), node.id
        assert all(text.fr != text.en for text in texts if len(text.fr) > 40), node.id


def test_it_survives_its_own_canonical_json(one: Referential) -> None:
    data = canonical_json(one)
    assert decode(parse(data), data) == one


def test_hds_holds_the_31_requirements_and_their_sub_items() -> None:
    hds = shipped(HDS)
    top = [node for group in hds.children("") for node in hds.children(group.id)]
    assert [node.id for node in top] == [f"EXI-{number:02d}" for number in range(1, 32)]
    assert [len(hds.children(chapter)) for chapter in ("SMSI", "CONTRAT", "SOUVERAINETE")] == [16, 11, 4]
    assert len([node for node in hds.nodes if node.assessable]) == 31 + 54
    assert [node.id for node in hds.children("EXI-05.B")] == ["EXI-05.B.a", "EXI-05.B.b", "EXI-05.B.c"]
    assert sum(len(node.evidence) for node in top) == 100
    assert all(node.evidence and node.natures and node.summary.fr for node in top)
    assert hds.activities_of("EXI-05.B.a") == (1, 2, 3, 4, 5, 6)
    report = hds.node("EXI-15").evidence[1]
    assert (report.mode, report.max_age_days, report.nodes) == (Mode.HUMAN, 1095, ("EXI-15.2",))


def test_the_obligations_are_53_and_6_statements() -> None:
    obligations = shipped(OBLIGATIONS)
    groups = {group.id: [node.id for node in obligations.children(group.id)] for group in obligations.children("")}
    assert sum(len(nodes) for name, nodes in groups.items() if name != "statement") == 53
    assert len(groups["statement"]) == 6
    assert {node.status for node in obligations.nodes if node.status} == set(Standing)
    for name, nodes in groups.items():
        for node in nodes:
            assert obligations.node(node).summary.fr, node
            assert targets(obligations, node, HDS), node
            assert (obligations.node(node).status is None) == (name == "statement")


def test_each_hds_requirement_is_answered_by_an_obligation() -> None:
    obligations = shipped(OBLIGATIONS)
    answered = {target for node in obligations.nodes for target in targets(obligations, node.id, HDS)}
    assert answered == {f"EXI-{number:02d}" for number in range(1, 32)}


def test_iso_27001_holds_clauses_4_to_10_and_93_controls() -> None:
    iso = shipped(ISO27001)
    controls = [node for node in iso.nodes if node.kind is Kind.CONTROL]
    assert len(controls) == 93
    assert [len(iso.children(theme)) for theme in ("A.5", "A.6", "A.7", "A.8")] == [37, 8, 14, 34]
    assert all(node.id == f"{node.parent}.{rank}" for theme in ("A.5", "A.6", "A.7", "A.8")
               for rank, node in enumerate(iso.children(theme), 1))  # fmt: skip
    assert [node.id for node in iso.children("")] == [*map(str, range(4, 11)), "A"]
    assert all(len(node.title.en) < 60 for node in iso.nodes)


def test_the_rgpd_holds_99_articles_and_the_points_that_others_cite() -> None:
    rgpd = shipped(RGPD)
    articles = [node.id for chapter in rgpd.children("") for node in rgpd.children(chapter.id)]
    assert articles == [str(number) for number in range(1, 100)]
    assert [node.id for node in rgpd.children("28.3")] == [f"28.3.{letter}" for letter in "abcdefgh"]
    assert [node.id for node in rgpd.children("33")] == [f"33.{number}" for number in range(1, 6)]
    assert {"32.1.a", "32.1.b", "32.1.c", "32.1.d", "30.2"} <= {node.id for node in rgpd.nodes}
    assert not rgpd.node("99").assessable


def test_a_title_is_our_own_and_short(one: Referential) -> None:
    assert all(len(node.title.fr) <= 110 and not node.title.fr.endswith(".") for node in one.nodes)


@beside
def test_the_requirements_are_those_of_the_domain() -> None:
    hds = shipped(HDS)
    rows = yaml.safe_load((DOMAIN / "hds-v2-requirements.yaml").read_text())["requirements"]
    for row in rows:
        node = hds.node(row["id"])
        assert node.title == Text(row["title_fr"], row["title_en"])
        assert node.summary == Text(row["summary_fr"], row["summary_en"])
        assert node.activities == tuple(row["applies_to"]["activities"])
        assert node.condition.en == (row["applies_to"]["condition"] or "")
        assert node.natures == (row["kind"], *row["kind_also"])
        assert set(targets(hds, node.id, ISO27001)) >= {*row["iso27001"]["clauses"], *row["iso27001"]["annex_a"]}
        cited = {ref.removeprefix("RGPD ") for ref in row["legal_refs"] if re.fullmatch(r"RGPD [\d.a-z]+", ref)}
        assert cited <= set(targets(hds, node.id, RGPD))
        asked = [
            (each["what"], each["mode"], each.get("max_age_days"), tuple(each.get("sub_items", ())))
            for each in row["evidence"]
        ]
        assert [(each.what.en, each.mode.value, each.max_age_days, each.nodes) for each in node.evidence] == asked
        for item in row["sub_items"]:
            assert hds.node(item["id"]).title == Text(item["text_fr"], item["text_en"])


@beside
def test_the_obligations_are_those_of_the_domain() -> None:
    obligations = shipped(OBLIGATIONS)
    domain = yaml.safe_load((DOMAIN / "obligations.yaml").read_text())
    for row in domain["rows"] + domain["statements"]:
        node = obligations.node(row["id"])
        assert node.summary.en == row["proof"].strip()
        assert (node.status or "") == row.get("status", "")
        assert node.parent == row.get("group", "statement")
        assert bool(node.note.fr) == ("note" in row)
        for of, name in ((HDS, "exi"), (ISO27001, "iso27001"), (RGPD, "rgpd")):
            assert targets(obligations, node.id, of) == row.get(name, [])
        assert all(link.relation in {Relation.RELATED, Relation.BASIS} for link in node.links)
