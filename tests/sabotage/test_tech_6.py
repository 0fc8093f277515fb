"""tech-6: a silent source, a watch that sleeps or lacks a rule."""

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


def test_a_watch_that_sleeps_or_lacks_a_rule_is_red(broken: Broken) -> None:
    broken.green("tech-6.detection", within_s=90)
    with broken.frozen("watch"):
        newest = "WHERE id = (SELECT max(id) FROM hygie.measurement WHERE kind = 'watch')"
        for fact, value, word in (
            ("refused", '["soc.yml"]', "soc.yml"),
            ("wrong", "1", "refused or wrong"),
            ("rules", "0", "refused or wrong"),
        ):
            broken.sql(f"UPDATE hygie.measurement SET facts = facts || '{{\"{fact}\": {value}}}' {newest}")
            broken.red("tech-6.detection", word)
            kept = {"refused": "[]", "wrong": "0", "rules": "70"}[fact]
            broken.sql(f"UPDATE hygie.measurement SET facts = facts || '{{\"{fact}\": {kept}}}' {newest}")
        broken.sql(f"UPDATE hygie.measurement SET passed = false {newest}")
        broken.red("tech-6.detection", "behind")
        broken.sql(f"UPDATE hygie.measurement SET passed = true {newest}")
        broken.sql("UPDATE hygie.measurement SET at_ms = at_ms - 600000 WHERE kind = 'watch'")
        broken.red("tech-6.detection", "silent")
        broken.sql("UPDATE hygie.measurement SET at_ms = at_ms + 600000 WHERE kind = 'watch'")
        with broken.without("watch"):
            broken.red("tech-6.detection", "Nobody watches")
    broken.green("tech-6.detection")
