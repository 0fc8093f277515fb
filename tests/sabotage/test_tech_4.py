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
    manifest = max((broken.made.data / "backup" / "snapshots").iterdir())
    held = manifest.read_bytes()
    manifest.write_bytes(held.replace(b"a", b"b", 1))
    try:
        assert broken.made.run("backup", "run").returncode != 0
        broken.red("tech-4.recent", "failed")
    finally:
        manifest.write_bytes(held)
    broken.made.hygie("backup", "run")
    broken.green("tech-4.recent")
    for age_ms, verdict in ((60_000, "satisfied"), (2 * DAY_MS, "unsatisfied")):
        assert tech_4.recent({"backup": Measurement(NOW_MS - age_ms, True, {})}, CONTEXT).verdict.value == verdict
    assert tech_4.recent({}, CONTEXT).verdict.value == "unsatisfied"


def test_a_failed_drill_is_red(broken: Broken) -> None:
    broken.measured("drill-restore", passed=False, facts={})
    broken.red("tech-4.drill")
    broken.measured("drill-restore", passed=True, facts={})
    broken.green("tech-4.drill")
    broken.sql("UPDATE hygie.measurement SET at_ms = at_ms - %s WHERE kind = 'drill-restore'", 91 * DAY_MS)
    assert broken.verdict("tech-4.drill") == "unknown"  # its evidence has expired


def test_a_folder_is_no_worm(broken: Broken) -> None:
    broken.red("tech-4.lock", "no WORM")
    locked = TargetFacts(1, locked=True, administrator="somebody else", same_disk=False)
    assert tech_4.locked(locked, CONTEXT).verdict.value == "satisfied"
