"""The last step must be able to fail: a table that hides what broke, or that is green where no machine alone can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hygie.demo import step_status
from hygie.demo.errors import DemoStepError
from hygie.demo.stage import Stage
from hygie.proof.checks import CHECKS
from hygie.proof.judge import judge_obligation
from hygie.proof.model import Finding, ObligationResult, Outcome, Verdict, same
from hygie.proof.obligations import technical_obligations

STAGE = cast("Stage", SimpleNamespace(platform=SimpleNamespace(folder=SimpleNamespace(path=None))))


def results(green: Collection[str]) -> list[ObligationResult]:
    findings = []
    for check in CHECKS:
        verdict = Verdict.SATISFIED if check.id in green else Verdict.UNSATISFIED
        findings.append(Finding(check, Outcome(verdict, same("why"), same("-"), same("-"), same("do")), 1.0))
    return [
        judge_obligation(one, [finding for finding in findings if finding.check.obligation == one.id])
        for one in technical_obligations()
    ]


def tell(monkeypatch: pytest.MonkeyPatch, found: list[ObligationResult]) -> dict[str, Any]:
    @asynccontextmanager
    async def open_house(_: object) -> AsyncIterator[None]:
        yield

    async def judge(_: object) -> list[ObligationResult]:
        return found

    monkeypatch.setattr(step_status, "open_house", open_house)
    monkeypatch.setattr(step_status, "judge_platform", judge)
    return asyncio.run(step_status.status(STAGE)).facts


def test_the_story_ends_with_a_table_that_says_both(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tell(monkeypatch, results(step_status.HELD))
    assert facts["verdicts"]["tech-7"] == "unsatisfied"


def test_a_table_without_what_was_shown_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for lost in sorted(step_status.HELD):
        with pytest.raises(DemoStepError, match=lost):
            tell(monkeypatch, results(step_status.HELD - {lost}))


def test_a_table_that_is_green_on_one_machine_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for false in sorted(step_status.NEVER_HERE):
        with pytest.raises(DemoStepError, match=false):
            tell(monkeypatch, results(step_status.HELD | {false}))


def test_a_table_that_lacks_an_obligation_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DemoStepError):
        tell(monkeypatch, results(step_status.HELD)[1:])
