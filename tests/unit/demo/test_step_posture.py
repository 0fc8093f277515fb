"""The step of the posture fails as soon as one thing that registers answer for does not hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hygie.demo.errors import DemoStepError
from hygie.demo.stage import Stage
from hygie.demo.step_posture import OPEN, TECHNICAL, posture
from hygie.proof.checks import CHECKS
from hygie.proof.controls.read import shipped_controls
from hygie.proof.cross.checks import cross_checks

IDS = [*(one.id for one in CHECKS), *(one.id for one in shipped_controls().checks)]
IDS += [one.card.id for one in cross_checks()]
COUNTS = {"total": 1, "satisfied": 1, "unsatisfied": 0, "unknown": 0, "not_applicable": 0}


def tell(verdicts: Mapping[str, str], warnings: list[Any] | None = None) -> list[str]:
    """What the step says of a posture in which every check is satisfied but for these."""
    checks = [{"id": name, "verdict": verdicts.get(name, "satisfied")} for name in IDS]
    found = {"checks": checks, "batch": 3, "summary": {"hds@2.0": COUNTS}}

    async def proof(_: object) -> object:
        return found, warnings or []

    stage = cast("Stage", SimpleNamespace(platform=SimpleNamespace(proof=proof)))
    return asyncio.run(posture(stage)).lines


@pytest.mark.parametrize("verdict", ["unsatisfied", "unknown"])
def test_each_check_that_does_not_hold_ends_the_story_by_its_name(verdict: str) -> None:
    for name in IDS:
        if name not in TECHNICAL | OPEN.keys():
            with pytest.raises(DemoStepError, match=name):
                tell({name: verdict})


def test_what_this_machine_cannot_settle_is_said_as_it_is() -> None:
    whole = tell({})
    assert set(IDS) >= set(OPEN)
    for name, said in OPEN.items():
        assert said.said() in tell({name: "unknown"})
        assert said.said() not in whole


def test_what_does_not_apply_is_no_fault_and_a_date_ahead_is_told() -> None:
    fields = {"title_fr": "audit", "title_en": "surveillance audit 2", "due_on": "2027-03-03"}
    lines = tell({"cross.production-served": "not_applicable"}, [SimpleNamespace(fields=fields)])
    assert any("2027-03-03" in line for line in lines)
