"""Outcomes of checks on registers are judged anew when, and only when, they may differ; one that raises is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from hygie.evaluation import Judged, records_run
from hygie.proof.controls.conditions import Snapshot
from hygie.proof.controls.model import Condition, RegisterCheck
from hygie.proof.model import Verdict
from tests.unit.proof.controls.stage import NOON_MS, SCHEMAS, check, deal, snapshot

DAY_MS = 86_400_000
EVERY = check("every", must=(Condition(field="due_on", op="not-past"),))


class Schemed:
    """Registers of which only the schemas are asked."""

    schemas = SCHEMAS


class Watched(Snapshot):
    """Counts how often its records are read."""

    reads = 0

    def of(self, register: str) -> Any:
        Watched.reads += 1
        return super().of(register)


def seen(one: RegisterCheck, at: Snapshot, judged: Judged) -> tuple[Verdict, bool]:
    """The verdict, and whether the records were read for it."""
    Watched.reads = 0
    run = records_run(one, Watched(at.records, at.now_ms, at.tenants, at.seq), cast("Any", Schemed()), judged)
    assert run.ran_ms == at.now_ms
    return run.verdict, Watched.reads > 0


def test_an_outcome_holds_until_a_write_a_day_or_a_client() -> None:
    judged, at = Judged(), snapshot(deal(due_on="2026-11-27"))
    assert seen(EVERY, at, judged) == (Verdict.SATISFIED, True)
    assert seen(EVERY, replace(at, now_ms=NOON_MS + 60_000), judged) == (Verdict.SATISFIED, False)
    at = replace(at, seq=at.seq + 1)
    assert seen(EVERY, at, judged) == (Verdict.SATISFIED, True)
    at = replace(at, tenants=("chu",))
    assert seen(EVERY, at, judged) == (Verdict.SATISFIED, True)
    assert seen(EVERY, replace(at, now_ms=NOON_MS + DAY_MS), judged) == (Verdict.UNSATISFIED, True)


def test_what_is_on_time_is_judged_at_each_instant() -> None:
    judged, at = Judged(), snapshot(deal(asked_at="2026-11-26T11:00:00Z"))
    one = check("on-time", clocks=("answer",))
    assert seen(one, at, judged) == (Verdict.SATISFIED, True)
    assert seen(one, replace(at, now_ms=NOON_MS + 1_000), judged) == (Verdict.UNSATISFIED, True)


def test_a_check_that_raises_is_unknown_with_its_code() -> None:
    run = records_run(check("some", register="nothing"), snapshot(), cast("Any", Schemed()), Judged())
    assert run.verdict is Verdict.UNKNOWN
    assert "HYG-3A0" in run.why.fr
