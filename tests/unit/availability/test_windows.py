"""What a year has room for, and what of windows comes back from the journal, on a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hygie.app import opened
from hygie.availability import store
from hygie.availability.errors import WindowsSpentError
from hygie.availability.minutes import MINUTE_MS, Span
from hygie.availability.store import Window
from hygie.availability.windows import (
    FROM_JOURNAL,
    YEAR_MINUTES_MAX,
    YEAR_WINDOWS_MAX,
    check_year,
    declared_detail,
    take_back,
)
from hygie.backups.published import Published
from hygie.base.actions import Action
from hygie.database.cluster import Dsns
from hygie.journal.entry import Entry

TENANT, KEY, HOUR = b"t" * 16, b"k" * 32, 60


def minute(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) // 60  # type: ignore[arg-type, misc]


def window(first: int, minutes: int = HOUR, number: int = 0, cancelled_ms: int | None = None) -> Window:
    declared_ms = (first - 100 * HOUR) * MINUTE_MS
    return Window(f"{number:016x}", TENANT, Span(first, first + minutes), "kernel", declared_ms, 72, cancelled_ms)


def test_a_year_has_room_for_so_many_windows_and_so_many_minutes() -> None:
    """A year of Paris, in which the window begins; what was withdrawn takes a place, and no minute."""
    spring, winter = minute(2026, 3, 2), minute(2026, 12, 31, 23)  # the first hour of 2027 in Paris
    many = [window(spring + number * HOUR, 1, number) for number in range(YEAR_WINDOWS_MAX)]
    check_year("chu", many[1:], window(spring))
    check_year("chu", many, window(winter))
    withdrawn = [replace(one, cancelled_ms=1) for one in many]
    for known in (many, withdrawn):
        with pytest.raises(WindowsSpentError):
            check_year("chu", known, window(spring))
    long = window(spring, YEAR_MINUTES_MAX - HOUR)
    check_year("chu", [long], window(spring, HOUR))
    with pytest.raises(WindowsSpentError) as refusal:
        check_year("chu", [long], window(spring, HOUR + 1))
    assert (refusal.value.facts["year"], refusal.value.code) == (2026, "HYG-1N3")
    check_year("chu", [replace(long, cancelled_ms=1)], window(spring, HOUR + 1))


def entry(one: Window, action: Action = Action.AVAILABILITY_DECLARE, at_ms: int | None = None) -> Entry:
    at_ms = one.declared_ms if at_ms is None else at_ms
    return Entry(action, "done", "administration", at_ms, tenant_id=TENANT, detail=declared_detail(one))


def test_what_the_journal_says_was_declared_comes_back_and_counts_as_it_did(database: Dsns) -> None:
    """In time or not, withdrawn or not; what is there stays; a declaration whose words are none is passed over."""
    start = minute(2026, 12, 6, 21)
    kept, late, withdrawn = window(start, number=1), window(start, number=2), window(start, number=3)
    late = replace(late, declared_ms=start * MINUTE_MS - 71 * 3_600_000)
    published = Published()
    wrong = entry(kept)
    for index, one in enumerate(
        (
            entry(kept), entry(late), entry(withdrawn), entry(withdrawn, Action.AVAILABILITY_CANCEL, at_ms=9),
            replace(wrong, detail=wrong.detail | {"window": "x"}), replace(wrong, detail={}),
            replace(wrong, detail=wrong.detail | {"from": "soon"}),
            replace(wrong, detail=wrong.detail | {"window": "f" * 16, "to": wrong.detail["from"]}),
            replace(entry(window(start, number=4)), outcome="refused"),
        )
    ):  # fmt: skip
        published.take(index, one)

    async def main() -> None:
        async with opened(database.owner, size=1) as owner, owner.transaction() as connection:
            await store.declare(connection, KEY, window(start, number=5))
            assert await take_back(connection, KEY, published.windows) == 3
            found = {one.id: (one, counts) for one, counts in await store.windows_of(connection, KEY, TENANT)}
            assert found[kept.id] == (replace(kept, reason=FROM_JOURNAL), True)
            assert {int(id_, 16): counts for id_, (_, counts) in found.items()} == {
                1: True,
                2: False,
                3: False,
                5: True,
            }
            assert found[withdrawn.id][0].cancelled_ms == 9
            assert await take_back(connection, KEY, published.windows) == 0

    asyncio.run(main())
