"""tech-6: a silent source, and detection that is not built."""

from __future__ import annotations

from tests.sabotage.conftest import Broken


def test_a_silent_source_is_red(broken: Broken) -> None:
    broken.made.wait_for(lambda: broken.verdict("tech-6.sources") == "satisfied", seconds=30)
    with broken.frozen("work"):
        broken.sql("DELETE FROM hygie.measurement WHERE kind = 'journal'")
        finding = broken.finding("tech-6.sources")
    assert finding.verdict.value == "unsatisfied"
    assert "journal" in finding.outcome.why.en


def test_no_detection_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-6.detection") == "unsatisfied"
