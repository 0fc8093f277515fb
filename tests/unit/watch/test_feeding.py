"""One export over a real database: the cursor moves after the receiver took all, and what waits is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from hygie import feeding
from hygie.app import opened
from hygie.base.layout import DataFolder
from hygie.base.soc import OcsfExport
from hygie.database.cluster import Dsns
from hygie.feeding import BATCH_MAX, Feeder, measure_exports, states_of
from hygie.watch.channels import Wire
from hygie.watch.errors import ExportUnreachableError
from hygie.watch.events import MEASUREMENT, Event
from hygie.watch.sources import MeasurementSource

NOW_MS = 1_780_000_000_000
EXPORT = OcsfExport(name="lake", path="lake.jsonl", sources=("measurement",), since="beginning")


class Receiver:
    """Takes batches up to ``most`` events; a larger one lasts too long."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self.sizes: list[int] = []
        self.most = 10**9

    def __call__(self, _: object, __: object, events: Sequence[Event], ___: str, wire: Wire) -> None:
        self.sizes.append(len(events))
        if len(events) > self.most:
            wire.cut()
            raise ExportUnreachableError(export="lake", reason="timeout")
        self.came += [one.rank for one in events]


@pytest.fixture(scope="module")
def dsns(new_database: Callable[[], Dsns]) -> Dsns:
    return new_database()


def measured(dsns: Dsns, count: int, at_ms: int) -> list[int]:
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        query = (
            "INSERT INTO hygie.measurement (kind, at_ms, passed, facts)"
            " SELECT 'door', %s, true, '{}' FROM generate_series(1, %s) RETURNING id"
        )
        return [row[0] for row in owner.execute(query, (at_ms, count)).fetchall()]


def test_nothing_moves_before_it_is_taken_and_batches_shrink(dsns: Dsns, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver()
    monkeypatch.setattr(feeding, "hand_over", receiver)
    house: Any = SimpleNamespace(
        clock=SimpleNamespace(now_ms=lambda: NOW_MS),
        folder=DataFolder.at(Path("/nowhere")),
        settings=SimpleNamespace(soc=(EXPORT,)),
    )
    ids = measured(dsns, 2_000, NOW_MS - 10 * 60_000)

    async def main() -> None:
        async with opened(dsns.watch, size=1) as database:

            async def state() -> Any:
                (one,) = await states_of((EXPORT,), database, house.clock)
                return one

            def feeder() -> Feeder:
                return Feeder(EXPORT, house, database, {MEASUREMENT: MeasurementSource()}, "hygie/x")

            assert (await state()).late  # never begun
            receiver.most = 300
            one = feeder()
            await one.begin()
            assert ((await state()).waiting_ms, (await state()).late) == (10 * 60_000, True)
            await measure_exports(house, database)
            for _ in range(3):  # 2,000, 1,000, 500: each lasts too long
                with pytest.raises(ExportUnreachableError):
                    await one.turn()
                await one.fail("HYG-4W7 timeout")
            assert ((await state()).sent, (await state()).code) == (0, "HYG-4W7 timeout")
            while await one.turn():
                pass
            assert receiver.sizes[:4] == [BATCH_MAX, 1_000, 500, 250]
            assert receiver.came[:2_000] == ids
            assert (await state()).code == ""
            again = feeder()  # as after a kill: from the cursor
            await again.begin()
            more = measured(dsns, 3, NOW_MS)
            receiver.most, receiver.came = 10**9, []
            await again.turn()
            assert receiver.came[-3:] == more
            assert not set(receiver.came) & set(ids)
            assert not (await state()).late

    asyncio.run(main())
    with psycopg.connect(dsns.owner) as owner:
        rows = owner.execute("SELECT passed, facts FROM hygie.measurement WHERE kind = 'exports'").fetchall()
    assert rows == [(False, {"exports": 1, "late": ["lake"], "behind": {"lake": 0}, "waiting_s": {"lake": 600}})]
