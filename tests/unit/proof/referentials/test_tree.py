"""What is refused in a référentiel, whatever file it comes from, and what is kept as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.errors import ReferentialRefusedError, RequirementUnknownError
from hygie.proof.model import Text, same
from hygie.proof.referentials import tree
from hygie.proof.referentials.decoding import decode
from hygie.proof.referentials.documents import parse
from hygie.proof.referentials.encoding import canonical_json
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
from hygie.proof.referentials.tree import Placed, accept, ordered


def node(name: str, parent: str = "", *links: Link, groups: tuple[str, ...] = ()) -> Requirement:
    return Requirement(name, Kind.REQUIREMENT, same(name), parent, links=links, groups=groups)


def of(*nodes: Requirement) -> Referential:
    return Referential("r", "1", same("R"), "test", nodes=nodes)


def placed(*edges: tuple[str, str]) -> list[Placed]:
    return [Placed(node(name, parent), line) for line, (name, parent) in enumerate(edges, 1)]


def test_nodes_follow_their_parent_and_keep_the_order_of_the_file() -> None:
    found = ordered(placed(("b", ""), ("a1", "a"), ("a", ""), ("a2", "a"), ("b1", "b"), ("a11", "a1")))
    assert [one.id for one in found] == ["b", "b1", "a", "a1", "a11", "a2"]
    assert [depth for depth, _ in of(*found).walk()] == [0, 1, 0, 1, 2, 1]


@pytest.mark.parametrize(
    ("edges", "where", "reason"),
    [
        ([("a", ""), ("b", ""), ("a", "")], "line 3, a", "the same id twice, first on line 1"),
        ([("a", ""), ("b", "z")], "line 2, b", "missing parent: z"),
        ([("a", ""), ("b", "c"), ("c", "b")], "line 2, b", "cyclic parents"),
        ([("a", "a")], "line 1, a", "cyclic parents"),
        ([(str(i), str(i - 1) if i else "") for i in range(40)], "line 33, 32", "more than 32 levels"),
    ],
)
def test_a_tree_that_is_none_is_refused_with_its_line(edges: list[tuple[str, str]], where: str, reason: str) -> None:
    with pytest.raises(ReferentialRefusedError) as refused:
        ordered(placed(*edges))
    assert refused.value.sentence("en") == f"Référentiel refused, {where}: {reason}."
    assert refused.value.sentence("fr").startswith(f"Référentiel refusé, {where.replace('line', 'ligne')} : ")


@given(st.data())
def test_any_forest_in_any_order_is_laid_parents_first(data: st.DataObject) -> None:
    parents = [data.draw(st.integers(-1, rank - 1)) for rank in range(data.draw(st.integers(0, 30)))]
    edges = [(f"n{rank}", f"n{parent}" if parent >= 0 else "") for rank, parent in enumerate(parents)]
    shuffled = data.draw(st.permutations(edges))
    found = [one.id for one in ordered(placed(*shuffled))]
    place_of = {name: at for at, name in enumerate(found)}
    assert sorted(found) == sorted(name for name, _ in edges)
    assert all(place_of[parent] < place_of[name] for name, parent in edges if parent)
    for parent in {parent for _, parent in edges}:
        sisters = [name for name, above in shuffled if above == parent]
        assert sorted(sisters, key=place_of.__getitem__) == sisters


def test_too_many_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "NODES_MAX", 2)
    with pytest.raises(ReferentialRefusedError):
        ordered(placed(("a", ""), ("b", ""), ("c", "")))


SUBSET, SUPERSET, EQUAL = Relation.SUBSET, Relation.SUPERSET, Relation.EQUAL


@pytest.mark.parametrize(
    "nodes",
    [
        [node("a", "", Link(SUBSET, "#b")), node("b", "", Link(SUBSET, "#a"))],
        [node("a", "", Link(SUBSET, "#b")), node("b", "", Link(SUBSET, "#c")), node("c", "", Link(SUBSET, "r@1#a"))],
        [node("a", "", Link(SUBSET, "#b"), Link(SUPERSET, "#b")), node("b")],
        [node("a", "", Link(SUBSET, "x@1#y"), Link(SUPERSET, "x@1#y"))],
        [node("a", "", Link(Relation.REQUIRED, "#b")), node("b", "", Link(Relation.REQUIRED, "#a"))],
    ],
)
def test_a_cyclic_mapping_is_refused(nodes: list[Requirement]) -> None:
    with pytest.raises(ReferentialRefusedError, match="cyclic mapping"):
        accept(of(*nodes))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("a", "", Link(EQUAL, "#b")), node("b", "", Link(EQUAL, "#a"))],
        [node("a", "", Link(SUBSET, "#b")), node("b", "", Link(SUPERSET, "#a"))],
        [node("a", "", Link(SUBSET, "#b"), Link(SUBSET, "#c")), node("b", "", Link(SUBSET, "#c")), node("c")],
        [node("a", "", Link(Relation.RELATED, "urn:other:x")), node("b", "", Link(Relation.RELATED, "#a"))],
    ],
)
def test_a_mapping_told_from_both_sides_is_no_cycle(nodes: list[Requirement]) -> None:
    assert accept(of(*nodes)).nodes == tuple(nodes)


def crosswalk(*links: Link) -> Crosswalk:
    return Crosswalk("urn:cw", "urn:f1", "urn:f2", links)


def test_a_crosswalk_that_turns_is_refused() -> None:
    links = (Link(SUBSET, "urn:2", "urn:1"), Link(SUBSET, "urn:3", "urn:2"), Link(SUBSET, "urn:1", "urn:3"))
    with pytest.raises(ReferentialRefusedError, match="cyclic mapping"):
        accept(replace(of(), crosswalks=(crosswalk(*links),)))
    assert accept(replace(of(), crosswalks=(crosswalk(*links[:2]),)))


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (of(node("a", "", Link(EQUAL, "#a"))), "a link to itself"),
        (of(node("a", "", Link(EQUAL, "#z"))), "link to a missing node: z"),
        (of(node("a", "", Link(EQUAL, "r@1#z"))), "link to a missing node: z"),
        (of(node("a", groups=("g",))), "unknown group: g"),
        (replace(of(), groups=(ImplementationGroup("g", same("G")),) * 2), "the same group twice"),
        (of(replace(node("a"), activities=(1, 7))), "an activity is 1 to 6"),
        (of(replace(node("a"), evidence=(Expected(same("x"), Mode.HUMAN, nodes=("b",)),))), "missing node: b"),
        (replace(of(), version=""), "missing or unknown version"),
        (replace(of(), version="1/../2"), "missing or unknown version"),
        (replace(of(), name="../x"), "name refused"),
        (replace(of(), published_on=date(1, 1, 1)), "impossible date"),
        (replace(of(), effective_from=date(2025, 2, 1), effective_until=date(2025, 1, 31)), "impossible dates"),
    ],
)
def test_what_cannot_be_is_refused(one: Referential, reason: str) -> None:
    with pytest.raises(ReferentialRefusedError, match=reason):
        accept(one)


def test_a_node_is_found_by_its_id_and_another_is_not() -> None:
    one = of(node("a"), node("b", "a"))
    assert one.node("b").parent == "a"
    assert one.children("a") == (node("b", "a"),)
    with pytest.raises(RequirementUnknownError) as unknown:
        one.node("c")
    assert "r@1" in str(unknown.value)


def texts() -> st.SearchStrategy[Text]:
    words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    return st.builds(Text, words, words)


IDS = st.text("abcdefghij-.", min_size=1, max_size=6)
LINKS = st.builds(Link, st.just(Relation.RELATED), IDS.map("urn:{}".format))
EVIDENCE = st.builds(Expected, texts(), st.sampled_from(Mode), st.none() | st.integers(1, 9))
NODES = st.lists(
    st.builds(
        Requirement,
        id=IDS,
        kind=st.sampled_from(Kind),
        title=texts(),
        parent=st.just(""),
        summary=texts(),
        assessable=st.booleans(),
        activities=st.lists(st.integers(1, 6), max_size=2).map(tuple),
        links=st.lists(LINKS, max_size=2).map(tuple),
        evidence=st.lists(EVIDENCE, max_size=2).map(tuple),
    ),
    max_size=5,
    unique_by=lambda one: one.id,
)


@given(NODES, st.dates(date(1900, 1, 1), date(2199, 12, 31)) | st.none())
def test_canonical_json_gives_back_what_it_was_made_of(nodes: list[Requirement], published: date | None) -> None:
    one = replace(of(*nodes), published_on=published)
    data = canonical_json(one)
    again = decode(parse(data), data)
    assert again == one
    assert again.digest == one.digest
    assert replace(one, summary=same("other")).digest != one.digest
