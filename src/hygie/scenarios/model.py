"""What a scenario is made of, and how long each part of the answer took. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from hygie.backups.drill import DrillCheck
from hygie.scenarios.sandbox import Sandbox

NOTICED_S_MAX = 60.0  # from the last event that a rule needs to its finding
TOLD_S_MAX = 30.0  # from the finding to the first notice


@dataclass(frozen=True, slots=True)
class Attack:
    """One act of the adversary. name: as the report says it; rule: that must speak of it; act: does it for real."""

    name: str
    rule: str
    act: Callable[[Sandbox], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attack, in seconds; None: did not come.

    noticed_s: from the event that made the rule speak to the finding; told_s: from the finding to the first notice that
    a receiver took; acknowledged_s: from the finding to somebody taking it in charge. finding: its id.
    """

    finding: str
    noticed_s: float | None
    told_s: float | None
    acknowledged_s: float | None


@dataclass(frozen=True, slots=True)
class After:
    """What holds when the attacks are over. figures: what was measured then, by name."""

    checks: list[DrillCheck]
    figures: dict[str, float] = field(default_factory=dict)


UNSEEN = Answer("", None, None, None)


def checks_of(attack: Attack, answer: Answer) -> list[DrillCheck]:
    """What the report says of one attack: noticed, told, taken in charge, in time."""
    parts = (("noticed", answer.noticed_s, NOTICED_S_MAX), ("told", answer.told_s, TOLD_S_MAX))
    found = [DrillCheck(f"{attack.name}: {word}", _within(s, most), _detail(s)) for word, s, most in parts]
    taken = answer.acknowledged_s
    return [*found, DrillCheck(f"{attack.name}: taken in charge", taken is not None, _detail(taken))]


def _within(seconds: float | None, most: float) -> bool:
    return seconds is not None and seconds <= most


def _detail(seconds: float | None) -> str:
    return "never" if seconds is None else f"{max(seconds, 0.0):.2f} s"
