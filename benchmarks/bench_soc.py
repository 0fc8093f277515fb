"""Exports to a SOC: events a second from the journal's rows to a receiver that took them, by each kind."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from functools import partial
from multiprocessing.synchronize import Event as Flag
from pathlib import Path

import msgspec

from benchmarks.installation import running
from hygie.app import House, opened
from hygie.base.actions import Action
from hygie.base.soc import ExportSettings, OcsfExport, SyslogExport
from hygie.database.pool import Database
from hygie.feeding import Feeder
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.watch import memory
from hygie.watch.sources import JournalSource
from tests.unit.watch.soc_receiver import Papers, collecting, papers

ENTRIES = int(os.environ.get("HYGIE_ENTRIES", "60000"))
PAGE = 1_000
GOAL_EVENTS_S = 2_000


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = papers(folder / "papers")
        port, over = multiprocessing.Value("i", 0), multiprocessing.Event()
        collector = multiprocessing.Process(target=_collect, args=(files, port, over), daemon=True)
        collector.start()
        with running() as installation:
            installation.inside(partial(_measure, files=files, port=port.value, folder=folder))
        over.set()
        collector.join(10)


def _collect(files: Papers, port: object, over: Flag) -> None:
    with collecting(files) as soc:
        port.value = soc.port  # type: ignore[attr-defined]
        over.wait()


async def _measure(house: House, *, files: Papers, port: int, folder: Path) -> None:
    async with opened(house.dsns.owner, size=2) as owner, opened(house.dsns.watch, size=1) as database:
        size = await _write(house, owner)
        syslog = SyslogExport(
            name="bench-syslog",
            host="localhost",
            port=port,
            certificate=str(files.client),
            key=str(files.client_key),
            authority=str(files.authority),
            since="beginning",
        )
        for export in (syslog, OcsfExport(name="bench-ocsf", path=str(folder / "soc.jsonl"), since="beginning")):
            spent_s = await _export(house, database, export)
            print(f"{export.name}: {size} events in {spent_s:.1f} s, {size / spent_s:.0f}/s (goal {GOAL_EVENTS_S}/s)")
        paths = sorted(folder.glob("soc.jsonl*"))
        lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
        came = {one["metadata"]["sequence"] for one in lines}
        print(
            f"lost: {len(set(range(size)) - came)} of {size}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )


async def _write(house: House, owner: Database) -> int:
    """Entries as reads make them, until the sealer gave them their indexes. Returns: the size of the journal."""
    journal = JournalWriter(owner, house.month_keys, house.clock)
    for start in range(0, ENTRIES, PAGE):
        now_ms = house.clock.now_ms()
        made = [
            Entry(
                Action.OBJECT_READ,
                "done",
                "access",
                now_ms,
                account=f"dr-{number % 50}",
                address="192.0.2.1",
                subject=number.to_bytes(16, "big"),
                items=(("Patient", number.to_bytes(16, "big"), 1),),
                count=1,
            )
            for number in range(start, min(start + PAGE, ENTRIES))
        ]
        await journal.append_now(made)
    await journal.close()
    while True:
        async with owner.transaction() as connection:
            size = await memory.journal_size(connection)
        if size >= ENTRIES:
            return size
        await asyncio.sleep(0.2)


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
