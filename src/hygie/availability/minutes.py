"""Minutes of service: which were up, which were down, which a declared window excludes. Pure, whole numbers only.

A minute is numbered since 1970 (UTC milliseconds // 60,000).  **A minute that nobody measured is down**: when the whole
machine is off, no probe runs, and those minutes are the ones that count.  An outside probe's word on a minute replaces
the local one; of two words of the same rank the worse one counts, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from hygie.base.civil import end_of_day_ms

MINUTE_MS = 60_000
LOCAL = "local"  # the source of the platform's own probe; others are outside
UP, SLOW, DOWN = "up", "slow", "down"
NO_PROBE = "no-probe"
_CODES = {UP: 1, SLOW: 2, DOWN: 3}  # 0: the service had not begun
_UNMEASURED, _EXCLUDED = 4, 5
_IS_DOWN = bytes(code in (_CODES[DOWN], _UNMEASURED) for code in range(256))
_WORSE = (UP, SLOW, DOWN)

Rhythm = Literal["monthly", "quarterly", "yearly"]
_MONTHS: dict[Rhythm, int] = {"monthly": 1, "quarterly": 3, "yearly": 12}


@dataclass(frozen=True, slots=True)
class Run:
    """Minutes one after the other in the same state. first, last: both included; reason: a code; worst_ms: the slowest
    answer of them."""

    source: str
    first: int
    last: int
    state: str
    reason: str
    worst_ms: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """One production environment. runs: of whatever source, in any order; since: its first minute that counts."""

    runs: Sequence[Run]
    since: int


@dataclass(frozen=True, slots=True)
class Span:
    """Minutes [start, end)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Period:
    """What a rate is counted over. name: ``2026-11``, ``2026-T4``, ``2026``; span: in civil time of Paris."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Outage:
    """Minutes [start, end) that count as down. reason: the first that a probe gave in them."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """Minutes of a span: up (slow ones among them), down, excluded by windows; before counting began, still to come.

    up + down + excluded + before + ahead = the minutes of the span. unmeasured: minutes of ``down`` that nobody
    measured; outside: minutes that an outside probe measured.
    """

    up: int
    slow: int
    down: int
    excluded: int
    before: int
    ahead: int
    unmeasured: int
    outside: int
    outages: Sequence[Outage]


def month_of(year: int, month: int) -> Period:
    """A calendar month of Paris. Raises: ValueError: no such month."""
    return _period(f"{date(year, month, 1):%Y-%m}", date(year, month, 1), 1)


def periods_until(day: date, rhythm: Rhythm, months: int) -> list[Period]:
    """The periods of a contract's rhythm that have a day in the last ``months`` months, oldest first."""
    found: dict[str, Period] = {}
    first = day.year * 12 + day.month - 1 - (months - 1)
    for number in range(first, first + months):
        one = period_at(date(number // 12, number % 12 + 1, 1), rhythm)
        found[one.name] = one
    return list(found.values())


def newest_periods(day: date, rhythm: Rhythm) -> list[Period]:
    """The period before the one that a day falls in, and that one."""
    return periods_until(day, rhythm, _MONTHS[rhythm] + 1)


def period_at(day: date, rhythm: Rhythm) -> Period:
    """The period of a rhythm that a day falls in."""
    length = _MONTHS[rhythm]
    month = (day.month - 1) // length * length + 1
    names = {1: f"{day:%Y-%m}", 3: f"{day.year}-T{(month + 2) // 3}", 12: f"{day.year}"}
    return _period(names[length], date(day.year, month, 1), length)


def tally(services: Sequence[Service], windows: Iterable[Span], span: Span, until: int) -> Tally:
    """Count one span. Time: some 3 ms a month, 15 with windows and outside probes.

    Args: services: the production environments of one client; a minute is up when all that are there are; windows:
    those that count; until: the first minute that is not over.
    """
    began = min((one.since for one in services), default=span.end)
    start, end = min(max(span.start, began), span.end), min(span.end, until)
    if start >= end:
        return Tally(0, 0, 0, 0, start - span.start, span.end - start, 0, 0, ())
    states, seen = bytes(end - start), bytes(end - start)
    for number, one in enumerate(services):
        its, outside = _states(one, start, end)
        states = bytes(map(max, states, its)) if number else its
        seen = bytes(map(max, seen, outside)) if number else outside
    mask = bytearray(end - start)
    for window in windows:
        _fill(mask, window.start - start, window.end - start, 1)
    if any(mask):
        states = bytes(_EXCLUDED if masked else state for masked, state in zip(mask, states, strict=True))
    unmeasured, slow = states.count(_UNMEASURED), states.count(_CODES[SLOW])
    return Tally(
        up=states.count(_CODES[UP]) + slow,
        slow=slow,
        down=states.count(_CODES[DOWN]) + unmeasured,
        excluded=states.count(_EXCLUDED),
        before=start - span.start,
        ahead=span.end - end,
        unmeasured=unmeasured,
        outside=len(seen) - seen.count(0),
        outages=_outages(states, [run for one in services for run in one.runs], start),
    )


def compact(source: str, minutes: Iterable[tuple[int, str, str, int]]) -> list[Run]:
    """Runs of minutes (minute, state, reason, ms) in any order, repeated ones at their worst."""
    worst: dict[int, tuple[str, str, int]] = {}
    for minute, state, reason, spent_ms in minutes:
        before = worst.get(minute)
        if before is None or _WORSE.index(state) > _WORSE.index(before[0]):
            worst[minute] = (state, reason, spent_ms)
    runs: list[Run] = []
    for minute, (state, reason, spent_ms) in sorted(worst.items()):
        last = runs[-1] if runs else None
        if last is not None and (last.last + 1, last.state, last.reason) == (minute, state, reason):
            runs[-1] = Run(source, last.first, minute, state, reason, max(last.worst_ms, spent_ms))
        else:
            runs.append(Run(source, minute, minute, state, reason, spent_ms))
    return runs


def _states(service: Service, start: int, end: int) -> tuple[bytes, bytes]:
    """Each minute's state, 0 before the service began; and which of them an outside probe measured."""
    local, outside = bytearray(end - start), bytearray(end - start)
    for state in _WORSE:  # the worst last, over the others
        for one in service.runs:
            if one.state == state:
                target = local if one.source == LOCAL else outside
                _fill(target, one.first - start, one.last + 1 - start, _CODES[state])
    if any(outside):
        local = bytearray(there or here for there, here in zip(outside, local, strict=True))
    found = local.replace(b"\0", bytes((_UNMEASURED,)))
    _fill(found, 0, service.since - start, 0)
    _fill(outside, 0, service.since - start, 0)
    return bytes(found), bytes(outside)


def _fill(target: bytearray, start: int, end: int, value: int) -> None:
    start, end = max(start, 0), min(end, len(target))
    if start < end:
        target[start:end] = bytes((value,)) * (end - start)


def _outages(states: bytes, runs: Sequence[Run], start: int) -> list[Outage]:
    """Spans of minutes that are down, in order."""
    shown = states.translate(_IS_DOWN)
    downs = sorted((one for one in runs if one.state == DOWN), key=lambda one: (one.source == LOCAL, one.first))
    found: list[Outage] = []
    at = shown.find(1)
    while at >= 0:
        end = shown.find(0, at)
        end = len(shown) if end < 0 else end
        reason = next((one.reason for one in downs if one.first < start + end and one.last >= start + at), NO_PROBE)
        found.append(Outage(start + at, start + end, reason))
        at = shown.find(1, end)
    return found


def _period(name: str, first: date, months: int) -> Period:
    number = first.year * 12 + first.month - 1 + months
    after = date(number // 12, number % 12 + 1, 1)
    return Period(name, Span(_midnight(first), _midnight(after)))


def _midnight(day: date) -> int:
    """The minute in which a civil day of Paris begins."""
    return (end_of_day_ms(day - timedelta(days=1)) + 1) // MINUTE_MS
