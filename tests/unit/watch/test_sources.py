"""What sources give: one event a measurement and one for each of its parts, again when a page could not be kept."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hygie.watch.sources import Connection, MeasurementSource

ROW = (7, "capacity", 1_000, False, {"each": [{"name": "data", "used": 96}, {"name": "backup", "used": 10}, "x"]})


class Rows:
    """A connection that knows these measurements."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    async def execute(self, *_: object) -> Rows:
        return self

    async def fetchall(self) -> list[Any]:
        return self.rows


def test_each_part_is_an_event_and_a_page_that_was_not_kept_comes_again() -> None:
    async def main() -> None:
        source, connection = MeasurementSource(), cast("Connection", Rows([ROW]))
        await source.page(connection, 5)
        page = await source.page(connection, 5)
        assert [one.fields.get("facts.name") for one in page.events] == [None, "data", "backup", None]
        assert {one.rank for one in page.events} == {7}
        page.kept()
        assert (await source.page(connection, 7)).events == []

    asyncio.run(main())


def test_a_row_that_came_late_in_a_turn_that_failed_comes_again() -> None:
    async def main() -> None:
        source = MeasurementSource()
        before, after = ((number, "door", 1_000, True, {}) for number in (6, 8))
        (await source.page(cast("Connection", Rows([before, after])), 5)).kept()
        late = cast("Connection", Rows([before, ROW, after]))
        assert {one.rank for one in (await source.page(late, 8)).events} == {7}
        page = await source.page(late, 8)
        assert {one.rank for one in page.events} == {7}
        page.kept()
        assert (await source.page(late, 8)).events == []

    asyncio.run(main())
