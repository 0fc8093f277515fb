"""A check that was never seen red proves nothing: each names its sabotage test, which exists and sees it red."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from hygie.proof.checks import CHECKS
from hygie.proof.facts import Facts
from hygie.proof.model import Check
from hygie.proof.obligations import technical_obligations
from tests.house.rules import assert_none
from tools import obligation_reference

ROOT = Path(__file__).parents[2]


def unproved(checks: Iterable[Check], root: Path = ROOT) -> Iterator[str]:
    """What is wrong with the sabotage of these checks, ``check: sentence``."""
    for check in checks:
        file, _, name = check.sabotage.partition("::")
        path = root / file
        tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        if not file.startswith("tests/sabotage/") or not found:
            yield f"{check.id}: {check.sabotage} does not exist"
            continue
        text = ast.unparse(found[0])
        judged = f"{check.judge.__module__.rpartition('.')[2]}.{check.judge.__name__}("
        if not any(mark in text for mark in (f"'{check.id}'", judged)):
            yield f"{check.id}: {check.sabotage} does not run this check"
        if f".red('{check.id}'" not in text and not (judged in text and "'unsatisfied'" in text):
            yield f"{check.id}: {check.sabotage} does not see it red"


# The probe behind a fact, where a test breaks what the probe looks at and not the whole installation.
PROBES = {"swap": "swap_state(", "tls": "probe_tls(", "door": "knock(", "clock": "probe_clock("}


def through_probes(check: Check, root: Path = ROOT) -> set[str]:
    """The verdicts that the sabotage test of a check obtains through a probe: ``satisfied``, ``unsatisfied``."""
    file, _, name = check.sabotage.partition("::")
    whole = (root / file).read_text()
    tests = (one for one in ast.parse(whole).body if isinstance(one, ast.FunctionDef) and one.name == name)
    text = "".join(map(ast.unparse, tests))
    judged = f"{check.judge.__module__.rpartition('.')[2]}.{check.judge.__name__}("
    probed = PROBES.get(check.fact, "\0") in whole and judged in text
    # What a parametrized test expects stands in its decorator, which unparse gives too.
    return {
        verdict
        for verdict, method in (("satisfied", "green"), ("unsatisfied", "red"))
        if f".{method}('{check.id}'" in text or (probed and f"'{verdict}'" in text)
    }


def misdeclared(checks: Iterable[Check], root: Path = ROOT) -> Iterator[str]:
    """Checks that a made-up fact alone has turned green or red without saying so, or that say so for nothing."""
    for check in checks:
        missing = {"satisfied", "unsatisfied"} - through_probes(check, root)
        declared, _, why = check.on_facts.partition(": ")
        if missing != ({declared} if declared else set()) or (declared and not why):
            yield f"{check.id}: not seen through a probe: {sorted(missing)}, declared: {check.on_facts!r}"


def test_each_check_was_seen_red() -> None:
    assert_none(list(unproved(CHECKS)))


def test_each_check_was_seen_green_and_red_through_a_probe_or_says_which_was_not() -> None:
    assert_none(list(misdeclared(CHECKS)))


def test_the_rule_catches_a_verdict_on_made_up_facts(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "sabotage"
    folder.mkdir(parents=True)
    (folder / "test_x.py").write_text(
        "def test_both(broken):\n    broken.green('tech-1.swap')\n    broken.red('tech-1.swap')\n"
        "def test_red(broken):\n    broken.red('tech-1.swap')\n    assert tech_1.swap(x, y) == 'satisfied'\n"
    )
    swap = next(check for check in CHECKS if check.id == "tech-1.swap")

    def found(function: str, on_facts: str) -> list[str]:
        one = replace(swap, sabotage=f"tests/sabotage/test_x.py::{function}", on_facts=on_facts)
        return list(misdeclared([one], tmp_path))

    assert found("test_both", "") == []
    assert found("test_both", "satisfied: why")
    assert found("test_red", "")
    assert found("test_red", "satisfied: ")
    assert found("test_red", "satisfied: why") == []


def test_the_rule_catches_a_check_that_was_not(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "sabotage"
    folder.mkdir(parents=True)
    (folder / "test_x.py").write_text(
        "def test_good(broken):\n    broken.red('tech-1.swap')\n"
        "def test_green(broken):\n    broken.green('tech-1.swap')\n"
        "def test_other(broken):\n    broken.red('tech-1.flows')\n"
    )
    swap = next(check for check in CHECKS if check.id == "tech-1.swap")

    def found(function: str) -> list[str]:
        return list(unproved([replace(swap, sabotage=f"tests/sabotage/test_x.py::{function}")], tmp_path))

    assert found("test_good") == []
    assert "see it red" in found("test_green")[0]
    assert "run this check" in found("test_other")[0]
    assert "exist" in found("test_nowhere")[0]


def test_each_check_judges_a_fact_that_is_gathered() -> None:
    assert {check.fact for check in CHECKS} <= set(Facts.__dataclass_fields__)


def test_each_obligation_has_checks() -> None:
    assert {check.obligation for check in CHECKS} == {one.id for one in technical_obligations()}
    assert len({check.id for check in CHECKS}) == len(CHECKS)


def test_the_page_of_obligations_is_up_to_date() -> None:
    written = obligation_reference.PAGE.read_text()
    assert written == obligation_reference.page(), "run: python tools/obligation_reference.py"
