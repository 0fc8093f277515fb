"""tech-3: entries that wait, a site without checkpoint, an altered bundle, a witness of one's own, a free clock."""

from __future__ import annotations

from hygie.base.settings import default_settings
from hygie.proof.checks import tech_3
from hygie.proof.facts import ClockFacts, WitnessFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(), now_ms=1)


def test_a_journal_that_is_not_sealed_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-3.fresh") == "satisfied"
    with broken.frozen("work"):
        assert broken.verdict("tech-3.fresh") == "unsatisfied"


def test_a_site_without_checkpoint_is_red(broken: Broken) -> None:
    checkpoint = broken.made.data / "sites" / "lyon" / "journal" / "checkpoint"
    with broken.frozen("work"):
        held = checkpoint.read_bytes()
        checkpoint.unlink()
        try:
            finding = broken.finding("tech-3.published")
            assert finding.verdict.value == "unsatisfied"
            assert "lyon" in finding.outcome.why.en
        finally:
            checkpoint.write_bytes(held)


def test_an_altered_bundle_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-3.history") == "satisfied"
    with broken.frozen("work"):
        held = {}
        for path in (broken.made.data / "sites").glob("*/journal/tile/entries/**/*"):
            if path.is_file():
                held[path] = path.read_bytes()
                path.write_bytes(held[path][:-1] + bytes((held[path][-1] ^ 1,)))
        assert held
        try:
            assert broken.verdict("tech-3.history") in {"unsatisfied", "unknown"}
        finally:
            for path, data in held.items():
                path.write_bytes(data)
    assert broken.verdict("tech-3.history") == "satisfied"


def test_a_witness_of_ones_own_is_red(broken: Broken) -> None:
    finding = broken.finding("tech-3.witness")
    assert finding.verdict.value == "unsatisfied"
    for fact, verdict in (
        (WitnessFacts("elsewhere", 10, 10), "satisfied"),
        (WitnessFacts("elsewhere", 10, 9), "unsatisfied"),
        (WitnessFacts("none", 10, None), "unsatisfied"),
    ):
        assert tech_3.witness(fact, CONTEXT).verdict.value == verdict


def test_a_free_running_clock_is_red() -> None:
    assert tech_3.clock(ClockFacts("yes", 5.0), CONTEXT).verdict.value == "satisfied"
    assert tech_3.clock(ClockFacts("no", 5.0), CONTEXT).verdict.value == "unsatisfied"
    assert tech_3.clock(ClockFacts("yes", 16_000.0), CONTEXT).verdict.value == "unsatisfied"
