"""The words of hardening: point, what was seen of it, baseline, exception, report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["kept", "not_kept", "not_applicable", "cannot_tell"]
STATES: tuple[State, ...] = ("not_kept", "cannot_tell", "not_applicable", "kept")
Level = Literal["minimal", "intermediary", "enhanced", "own"]
ReportKind = Literal["lynis", "openscap", "sslyze"]
REPORT_KINDS: tuple[ReportKind, ...] = ("lynis", "openscap", "sslyze")


@dataclass(frozen=True, slots=True)
class Point:
    """One point of hardening.

    source: ``ANSSI-BP-028 R9``, or ``Hygie`` where the guide has none; level: of the guide; look: which function looks
    (``sysctl``, ``uid-zero``…), with its values in ``asks``; watched: no value is better than another, only a change
    from the baseline counts.
    """

    id: str
    fr: str
    en: str
    source: str
    level: Level
    why_fr: str
    why_en: str
    look: str
    asks: Mapping[str, Any] = field(default_factory=dict)
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one point. value: as measured, in few words or figures, the same as long as nothing changes."""

    state: State
    value: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A point in a measurement. drift_ms: since when it differs from the baseline; None: it does not."""

    state: State
    value: str
    drift_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """The state that somebody accepted. at_ms: when; points: id → what it was then."""

    at_ms: int
    who: str
    reason: str
    points: Mapping[str, Seen]


@dataclass(frozen=True, slots=True)
class Waiver:
    """A point that may be not kept, or not seen, until an instant."""

    point: str
    from_ms: int
    until_ms: int
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What another program said of the machine. at_ms: when it ran, by its own word; counts: its figures by name;
    passed: by the rule of its kind; sha256: of the file, in hexadecimal."""

    kind: ReportKind
    at_ms: int
    passed: bool
    counts: Mapping[str, int]
    sha256: str
    imported_ms: int = 0


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """The newest measurement held to the newest baseline. at_ms: None when the machine was never measured; waivers: the
    newest of each point, over or not."""

    at_ms: int | None
    points: Mapping[str, Measured]
    baseline: Baseline | None
    waivers: Mapping[str, Waiver]
    reports: tuple[Report, ...] = ()

    @property
    def drifts(self) -> dict[str, int]:
        """Points that differ from the baseline, and since when. A baseline accepts what was last measured before it."""
        since_ms = self.baseline.at_ms if self.baseline is not None else 0
        return {
            name: one.drift_ms
            for name, one in self.points.items()
            if one.drift_ms is not None and one.drift_ms >= since_ms
        }

    def waived(self, point: str, now_ms: int) -> bool:
        """Whether an exception covers a point now."""
        found = self.waivers.get(point)
        return found is not None and found.from_ms <= now_ms < found.until_ms

    def left(self, state: State, now_ms: int) -> list[str]:
        """Points in a state without an exception that holds now."""
        return [name for name, one in self.points.items() if one.state == state and not self.waived(name, now_ms)]
