"""Every scenario that the watch must show is followed by a test, from an act to the finding of a shipped rule.

A test follows a rule where it says ``noticed(…, "rule")`` on a running installation, or where a drill that tests run
does: ``Attack("…", "rule", …)``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hygie.watch.ruleset import load_rules

ROOT = Path(__file__).parents[2]
FOLLOWED = re.compile(r'(?:noticed\(|Attack\("[^"]+",)\s*[^"()]*"([a-z-]+)"')
# What a host must be shown, and the rules that show it.
SCENARIOS = {
    "mass reading": ("mass-reading",),
    "reading outside the care team": ("knocking",),
    "a curious colleague": ("same-name",),
    "break-glass abuse": ("glass-abuse", "glass-unjustified"),
    "brute force": ("locked", "locked-again", "storm-of-refusals"),
    "spraying": ("spraying",),
    "a stolen token, in two places": ("two-places",),
    "administration outside hours": ("off-hours",),
    "a right raised, then used on health data": ("raised-then-reads",),
    "a right written without Hygie": ("forged-rights",),
    "a habilitation granted and withdrawn quickly": ("granted-then-withdrawn",),
    "bulk export": ("bulk-export",),
    "a canary touched": ("canary-found",),
    "a log stopped": ("host-log-stopped", "silent-journal", "silent-door", "silent-rights"),
    "a clock moved": ("clock-moved",),
    "a checkpoint not cosigned": ("not-cosigned",),
    "an unwrap without its entry": ("unwrapped-unseen",),
    "a backup deleted": ("backup-shrunk", "backup-away-long"),
    "a retention shortened": ("retention-shortened",),
    "changes far above the usual": ("change-rate", "mass-replacement", "mass-removal"),
    "files encrypted in place": ("objects-encrypted",),
    "several signs of a ransomware": ("ransomware-signs",),
    "a site outside its place": ("site-misplaced",),
    "a scrub that differs": ("scrub-mismatch",),
    "a replica that lags": ("site-late",),
    "a certificate near its end": ("certificate-ends",),
    "a new listening port": ("new-port",),
    "a changed file of Hygie itself": ("program-changed",),
    "a closed account used": ("closed-account",),
    "a subcontractor's access without intervention": ("session-unmatched",),
    "disk, connections or quota about to run out": ("capacity-low", "capacity-critical"),
}


@pytest.fixture(scope="module")
def followed() -> set[str]:
    files = [
        *(path for room in ("acceptance", "attack", "sabotage") for path in (ROOT / "tests" / room).glob("test_*.py")),
        *(ROOT / "src" / "hygie" / "scenarios").glob("*.py"),
    ]
    return {name for path in files for name in FOLLOWED.findall(path.read_text())}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_test_follows_it_from_the_act_to_the_finding(scenario: str, followed: set[str]) -> None:
    assert [rule for rule in SCENARIOS[scenario] if rule not in followed] == []


def test_each_rule_that_is_named_ships() -> None:
    known = {one.card.name for one in load_rules().rules}
    assert {rule for rules in SCENARIOS.values() for rule in rules} <= known


def test_the_check_finds_what_is_followed_only() -> None:
    assert FOLLOWED.findall('noticed(broken.made, "a-rule", account="x")') == ["a-rule"]
    assert FOLLOWED.findall('Attack("an act", "b-rule", act)') == ["b-rule"]
    assert FOLLOWED.findall('titled("c-rule")') == []
