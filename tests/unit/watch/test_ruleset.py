"""Rules that come with Hygie: each has samples that hold, a threat and what to do; a bad file leaves the others."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from sigma.collection import SigmaCollection

from hygie.watch.ruleset import check_samples, load_rules
from hygie.watch.sigma import EventRule, Rule

RULES = load_rules().rules
THREATS = (Path(__file__).parents[3] / "docs" / "threat-model.md").read_text()
RULE = """
title: {title}
id: {id}
logsource: {{product: hygie, service: journal}}
detection:
  one:
    action: {action}
  condition: one
hygie:
  samples:
    positive:
      - action: object:read
"""


@pytest.mark.parametrize("rule", RULES, ids=lambda one: one.card.file + " " + one.card.name)
def test_a_shipped_rule_says_all_it_must(rule: Rule) -> None:
    card = rule.card
    assert f"### {card.threat} " in THREATS
    assert card.title_fr != card.title
    assert card.todo.endswith(".")
    assert card.todo_fr.endswith(".")
    assert card.todo != card.todo_fr
    alone = rule.alone if isinstance(rule, EventRule) else True
    assert {one.speaks for one in rule.samples} == ({True, False} if alone else set())


def test_the_samples_of_shipped_rules_hold() -> None:
    found = load_rules()
    assert found.refused == []
    assert check_samples(found.rules) == []


def test_pysigma_reads_each_shipped_rule() -> None:
    """All together: some name rules of another file."""
    shipped = files("hygie.watch").joinpath("rules").iterdir()
    read = SigmaCollection.from_yaml("\n---\n".join(one.read_text() for one in shipped if one.name.endswith(".yml")))
    assert len(read.rules) == len(RULES)


def test_a_bad_file_leaves_the_others(tmp_path: Path) -> None:
    good = RULE.format(title="Good", id="11111111-2222-4333-8444-555555555555", action="object:read")
    (tmp_path / "good.yml").write_text(good)
    (tmp_path / "copy.yaml").write_text(good)
    (tmp_path / "bad.yml").write_text("detection: [")
    (tmp_path / "wrong.yml").write_text(
        RULE.format(title="Wrong", id="11111111-2222-4333-8444-555555555556", action="object:write")
    )
    (tmp_path / "lost.yml").write_text(
        "title: Lost\nid: 11111111-2222-4333-8444-555555555557\n"
        "correlation: {type: event_count, rules: [nobody-at-all], timespan: 5m, condition: {gte: 3}}\n"
    )
    found = load_rules(tmp_path)
    assert {one.card.title for one in found.rules} - {one.card.title for one in RULES} == {"Good", "Wrong"}
    assert sorted(one.file for one in found.refused) == ["bad.yml", "good.yml", "lost.yml"]
    assert [one.where for one in check_samples(found.rules)] == ["Wrong, sample 1"]


def test_a_correlation_names_another_one_but_no_deeper_and_not_itself(tmp_path: Path) -> None:
    correlation = (
        "title: {name}\nname: {name}\nid: 11111111-2222-4333-8444-55555555556{number}\n"
        "correlation: {{type: event_count, rules: [{named}], timespan: 5m, condition: {{gte: 2}}}}\n"
    )
    named = {"first": "nobody", "second": "first", "third": "second", "own": "own", "left": "right", "right": "left"}
    for number, (name, other) in enumerate(named.items()):
        (tmp_path / f"{name}.yml").write_text(correlation.format(name=name, number=number, named=other))
    found = load_rules(tmp_path)
    assert {one.card.name for one in found.rules} - {one.card.name for one in RULES} == {"first", "second"}
    assert {one.facts["reason"] for one in found.refused} == {
        "rule 'second' is a correlation of correlations",
        "rule 'own' is a correlation of correlations",
        "rule 'right' is a correlation of correlations",
        "rule 'left' is a correlation of correlations",
    }
