"""Figures of the evaluations up to a date: how many, and where checks stood at the end of each day. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from hygie.proof.documents.model import Batches, Day
from hygie.proof.runs import Batch

DAYS_MAX = 366  # of the history: a year shows a cycle of surveillance


class _Said(msgspec.Struct):
    """What a run's body says of its verdict."""

    check: str
    verdict: str


class BatchFigures:
    """The figures being counted, batch after batch."""

    def __init__(self) -> None:
        self._read = msgspec.json.Decoder(_Said).decode
        self._last: dict[str, str] = {}
        self._totals: Counter[str] = Counter()
        self._days: dict[str, Counter[str]] = {}
        self._count = self._first_ms = self._last_ms = 0

    def add(self, batch: Batch) -> None:
        """Count a batch. Args: batch: the next one, with the bodies of its runs."""
        day = _day(batch.at_ms)
        if self._count and day != _day(self._last_ms):
            self._close_day()
        for body in batch.bodies:
            said = self._read(body)
            self._last[said.check] = said.verdict
            self._totals[said.verdict] += 1
        self._count, self._last_ms = self._count + 1, batch.at_ms
        self._first_ms = self._first_ms or batch.at_ms

    def told(self) -> Batches:
        """The figures so far."""
        if self._count:
            self._close_day()
        history = [Day(one, dict(sorted(found.items()))) for one, found in self._days.items()][-DAYS_MAX:]
        by_verdict = dict(sorted(self._totals.items()))
        return Batches(self._count, self._totals.total(), self._first_ms, self._last_ms, by_verdict, history)

    def _close_day(self) -> None:
        self._days[_day(self._last_ms)] = Counter(self._last.values())


def batch_figures(batches: Iterable[Batch]) -> Batches:
    """The figures. Args: batches: from the first one, in order, with the bodies of their runs."""
    figures = BatchFigures()
    for batch in batches:
        figures.add(batch)
    return figures.told()


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
