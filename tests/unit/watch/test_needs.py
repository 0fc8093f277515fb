"""An event meets only the rules that it may match, and all of them: nothing that a rule would say is hidden."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from hygie.watch.engine import Engine
from hygie.watch.errors import RuleInvalidError
from hygie.watch.events import CHECK, HOST, JOURNAL, MEASUREMENT, Event, Fields
from hygie.watch.matching import folded
from hygie.watch.needs import Index
from hygie.watch.ruleset import load_rules
from hygie.watch.sigma import EventRule, read_rules

SHIPPED = [one for one in load_rules().rules if isinstance(one, EventRule)]
SOURCES = (JOURNAL, MEASUREMENT, CHECK, HOST)

NAMES = st.sampled_from(["action", "account", "count"])
TESTS = st.sampled_from(["", "", "", "|contains", "|all", "|cased", "|neq", "|re", "|exists"])
WORDS = st.sampled_from(["read", "Read", "write", "re*d", "a\\*b", "5", "true", "É"])
VALUES = st.one_of(WORDS, st.integers(4, 6), st.booleans(), st.none(), st.lists(WORDS, min_size=1, max_size=3))
MAPS = st.dictionaries(st.tuples(NAMES, TESTS).map("".join), VALUES, min_size=1, max_size=3)
SELECTIONS = st.one_of(MAPS, MAPS, st.lists(MAPS, min_size=1, max_size=2), st.lists(WORDS, min_size=1, max_size=2))
CONDITION = st.sampled_from(
    ["one", "not one", "one and two", "one or two", "one and not two", "not (one or two)", "1 of them", "all of them"]
)
CONDITIONS = st.one_of(CONDITION, st.lists(CONDITION, min_size=1, max_size=2))
DETECTIONS = st.lists(st.tuples(SELECTIONS, SELECTIONS, CONDITIONS, st.sampled_from(["", JOURNAL])), max_size=6)
EVENTS = st.dictionaries(
    NAMES, st.one_of(st.sampled_from(["read", "READ", "write", "a*b", "5", "é"]), st.integers(4, 6), st.booleans())
)


def rules_of(detections: list[Any]) -> list[EventRule]:
    """Those that can be read: what is refused is no rule."""
    found: list[EventRule] = []
    for number, (one, two, condition, service) in enumerate(detections):
        document = {
            "title": f"Rule {number}",
            "id": f"11111111-2222-4333-8444-{number:012d}",
            "logsource": {"product": "hygie"} | ({"service": service} if service else {}),
            "detection": {"one": one, "two": two, "condition": condition},
        }
        try:
            found += [one for one in read_rules(yaml.safe_dump(document).encode(), "a") if isinstance(one, EventRule)]
        except RuleInvalidError:
            continue
    return found


@given(detections=DETECTIONS, fields=EVENTS, source=st.sampled_from([JOURNAL, MEASUREMENT]))
def test_whoever_would_speak_speaks_in_order(detections: list[Any], fields: Fields, source: str) -> None:
    rules = rules_of(detections)
    # rules of a source come before those that name none
    ordered = [one for one in rules if one.service == source] + [one for one in rules if not one.service]
    expected = [one.card.id for one in ordered if one.matches(fields)]
    assert [hit.card.id for hit in Engine(rules, {}).take([Event(source, 1, 1, fields)])] == expected


@given(data=st.data())
def test_no_shipped_rule_is_hidden_from_whatever_it_matches(data: st.DataObject) -> None:
    """Events put together from samples of shipped rules and from what others ask for, in whatever case."""
    source = data.draw(st.sampled_from(SOURCES))
    rules = [one for one in SHIPPED if one.service == source]
    samples = [dict(fields) for one in rules for sample in one.samples for _, fields in sample.events[:1]]
    fields = data.draw(st.sampled_from(samples))
    for name, values in data.draw(st.sampled_from(rules)).needs.items():
        if data.draw(st.booleans()):
            fields[name] = data.draw(st.sampled_from(sorted(values))).upper()
    met = Index(rules).of(fields)
    assert [one.card.id for one in met if one.matches(fields)] == [one.card.id for one in rules if one.matches(fields)]


def test_an_ordinary_read_meets_few_rules() -> None:
    rules = [one for one in SHIPPED if one.service == JOURNAL]
    assert len(rules) > 20
    fields = {"action": "object:read", "outcome": "done"}
    assert len(Index(rules).of(fields)) <= len(rules) // 2  # a third of them is about reads
    assert len(Index(rules).of({"action": "nothing:known"})) <= len(rules) // 3


def test_needs_are_read_from_the_shipped_rules() -> None:
    asked = Counter((one.service, name) for one in SHIPPED for name in one.needs)
    for source, name in ((JOURNAL, "action"), (MEASUREMENT, "measurement"), (HOST, "event")):
        assert asked[source, name] > 5
    assert all(value == folded(value) for one in SHIPPED for values in one.needs.values() for value in values)
