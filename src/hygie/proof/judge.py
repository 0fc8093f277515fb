"""From facts to verdicts. Pure: a check that cannot judge is unknown, evidence that is old is unknown."""

from __future__ import annotations

from collections.abc import Sequence

from hygie.base.errors import HygieError
from hygie.proof.facts import Facts
from hygie.proof.model import (
    Check,
    Context,
    Finding,
    Obligation,
    ObligationResult,
    Observed,
    Outcome,
    Text,
    Verdict,
    same,
    unknown,
)

AHEAD_MS = 300_000  # what is dated later than this from now was dated by a clock that was wrong, or this one is
_WORST_FIRST = (Verdict.UNSATISFIED, Verdict.UNKNOWN, Verdict.SATISFIED, Verdict.NOT_APPLICABLE)


def judge_check(check: Check, facts: Facts, context: Context) -> Finding:
    """Run one check; whatever happens, there is a finding."""
    observed: Observed[object] = getattr(facts, check.fact)
    if observed.value is None:
        return Finding(check, _not_observed(observed.failure), None)
    try:
        outcome = check.judge(observed.value, context)
    except Exception as error:  # a check that raised proves nothing: unknown, with its code
        return Finding(check, _not_observed(code_of(error)), None)
    at_ms = observed.at_ms if outcome.at_ms is None else outcome.at_ms
    age_s = max(context.now_ms - at_ms, 0) / 1000 if at_ms else None
    if at_ms and at_ms > context.now_ms + AHEAD_MS and outcome.verdict is not Verdict.UNSATISFIED:
        return Finding(check, _of_the_future(outcome), None)
    if age_s is not None and age_s > check.fresh_s and outcome.verdict is not Verdict.UNSATISFIED:
        outcome = _expired(outcome, check, age_s)
    return Finding(check, outcome, age_s)


def judge_obligation(obligation: Obligation, findings: Sequence[Finding]) -> ObligationResult:
    """One red makes red; else one unknown makes unknown; nothing checked is unknown."""
    ordered = tuple(sorted(findings, key=lambda finding: _WORST_FIRST.index(finding.verdict)))
    verdict = ordered[0].verdict if ordered else Verdict.UNKNOWN
    return ObligationResult(obligation, verdict, ordered)


def judge_all(
    obligations: Sequence[Obligation], checks: Sequence[Check], facts: Facts, context: Context
) -> list[ObligationResult]:
    """The verdict on every obligation."""
    findings = [judge_check(check, facts, context) for check in checks]
    return [
        judge_obligation(one, [finding for finding in findings if finding.check.obligation == one.id])
        for one in obligations
    ]


def code_of(error: BaseException) -> str:
    """What may be told of an error: its code, or its type. Never its text, which may repeat a value."""
    return error.code if isinstance(error, HygieError) else type(error).__name__


def duration(seconds: float) -> Text:
    """A span for people, rounded to its first unit."""
    for size_s, fr, en in ((86_400, "j", "d"), (3_600, "h", "h"), (60, "min", "min")):
        if seconds >= size_s:
            return Text(f"{seconds / size_s:.0f} {fr}", f"{seconds / size_s:.0f} {en}")
    return same(f"{seconds:.0f} s")


def _not_observed(code: str) -> Outcome:
    return unknown(
        Text(f"Non observé ({code}).", f"Not observed ({code})."),
        same("—"),
        same("—"),
        Text("Démarrez l'installation (hygie up), puis recommencez.", "Start the installation (hygie up), then retry."),
    )


def _of_the_future(outcome: Outcome) -> Outcome:
    return Outcome(
        Verdict.UNKNOWN,
        Text("Preuve datée du futur : l'horloge a menti.", "Evidence dated in the future: a clock was wrong."),
        outcome.observed,
        outcome.declared,
        Text("Vérifiez l'horloge de la machine.", "Check the machine's clock."),
        outcome.at_ms,
    )


def _expired(outcome: Outcome, check: Check, age_s: float) -> Outcome:
    age, limit = duration(age_s), duration(check.fresh_s)
    return Outcome(
        Verdict.UNKNOWN,
        Text(f"Preuve périmée : {age.fr}, au plus {limit.fr}.", f"Evidence expired: {age.en} old, at most {limit.en}."),
        outcome.observed,
        outcome.declared,
        check.renew or Text("Vérifiez que hygie work tourne.", "Check that hygie work runs."),
        outcome.at_ms,
    )
