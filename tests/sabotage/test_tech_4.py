"""tech-4: a backup that fails or is old, a drill that failed, a target that can be deleted."""

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
    broken.made.hygie("backup", "run")
    broken.green("tech-4.recent")
    with broken.altered_snapshot():
        assert broken.made.run("backup", "run").returncode != 0
        broken.red("tech-4.recent", "failed")
    broken.made.hygie("backup", "run")
    broken.green("tech-4.recent")
    for age_ms, verdict in ((60_000, "satisfied"), (2 * DAY_MS, "unsatisfied")):
        newest = Measurement(NOW_MS - age_ms, True, {}, NOW_MS - age_ms)
        assert tech_4.recent({"backup": newest}, CONTEXT).verdict.value == verdict
    assert tech_4.recent({}, CONTEXT).verdict.value == "unsatisfied"


def test_a_failed_drill_is_red(broken: Broken) -> None:
    """Real drills: of a target that restores, of one whose newest manifest was altered, then mended."""
    assert broken.verdict("tech-4.drill") == "unknown"  # none was run
    broken.made.hygie("backup", "run")
    broken.made.hygie("drill", "restore")
    broken.green("tech-4.drill")
    with broken.altered_snapshot():
        assert broken.made.run("drill", "restore").returncode != 0
        broken.red("tech-4.drill", "failed")
    broken.made.hygie("drill", "restore")
    broken.green("tech-4.drill")
    finding = broken.finding("tech-4.drill", ahead_days=91)  # its evidence has expired
    assert finding.verdict.value == "unknown"
    assert finding.outcome.remedy is not None
    assert finding.outcome.remedy.en == "hygie drill restore"


def test_a_folder_is_no_worm(broken: Broken) -> None:
    broken.red("tech-4.lock", "no WORM")
    locked = TargetFacts(1, locked=True, administrator="somebody else", same_disk=False)
    assert tech_4.locked(locked, CONTEXT).verdict.value == "satisfied"
