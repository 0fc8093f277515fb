"""Exports to a SOC: events a second from the journal's rows to a receiver that took them, by kind, and what is lost."""

from __future__ import annotations

import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.collector import Collector, collecting
from benchmarks.installation import running
from benchmarks.journaling import appended, sealed
from hygie.app import House, opened
from hygie.base.soc import ExportSettings, OcsfExport
from hygie.database.pool import Database
from hygie.feeding import Feeder
from hygie.journal.writer import JournalWriter
from hygie.watch.sources import JournalSource

ENTRIES = int(os.environ.get("HYGIE_ENTRIES", "60000"))
PAGE = 1_000
GOAL_EVENTS_S = 2_000


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name, collecting(Path(name) / "soc") as soc, running() as installation:
        installation.inside(partial(_measure, soc=soc, folder=Path(name)))


async def _measure(house: House, *, soc: Collector, folder: Path) -> None:
    async with opened(house.dsns.owner, size=2) as owner, opened(house.dsns.watch, size=1) as database:
        journal = JournalWriter(owner, house.month_keys, house.clock)
        for start in range(0, ENTRIES, PAGE):
            await appended(journal, house, start, min(PAGE, ENTRIES - start))
        await journal.close()
        size = await sealed(owner)
        path = folder / "soc.jsonl"
        for export in (soc.export(), OcsfExport(name="bench-ocsf", path=str(path), since="beginning")):
            spent_s = await _export(house, database, export)
            kind = type(export).__name__
            print(f"{kind}: {size} events in {spent_s:.1f} s, {size / spent_s:,.0f}/s (goal {GOAL_EVENTS_S:,}/s)")
        taken = soc.taken(size)
        lines = [json.loads(line) for one in sorted(folder.glob("soc.jsonl*")) for line in one.read_text().splitlines()]
        lost = len(set(range(size)) - {one["metadata"]["sequence"] for one in lines})
        print(f"lost of {size}: syslog {taken.lost} (twice: {taken.twice}), file {lost}")
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


async def _export(house: House, database: Database, export: ExportSettings) -> float:
    source = JournalSource(await house.journal_reader(database), skipped=frozenset())
    only = msgspec.structs.replace(export, sources=("journal", "findings"))
    feeder = Feeder(only, house, database, {source.name: source}, await house.origin())
    await feeder.begin()
    began = time.perf_counter()
    while await feeder.turn():
        pass
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
