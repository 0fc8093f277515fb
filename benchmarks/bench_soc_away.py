"""A SOC's collector that is away while 2,000 events a second go on: none is lost, and how long until it is caught up.

``HYGIE_AWAY_S``: seconds of absence, 10 by default, 600 for the figure of docs/performance.md; ``HYGIE_RATE``: events a
second.  Events go on coming until it is caught up.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.collector import Collector, collecting
from benchmarks.installation import running
from benchmarks.journaling import appended, sealed
from hygie.app import House, opened
from hygie.base.soc import SyslogExport
from hygie.database.pool import Database
from hygie.journal.writer import JournalWriter
from hygie.watch import exports, memory
from hygie.watch.events import JOURNAL

AWAY_S = float(os.environ.get("HYGIE_AWAY_S", "10"))
RATE = int(os.environ.get("HYGIE_RATE", "2000"))
STEP_S = 0.1
BESIDE_S = 5.0  # before it goes
LEVEL = 2 * RATE  # entries: what a turn of the sealer and one of the export are behind
WAIT_S = 120 + 10 * AWAY_S


@dataclass
class World:
    """What is measured. lag: (entries that the export is behind, seconds that the oldest waits, entries that the rules
    are behind), one a second; written: entries so far."""

    house: House
    owner: Database
    export: SyslogExport
    lag: list[tuple[int, float, int]] = field(default_factory=list)
    written: int = 0
    over: bool = False


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name, collecting(Path(name) / "soc") as soc:
        export = soc.export()
        with running(soc=(export,)) as installation:
            installation.inside(partial(_measure, soc=soc, export=export))


async def _measure(house: House, *, soc: Collector, export: SyslogExport) -> None:
    async with opened(house.dsns.owner, size=2) as owner:
        world = World(house, owner, export)
        looking, writing = asyncio.create_task(_look(world)), asyncio.create_task(_write(world))
        began_s = time.perf_counter()
        try:
            await asyncio.sleep(BESIDE_S)
            await _until(world, lambda lag: lag[0] <= LEVEL)
            soc.leave()
            await asyncio.sleep(AWAY_S)
            behind, waited_s = world.lag[-1][:2]
            soc.begin()
            back_s = time.perf_counter()
            await _until(world, lambda lag: lag[0] < behind)
            noticed_s = time.perf_counter() - back_s
            await _until(world, lambda lag: lag[0] <= LEVEL)
            level_s = time.perf_counter() - back_s
        finally:
            world.over = True
            await writing
        rate = world.written / (time.perf_counter() - began_s)
        size = await sealed(owner)
        await _until(world, lambda lag: lag[0] == 0)
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        taken = soc.taken(size)
    print(f"{rate:,.0f} events/s arrived (asked for: {RATE:,}); the collector was away for {AWAY_S:.0f} s")
    print(f"behind when it came back: {behind:,} events, the oldest for {waited_s:.0f} s")
    print(f"noticed after {noticed_s:.0f} s, caught up after {level_s:.0f} s, while as many arrived")
    print(f"lost of {size:,}: {taken.lost}; twice: {taken.twice}")
    print(f"rules were at most {max(lag[2] for lag in world.lag):,} entries behind")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


async def _write(world: World) -> None:
    """So many events a second by the clock: what came late is made up for."""
    journal = JournalWriter(world.owner, world.house.month_keys, world.house.clock)
    began_s = time.perf_counter()
    while not world.over:
        due = int((time.perf_counter() - began_s) * RATE)
        count = min(due - world.written, RATE)
        if count > 0:
            await appended(journal, world.house, world.written, count)
            world.written += count
        await asyncio.sleep(STEP_S)
    await journal.close()


async def _look(world: World) -> None:
    while True:
        async with world.owner.transaction() as connection:
            (state,) = await exports.states(connection, (world.export,), world.house.clock.now_ms())
            size = await memory.journal_size(connection)
            rules = size - (await memory.cursors(connection)).get(JOURNAL, (size, 0))[0]
        if state.positions:
            world.lag.append((state.behind, state.waiting_ms / 1_000, rules))
        await asyncio.sleep(1.0)


async def _until(world: World, holds: Callable[[tuple[int, float, int]], bool]) -> None:
    """Wait for a look that comes from now on. Raises: TimeoutError."""
    seen = len(world.lag)
    async with asyncio.timeout(WAIT_S):
        while not any(holds(one) for one in world.lag[seen:]):
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    main()
