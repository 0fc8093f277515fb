"""The step of the drills: what a report becomes in the register, and a drill that fails ends the story."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hygie.demo.errors import DemoStepError
from hygie.demo.step_drills import _drill, _measured

REPORT = {
    "drill_id": "restore-1", "started_at_ms": 1_795_818_000_500, "ended_at_ms": 1_795_818_000_900,
    "rto_s": 61.0, "rpo_s": 0.4, "figures": {"resources": 12.0},
}  # fmt: skip


def test_measures_are_rounded_up_to_minutes_and_a_drill_ends_after_it_began() -> None:
    fields = _measured(REPORT, "ab" * 32)
    assert (fields["measured_rto_min"], fields["measured_rpo_min"]) == (2, 1)
    assert (fields["started_at"], fields["ended_at"]) == ("2026-11-27T22:20:00Z", "2026-11-27T22:20:01Z")
    assert (fields["objects_restored"], fields["platform_report"]) == (12, "restore-1")


def test_a_drill_that_cannot_be_done_ends_the_story(tmp_path: Path) -> None:
    with pytest.raises(DemoStepError, match="restore"):
        asyncio.run(_drill(tmp_path, "restore"))
