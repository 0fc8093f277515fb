"""tech-8: a door that is slow or broken, minutes lost, a drill that failed."""

from __future__ import annotations

from hygie.base.settings import default_settings
from hygie.proof.checks import tech_8
from hygie.proof.facts import AvailabilityFacts, DoorFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

DAY_MS = 86_400_000
CONTEXT = Context(default_settings(), now_ms=100 * DAY_MS)


def test_a_slow_or_broken_door_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-8.door") == "satisfied"
    for status, spent_ms in ((503, 5.0), (200, 9_000.0)):
        fact = DoorFacts("a", 2, 1, 401, 401, same_answer=True, metadata_status=status, metadata_ms=spent_ms)
        assert tech_8.answers(fact, CONTEXT).verdict.value == "unsatisfied"
    with broken.frozen("serve"):
        assert broken.verdict("tech-8.door") == "unknown"


def test_lost_minutes_are_red() -> None:
    def judged(minutes: int, passed: int, first_ms: int) -> str:
        return tech_8.month(AvailabilityFacts(minutes, passed, first_ms, CONTEXT.now_ms), CONTEXT).verdict.value

    assert judged(40_000, 39_000, 0) == "unsatisfied"
    assert judged(0, 0, 0) == "unknown"
    assert judged(40_000, 40_000, 0) == "unknown"  # measured from inside only


def test_a_failed_site_loss_drill_is_red(broken: Broken) -> None:
    broken.measured("drill-site-loss", passed=False, facts={})
    assert broken.verdict("tech-8.recovery") == "unsatisfied"
    broken.measured("drill-site-loss", passed=True, facts={})
    assert broken.verdict("tech-8.recovery") == "satisfied"
