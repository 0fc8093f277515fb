"""tech-6: a silent source, and detection that is not built."""

from __future__ import annotations

from tests.sabotage.conftest import Broken


def test_a_silent_source_is_red(broken: Broken) -> None:
    broken.green("tech-6.sources", within_s=90)
    with broken.frozen("work"):
        broken.sql("UPDATE hygie.measurement SET at_ms = at_ms - 600000 WHERE kind = 'journal'")
        broken.red("tech-6.sources", "journal")
    broken.green("tech-6.sources", within_s=90)
    with broken.frozen("work"):
        broken.sql("DELETE FROM hygie.measurement WHERE kind = 'catch-up'")
        assert broken.verdict("tech-6.sources") == "unknown"  # a database just rebuilt has heard nobody yet
    broken.green("tech-6.sources", within_s=90)


def test_no_detection_is_red(broken: Broken) -> None:
    broken.red("tech-6.detection", "not built")
