"""The journal: entries written and sealed, exported, then verified offline."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, tell
from benchmarks.installation import running
from hygie.app import House, opened
from hygie.base.actions import Action
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.writer import JournalWriter
from hygie.verify.check import Verifier
from hygie.verify.source import Source

ENTRIES = 200_000
GROUP = 2_000
WAIT_S_MAX = 300.0


async def _write(house: House) -> float:
    """Write the entries; entries a second until the last one is published."""
    import asyncio

    async with opened(house.dsns.hosting, size=2) as pool, opened(house.dsns.sealer, size=1) as records:
        journal = JournalWriter(pool, house.month_keys, house.clock)
        reader = await house.journal_reader(records)
        before = (await reader.checkpoint())[0].size
        began = time.perf_counter()
        for rank in range(0, ENTRIES, GROUP):
            now_ms = house.clock.now_ms()
            await journal.append_now(
                [
                    Entry(Action.OBJECT_READ, "done", "access", now_ms, PLATFORM, account=f"a{rank + i}", count=1)
                    for i in range(GROUP)
                ]
            )
        while (await reader.checkpoint())[0].size < before + ENTRIES:
            if time.perf_counter() - began > WAIT_S_MAX:
                raise RuntimeError("the sealer is late")
            await asyncio.sleep(0.1)
        return ENTRIES / (time.perf_counter() - began)


def main() -> None:
    """Write, export, verify."""
    with running() as installation, tempfile.TemporaryDirectory() as name:
        tell(Figure("seal", installation.inside(_write), note="written, indexed, signed, cosigned, on three sites"))
        export = Path(name, "journal")

        async def export_all(house: House) -> None:
            async with opened(house.dsns.sealer, size=1) as records:
                await (await house.journal_reader(records)).export(export)

        installation.inside(export_all)
        began = time.perf_counter()
        report = Verifier(Source(export)).run()
        spent = time.perf_counter() - began
    tell(Figure("verify", report.entries / spent, note=f"{report.entries:,} entries, one process"))


if __name__ == "__main__":
    main()
