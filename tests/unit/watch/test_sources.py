"""What sources give: one event a measurement and one for each of its parts, again when a page could not be kept."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hygie.watch.sources import Connection, MeasurementSource

ROW = (7, "capacity", 1_000, False, {"each": [{"name": "data", "used": 96}, {"name": "backup", "used": 10}, "x"]})


class Rows:
    """A connection that knows one measurement."""

    async def execute(self, *_: object) -> Rows:
        return self

    async def fetchall(self) -> list[Any]:
        return [ROW]


def test_each_part_is_an_event_and_a_page_that_was_not_kept_comes_again() -> None:
    async def main() -> None:
        source, connection = MeasurementSource(), cast("Connection", Rows())
        page = await source.page(connection, 5)
        assert [one.fields.get("facts.name") for one in page.events] == [None, "data", "backup", None]
        assert {one.rank for one in page.events} == {7}
        source.again()
        assert len((await source.page(connection, 5)).events) == 4
        assert (await source.page(connection, 7)).events == []

    asyncio.run(main())
