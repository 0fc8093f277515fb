"""From facts to verdicts: what is absent, old or broken is unknown, and unknown is never green."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hygie.base.errors import UnavailableError
from hygie.base.hardening import Swap
from hygie.base.settings import default_settings
from hygie.proof.checks import CHECKS
from hygie.proof.facts import Facts
from hygie.proof.judge import AHEAD_MS, duration, judge_all, judge_check, judge_obligation
from hygie.proof.model import Check, Context, Finding, Observed, Outcome, Verdict, same, satisfied, unsatisfied
from hygie.proof.obligations import technical_obligations

NOW_MS = 1_800_000_000_000
CONTEXT = Context(default_settings(), NOW_MS)
SWAP = next(check for check in CHECKS if check.id == "tech-1.swap")
WORD = same("a word")


def facts(*, age_s: float = 0.0, swap: Swap | None = None) -> Facts:
    return Facts(swap=Observed(swap or Swap(safe="yes"), at_ms=NOW_MS - int(age_s * 1000)))


def test_nothing_gathered_is_unknown_everywhere() -> None:
    results = judge_all(technical_obligations(), CHECKS, Facts(), CONTEXT)
    assert {finding.verdict for one in results for finding in one.findings} == {Verdict.UNKNOWN}
    assert {one.verdict for one in results} == {Verdict.UNKNOWN}
    assert {one.age_s for one in results} == {None}


def test_a_probe_that_failed_says_its_code_and_nothing_else() -> None:
    finding = judge_check(SWAP, Facts(swap=Observed(failure="HYG-410")), CONTEXT)
    assert finding.verdict is Verdict.UNKNOWN
    assert "HYG-410" in finding.outcome.why.en
    assert finding.age_s is None


@pytest.mark.parametrize(
    ("error", "code"), [(UnavailableError(part="x"), "HYG-400"), (ValueError("secret"), "ValueError")]
)
def test_a_check_that_raises_is_unknown(error: Exception, code: str) -> None:
    def broken(_: object, __: Context) -> Outcome:
        raise error

    finding = judge_check(replace(SWAP, judge=broken), facts(), CONTEXT)
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.outcome.why.en == f"Not observed ({code})."


def test_evidence_expires_to_unknown_never_to_green() -> None:
    assert judge_check(SWAP, facts(age_s=SWAP.fresh_s - 1), CONTEXT).verdict is Verdict.SATISFIED
    late = judge_check(SWAP, facts(age_s=SWAP.fresh_s + 1), CONTEXT)
    assert late.verdict is Verdict.UNKNOWN
    assert late.age_s == SWAP.fresh_s + 1
    red = judge_check(SWAP, facts(age_s=SWAP.fresh_s + 1, swap=Swap("no", ("/dev/sda2",))), CONTEXT)
    assert red.verdict is Verdict.UNSATISFIED


def test_the_age_is_that_of_the_evidence_not_of_the_look() -> None:
    def judge(_: object, context: Context) -> Outcome:
        return satisfied(WORD, WORD, WORD, at_ms=context.now_ms - 90_000)

    finding = judge_check(replace(SWAP, judge=judge, fresh_s=100), facts(), CONTEXT)
    assert (finding.verdict, finding.age_s) == (Verdict.SATISFIED, 90.0)
    assert judge_check(replace(SWAP, judge=judge, fresh_s=80), facts(), CONTEXT).verdict is Verdict.UNKNOWN


def test_evidence_from_a_clock_that_was_ahead_is_not_fresh_until_that_date() -> None:
    assert judge_check(SWAP, facts(age_s=-AHEAD_MS / 1000), CONTEXT).verdict is Verdict.SATISFIED
    finding = judge_check(SWAP, facts(age_s=-AHEAD_MS / 1000 - 1), CONTEXT)
    assert (finding.verdict, finding.age_s) == (Verdict.UNKNOWN, None)
    red = judge_check(SWAP, facts(age_s=-86_400, swap=Swap("no", ("/dev/sda2",))), CONTEXT)
    assert red.verdict is Verdict.UNSATISFIED


def finding_of(verdict: Verdict, age_s: float | None = 1.0) -> Finding:
    return Finding(SWAP, Outcome(verdict, same(verdict.value), WORD, WORD), age_s)


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([], Verdict.UNKNOWN),
        ([Verdict.SATISFIED], Verdict.SATISFIED),
        ([Verdict.SATISFIED, Verdict.NOT_APPLICABLE], Verdict.SATISFIED),
        ([Verdict.SATISFIED, Verdict.UNKNOWN], Verdict.UNKNOWN),
        ([Verdict.UNKNOWN, Verdict.UNSATISFIED, Verdict.SATISFIED], Verdict.UNSATISFIED),
        ([Verdict.NOT_APPLICABLE], Verdict.NOT_APPLICABLE),
    ],
)
def test_the_worst_finding_decides(verdicts: list[Verdict], whole: Verdict) -> None:
    result = judge_obligation(technical_obligations()[0], [finding_of(verdict) for verdict in verdicts])
    assert result.verdict is whole
    assert (result.leading.verdict if result.leading else Verdict.UNKNOWN) is whole


def test_the_age_of_an_obligation_is_that_of_its_oldest_evidence() -> None:
    ages = [finding_of(Verdict.SATISFIED, 3.0), finding_of(Verdict.SATISFIED, 40.0), finding_of(Verdict.UNKNOWN, None)]
    assert judge_obligation(technical_obligations()[0], ages).age_s == 40.0


def test_durations_for_people() -> None:
    assert [duration(s).fr for s in (0.4, 59, 61, 7_200, 172_800)] == ["0 s", "59 s", "1 min", "2 h", "2 j"]
    assert duration(172_800).en == "2 d"


def test_a_red_finding_says_what_to_do() -> None:
    assert unsatisfied(WORD, WORD, WORD, same("do it")).remedy == same("do it")


@pytest.mark.parametrize("check", CHECKS, ids=[check.id for check in CHECKS])
def test_checks_say_what_they_are_in_both_languages(check: Check) -> None:
    assert check.title.fr
    assert check.title.en
    assert check.proves.fr
    assert check.proves.en
    assert check.fresh_s > 0
