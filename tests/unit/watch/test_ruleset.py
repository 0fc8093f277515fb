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
    for one in files("hygie.watch").joinpath("rules").iterdir():
        if one.name.endswith(".yml"):
            SigmaCollection.from_yaml(one.read_text())


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
