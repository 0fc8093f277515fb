"""tech-8: a door that is slow or broken, minutes lost, a drill that failed."""

from __future__ import annotations

from hygie.base.settings import default_settings
from hygie.proof.checks import tech_8
from hygie.proof.facts import DoorFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(), now_ms=1)


def test_a_slow_or_broken_door_is_red(broken: Broken) -> None:
    broken.green("tech-8.door")
    for status, spent_ms in ((503, 5.0), (200, 9_000.0)):
        fact = DoorFacts(
            "a", 7, 1, 401, 401, 403, 404, 404, same_answer=True, metadata_status=status, metadata_ms=spent_ms
        )
        assert tech_8.answers(fact, CONTEXT).verdict.value == "unsatisfied"
    with broken.frozen("serve"):
        assert broken.verdict("tech-8.door") == "unknown"


def test_lost_minutes_are_red(broken: Broken) -> None:
    broken.made.wait_for(lambda: "of 0 minutes" not in broken.finding("tech-8.month").outcome.observed.en, seconds=40)
    assert broken.verdict("tech-8.month") == "unknown"  # minutes of one machine, not a month seen from outside
    for minute in range(50):
        broken.measured("door", passed=False, facts={}, age_s=3_600 + 60 * minute)
    try:
        broken.red("tech-8.month", "minutes lost")
    finally:
        broken.sql("DELETE FROM hygie.measurement WHERE kind = 'door' AND NOT passed")
    assert broken.verdict("tech-8.month") == "unknown"


def test_a_failed_site_loss_drill_is_red(broken: Broken) -> None:
    broken.measured("drill-site-loss", passed=False, facts={})
    broken.red("tech-8.recovery")
    broken.measured("drill-site-loss", passed=True, facts={})
    broken.green("tech-8.recovery")
