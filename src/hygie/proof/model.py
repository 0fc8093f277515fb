"""The words of proof: obligation, check, outcome, finding, verdict. Pure.

Source: docs/reference/obligations.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from hygie.base.language import say
from hygie.base.settings import Settings

T = TypeVar("T")


class Text(NamedTuple):
    """One sentence in both languages."""

    fr: str
    en: str

    def said(self) -> str:
        """The sentence in the person's language."""
        return say(fr=self.fr, en=self.en)


def same(text: str) -> Text:
    """What reads alike in both languages: names, figures, codes."""
    return Text(text, text)


class Verdict(StrEnum):
    """What is known of an obligation, or of one check of it."""

    SATISFIED = "satisfied"
    UNSATISFIED = "unsatisfied"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class Evidence(StrEnum):
    """Where a finding comes from: a machine's measure, a named person's word, a document, a setting."""

    MEASURED = "measured"
    ATTESTED = "attested"
    EXTERNAL = "external"
    DECLARED = "declared"


class Status(StrEnum):
    """What an obligation is: the words of a text, what a treatment of risk derives from one, our own promise."""

    LITERAL = "literal"
    DERIVED = "derived"
    PROMISE = "promise"


@dataclass(frozen=True, slots=True)
class Obligation:
    """One obligation, with the requirements (HDS v2), controls (ISO 27001:2022) and articles (RGPD) it serves."""

    id: str
    title: Text
    proof: Text
    status: Status
    exi: tuple[str, ...]
    iso27001: tuple[str, ...]
    rgpd: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observed(Generic[T]):
    """A fact and when it was seen; or, with no value, the code of what prevented it from being seen."""

    value: T | None = None
    at_ms: int = 0
    failure: str = "not gathered"


@dataclass(frozen=True, slots=True)
class Context:
    """What checks may know beside their fact."""

    settings: Settings
    now_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check says. at_ms: when the evidence was collected, if earlier than the fact was read."""

    verdict: Verdict
    why: Text
    observed: Text
    declared: Text
    remedy: Text | None = None
    at_ms: int | None = None


Judge = Callable[[Any, Context], Outcome]


@dataclass(frozen=True, slots=True)
class Check:
    """A function from one fact to an outcome.

    fact: the field of ``Facts`` it judges; fresh_s: evidence older than this is unknown; sabotage: the test that has
    seen this check red after breaking the real thing, ``file::function`` under tests/sabotage; renew: what makes new
    evidence, when no loop of ``hygie work`` does; on_facts: which verdict no test has obtained through a probe, only by
    giving the check a fact made up for it, and why.
    """

    id: str
    title: Text
    proves: Text
    fact: str
    fresh_s: float
    sabotage: str
    judge: Judge = field(repr=False)
    evidence: Evidence = Evidence.MEASURED
    renew: Text | None = None
    on_facts: str = ""

    @property
    def obligation(self) -> str:
        """The obligation it speaks of."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check in one run. age_s: of its evidence, None when there is none."""

    check: Check
    outcome: Outcome
    age_s: float | None

    @property
    def verdict(self) -> Verdict:
        """The outcome's verdict."""
        return self.outcome.verdict


@dataclass(frozen=True, slots=True)
class ObligationResult:
    """The verdict on one obligation and the findings it rests on, worst first."""

    obligation: Obligation
    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def leading(self) -> Finding | None:
        """The finding that decides."""
        return self.findings[0] if self.findings else None

    @property
    def age_s(self) -> float | None:
        """Age of the oldest evidence among the findings that have some."""
        ages = [finding.age_s for finding in self.findings if finding.age_s is not None]
        return max(ages) if ages else None


def satisfied(why: Text, observed: Text, declared: Text, *, at_ms: int | None = None) -> Outcome:
    """The check passes."""
    return Outcome(Verdict.SATISFIED, why, observed, declared, None, at_ms)


def unsatisfied(why: Text, observed: Text, declared: Text, remedy: Text, *, at_ms: int | None = None) -> Outcome:
    """The check fails, and what to do."""
    return Outcome(Verdict.UNSATISFIED, why, observed, declared, remedy, at_ms)


def unknown(why: Text, observed: Text, declared: Text, remedy: Text, *, at_ms: int | None = None) -> Outcome:
    """Nobody knows, and what would make it known."""
    return Outcome(Verdict.UNKNOWN, why, observed, declared, remedy, at_ms)
