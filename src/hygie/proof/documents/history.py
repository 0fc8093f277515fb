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


def batch_figures(batches: Iterable[Batch]) -> Batches:
    """The figures. Args: batches: from the first one, in order, with the bodies of their runs."""
    read = msgspec.json.Decoder(_Said).decode
    last: dict[str, str] = {}
    totals: Counter[str] = Counter()
    days: dict[str, Counter[str]] = {}
    count, first_ms, last_ms, day = 0, 0, 0, ""
    for batch in batches:
        began = datetime.fromtimestamp(batch.at_ms / 1000, UTC).date().isoformat()
        if day and began != day:
            days[day] = Counter(last.values())
        for body in batch.bodies:
            said = read(body)
            last[said.check] = said.verdict
            totals[said.verdict] += 1
        count, day, last_ms = count + 1, began, batch.at_ms
        first_ms = first_ms or batch.at_ms
    if day:
        days[day] = Counter(last.values())
    history = [Day(one, dict(found)) for one, found in days.items()][-DAYS_MAX:]
    return Batches(count, totals.total(), first_ms, last_ms, dict(totals), history)
