"""tech-4: an old backup, a drill that failed, a target that can be deleted."""

from __future__ import annotations

from hygie.base.settings import default_settings
from hygie.proof.checks import tech_4
from hygie.proof.facts import Measurement, TargetFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

NOW_MS = 1_800_000_000_000
CONTEXT = Context(default_settings(), now_ms=NOW_MS)
DAY_MS = 86_400_000


def test_an_old_backup_is_red(broken: Broken) -> None:
    broken.measured("backup", passed=False, facts={}, age_s=-5)
    assert broken.verdict("tech-4.recent") == "unsatisfied"
    for age_ms, passed, verdict in ((60_000, True, "satisfied"), (2 * DAY_MS, True, "unsatisfied")):
        fact = {"backup": Measurement(NOW_MS - age_ms, passed, {})}
        assert tech_4.recent(fact, CONTEXT).verdict.value == verdict
    assert tech_4.recent({}, CONTEXT).verdict.value == "unsatisfied"


def test_a_failed_drill_is_red(broken: Broken) -> None:
    broken.measured("drill-restore", passed=False, facts={})
    assert broken.verdict("tech-4.drill") == "unsatisfied"
    broken.measured("drill-restore", passed=True, facts={})
    assert broken.verdict("tech-4.drill") == "satisfied"


def test_a_folder_is_no_worm(broken: Broken) -> None:
    assert broken.verdict("tech-4.lock") == "unsatisfied"
    locked = TargetFacts(1, locked=True, administrator="somebody else", same_disk=False)
    assert tech_4.locked(locked, CONTEXT).verdict.value == "satisfied"
