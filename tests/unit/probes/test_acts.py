"""Acts followed in the journal from one look to the next: each once, whatever interrupts a look; none silently left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.base.errors import UnavailableError
from hygie.journal.entry import Entry, seal_entry
from hygie.journal.leaf import read_head
from hygie.journal.reader import Found
from hygie.probes import acts
from hygie.probes.acts import ActsWatch

NOW_MS = 1_800_000_000_000
BUNDLE = 3


def entry(number: int, *, account: str = "local:paul", kind: str = "administration", days: float = -1) -> Entry:
    at_ms = NOW_MS + int(days * acts.DAY_MS) + number
    return Entry(action=Action.KEY_ROTATE, outcome="done", kind=kind, at_ms=at_ms, account=account)


class Journal:
    """A published journal in bundles of three, and its reader. fails_at: the index whose key is not to be had."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.fails_at: int | None = None
        self.clock = SimpleNamespace(now_ms=lambda: NOW_MS)
        self.dsns = SimpleNamespace(sealer="")

    @property
    def head(self) -> Any:
        return SimpleNamespace(size=len(self.entries))

    async def journal_reader(self, _records: object) -> Any:
        return self

    async def tree(self) -> tuple[Any, None]:
        return self, None

    async def bundles(self, first: int, end: int) -> AsyncIterator[tuple[int, list[bytes]]]:
        for start in range(first, end, BUNDLE):
            yield (
                start,
                [seal_entry(one, month_key=bytes(32)) for one in self.entries[start : min(start + BUNDLE, end)]],
            )

    async def open(self, index: int, leaf: bytes) -> Found:
        if index == self.fails_at:
            raise UnavailableError(part="kms")
        return Found(index, read_head(leaf), self.entries[index])


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def none(_dsn: str, *, size: int) -> AsyncIterator[int]:
        yield size

    async def nobody(_records: object) -> dict[bytes, str]:
        return {}

    monkeypatch.setattr(acts, "opened", none)
    monkeypatch.setattr(acts, "_names", nobody)


def look(watch: ActsWatch) -> tuple[list[int], bool]:
    """Ranks of the acts that a look brings back, and whether they are all there are."""
    found = asyncio.run(watch.look())
    return [one.at_ms % 1000 for one in found.acts], found.whole


def test_acts_of_people_are_followed_from_one_look_to_the_next() -> None:
    journal: Any = Journal([entry(0), entry(1, account="system:work"), entry(2, kind="access"), entry(3, days=-40)])
    watch = ActsWatch(journal)
    assert look(watch) == ([0], True)
    journal.entries += [entry(4), entry(5)]
    assert look(watch) == ([0, 4, 5], True)
    assert look(watch) == ([0, 4, 5], True)


def test_an_act_is_told_once_when_a_look_stops_on_the_way() -> None:
    journal: Any = Journal([entry(number) for number in range(7)])
    journal.fails_at = 5
    watch = ActsWatch(journal)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            look(watch)
    journal.fails_at = None
    assert look(watch) == (list(range(7)), True)


def test_more_acts_than_are_kept_are_never_taken_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "ACTS_MAX", 4)
    journal: Any = Journal([entry(number) for number in range(6)])
    watch = ActsWatch(journal)
    assert look(watch) == ([2, 3, 4, 5], False)
    assert look(watch) == ([2, 3, 4, 5], False)
    journal.clock = SimpleNamespace(now_ms=lambda: NOW_MS + 35 * acts.DAY_MS)  # those that were left are too old now
    journal.entries += [entry(7, days=30)]
    assert look(watch) == ([7], True)
