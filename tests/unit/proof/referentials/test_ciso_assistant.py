"""Libraries of CISO Assistant: older and newer shapes are read, what is wrong in one is refused with its line."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from hygie.proof.errors import ReferentialRefusedError
from hygie.proof.model import Text
from hygie.proof.referentials.decoding import decode
from hygie.proof.referentials.documents import parse
from hygie.proof.referentials.encoding import canonical_json
from hygie.proof.referentials.importing import Imported, read_referential
from hygie.proof.referentials.model import Expected, ImplementationGroup, Kind, Link, Mode, Relation

DATA = Path(__file__).resolve().parents[3] / "data" / "referentials"
OLDER, NEWER = (DATA / "older.yaml").read_text(), (DATA / "newer.yaml").read_text()


def read(text: str) -> Imported:
    return read_referential(text.encode())


def refusal(text: str) -> str:
    with pytest.raises(ReferentialRefusedError) as refused:
        read(text)
    return refused.value.sentence("en").removeprefix("Référentiel refused, ")


def test_an_older_library_is_read() -> None:
    imported = read(OLDER)
    one = imported.referential
    assert (one.id, one.urn) == ("clinic-basics@2", "urn:example:risk:library:clinic-basics")
    assert (one.publisher, one.rights, one.languages) == ("Exemple", "domaine public", ("fr", "en"))
    assert one.published_on == dt.date(2025, 2, 28)
    assert one.depends_on == ("urn:example:risk:library:other",)
    labels = [node.ref or node.id for node in one.nodes]
    assert labels == ["2", "1.10", "1.10", "reference_controls", "F1", "threats", "T1"]
    assert one.node("urn:example:risk:req_node:clinic:2").title == Text("Personnes", "People")
    asked = one.node("urn:example:risk:req_node:clinic:1.1")
    assert (asked.kind, asked.assessable, asked.parent) == (
        Kind.REQUIREMENT,
        True,
        "urn:example:risk:req_node:clinic:1",
    )
    assert asked.summary == Text("Fermer les portes.", "Fermer les portes.")
    assert asked.note.fr == "Chaque soir."
    assert asked.groups == ("1", "no")
    assert asked.evidence == (Expected(Text("Un relevé de rondes", "Un relevé de rondes"), Mode.HUMAN),)
    assert [link.target.rpartition(":")[2] for link in asked.links] == ["lock", "theft"]
    assert {link.relation for link in asked.links} == {Relation.RELATED}
    assert one.groups[0] == ImplementationGroup("1", Text("essentiel", "essentiel"), chosen=True)
    assert one.node("urn:example:risk:function:clinic:lock").kind is Kind.CONTROL
    assert one.node("urn:example:risk:threat:clinic:theft").parent == "threats"
    assert imported.left_out == (("questions", 1), ("risk_matrix", 1))


def test_a_newer_library_of_two_frameworks_is_read_with_its_mappings_both_ways() -> None:
    imported = read(NEWER)
    one = imported.referential
    assert (one.title, one.languages) == (Text("Deux référentiels", "Two frameworks"), ("en", "fr", "de"))
    assert [node.ref for node in one.children("")] == ["FIRST", "SECOND", ""]
    assert one.node("urn:example:risk:req_node:first:a").parent == "urn:example:risk:framework:first"
    assert one.node("urn:example:risk:req_node:first:a").summary == Text("Une liste à jour.", "Une liste à jour.")
    assert [crosswalk.links[0].relation for crosswalk in one.crosswalks] == [Relation.SUBSET, Relation.SUPERSET]
    assert one.crosswalks[0].links[0] == Link(
        Relation.SUBSET,
        "urn:example:risk:req_node:second:b",
        "urn:example:risk:req_node:first:a",
        "semantic",
        8,
    )
    assert one.node("urn:example:risk:function:two:list").natures == ("process",)
    assert imported.left_out == (("metric_definitions", 2),)


@pytest.mark.parametrize("text", [OLDER, NEWER])
def test_what_was_read_is_one_canonical_json_whatever_the_layout(text: str) -> None:
    data = canonical_json(read(text).referential)
    assert canonical_json(read("# a comment\n" + text).referential) == data
    assert decode(parse(data), data) == read(text).referential


def test_objects_may_be_a_list() -> None:
    head, _, objects = NEWER.partition("objects:\n")
    parts = re.split(r"^  (?=\w)", objects, flags=re.MULTILINE)[1:]
    listed = "".join("- " + part.replace("\n  ", "\n   ") for part in parts)
    assert read(f"{head}objects:\n{listed}").referential == read(NEWER).referential


def test_a_mapping_never_makes_anything_assessable_or_conform() -> None:
    one = read(NEWER).referential
    mapped = one.node("urn:example:risk:req_node:second:b")
    assert mapped.links == ()
    assert b"satisf" not in canonical_json(one)


LIBRARY = "line 1, urn:example:risk:library:Clinic-Basics: "
NODE = "urn:example:risk:req_node:clinic:"
SET = "urn:example:risk:req_mapping_set:first-second-revert"
BAD_OLDER = [
    ("version: 2", "version: 0", f"{LIBRARY}version: missing or unknown version."),
    ("version: 2\n", "", f"{LIBRARY}version: missing or unknown version."),
    ("version: 2", "version: two", f"{LIBRARY}version: a whole number is expected."),
    ("2025-02-28", "2025-02-30", f"{LIBRARY}publication_date: impossible date."),
    ("2025-02-28", "0025-02-28", "0025-02-28: impossible date."),
    ("node:clinic:1.1", "node:clinic:2", f"line 52, {NODE}2: the same id twice, first on line 38."),
    ("node:CLINIC:1", "node:clinic:9", f"line 52, {NODE}1.1: missing parent: {NODE}9."),
    (
        "risk:framework:clinic-basics\n      ref_id: '1.10'",
        "risk:req_node:clinic:1.1",
        f"line 46, {NODE}1: cyclic parents.",
    ),
    ("assessable: true", "assessable: maybe", f"line 52, URN{NODE[3:]}1.1: assessable: true or false is expected."),
    ("- urn: urn:example:risk:threat:clinic:theft\n    ref_id", "- ref_id", "line 15, T1: urn: missing field."),
    ("      - urn:example:risk:threat", "      - [urn:example", "line 62, YAML: malformed YAML."),
]
BAD_NEWER = [
    ("relationship: superset", "relationship: subset", "line 20, urn:example:risk:req_node:first:a: cyclic mapping."),
    ("relationship: superset", "relationship: nearly", "line 65, relationship: unknown relation."),
    (
        "_urn: urn:example:risk:req_node:first:a\n      relationship: sup",
        "_urn: urn:example:risk:req_node:second:b\n      relationship: sup",
        f"line 59, {SET}: a link to itself.",
    ),
    ("strength_of_relationship: 8", "strength_of_relationship: 11", "line 54, strength_of_relationship: 0 to 10."),
]


@pytest.mark.parametrize(
    ("text", "old", "new", "said"), [(OLDER, *each) for each in BAD_OLDER] + [(NEWER, *each) for each in BAD_NEWER]
)
def test_what_is_wrong_is_refused_whole_with_its_line_and_the_reason(text: str, old: str, new: str, said: str) -> None:
    assert old in text
    assert refusal(text.replace(old, new, 1)) == said


def test_what_means_nothing_here_is_left_out_and_counted() -> None:
    groups = read(OLDER.replace("      - '1'\n", "      - '1'\n      - '3'\n"))
    assert groups.referential.node(f"{NODE}1.1").groups == ("1", "no")
    assert ("undefined_groups", 1) in groups.left_out
    unrelated = read(NEWER.replace("relationship: superset", "relationship: not_related"))
    assert unrelated.referential.crosswalks[1].links == ()
    assert ("not_related", 1) in unrelated.left_out


def test_a_library_of_mappings_alone_is_kept() -> None:
    head, _, rest = NEWER.partition("  frameworks:\n")
    one = read(head + "  requirement_mapping_sets:\n" + rest.partition("  requirement_mapping_sets:\n")[2]).referential
    assert one.nodes == ()
    assert [len(crosswalk.links) for crosswalk in one.crosswalks] == [1, 1]


def test_a_library_of_nothing_that_can_be_asked_is_refused() -> None:
    text = "urn: urn:example:risk:library:m\nversion: 1\nobjects:\n  risk_matrices:\n  - urn: urn:example:m\n"
    assert "no requirement, control, threat or mapping" in refusal(text)


def test_a_terminal_is_given_no_control_character() -> None:
    text = NEWER.replace("name: Keep a list", 'name: "Keep\\e[2J\\x9b a list"')
    assert read(text).referential.node("urn:example:risk:req_node:first:a").title.en == "Keep[2J a list"
    lost = NEWER.replace("depth: 1\n      ref_id: A", 'parent_urn: "a\\e[2J"\n      ref_id: A')
    assert refusal(lost).endswith("missing parent: a[2j.")


def test_a_name_is_made_of_what_a_file_may_be_called() -> None:
    text = NEWER.replace("urn:example:risk:library:two-frameworks", "urn:example:risk:library:Été ../(2)")
    assert read(text).referential.id == "ete-..-2@1"


def test_questions_that_are_no_list_are_counted_as_one() -> None:
    node = '{"urn": "urn:n", "assessable": true, "questions": 5}'
    imported = read(
        '{"urn": "urn:a:library:x", "version": 1, "name": "x",'
        f' "objects": {{"framework": {{"urn": "urn:f", "requirement_nodes": [{node}]}}}}}}'
    )
    assert imported.left_out == (("questions", 1),)
