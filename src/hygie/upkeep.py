"""What ``hygie work`` does beside sealing: catch sites up, scrub, measure.

Every run is recorded as a measurement, which status reads with its age.

Cadences are short because one run is cheap: catch-up compares listings, scrub reads a slice of what is stored.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any

from hygie.app import House, opened
from hygie.base.errors import HygieError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.journal.sealer import Sealer
from hygie.sites.catch_up import CatchUpReport, catch_up
from hygie.sites.copies import Expected
from hygie.sites.scrub import ScrubReport, scrub
from hygie.vault.holdings import holdings

CATCH_UP_EVERY_S = 5.0  # a site that comes back is complete again within seconds on a small installation
SCRUB_EVERY_S = 3_600.0
MEASURE_EVERY_S = 5.0
SHARE_MAX = 0.05  # of the time spent in one loop: a larger installation is compared less often, not more heavily

log = logging.getLogger("hygie.upkeep")


class Upkeep:
    """Loops of the working process, each on its own; one that fails is tried again at its next turn."""

    def __init__(self, house: House, sealer: Sealer) -> None:
        self._house = house
        self._sealer = sealer

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set."""
        async with opened(self._house.dsns.sealer, size=2) as records, opened(self._house.dsns.hosting, size=2) as pool:
            await asyncio.gather(
                _every(stop, CATCH_UP_EVERY_S, lambda: run_catch_up(self._house, records, pool)),
                _every(stop, SCRUB_EVERY_S, lambda: run_scrub(self._house, records, pool)),
                _every(stop, MEASURE_EVERY_S, lambda: self._measure(records)),
            )

    async def _measure(self, records: Database) -> None:
        status = self._sealer.status()
        await record(
            records,
            self._house.clock.now_ms(),
            "journal",
            passed=status.published_size == status.size,
            facts={
                "size": status.size,
                "published": status.published_size,
                "cosigned": status.cosigned_size,
                "published_ms": status.published_ms,
            },
        )


async def run_catch_up(house: House, records: Database, pool: Database) -> CatchUpReport:
    """Bring every reachable site to what the catalogues expect, and record how far each was."""
    report = await catch_up(house.sites, expected_objects(records, pool), prefixes=("packs/", "blobs/"))
    facts = {
        name: {"reachable": one.reachable, "lacking": one.lacking, "bytes": one.lacking_bytes, "copied": one.copied}
        for name, one in report.sites.items()
    }
    passed = not report.lost and all(one.reachable and not one.left for one in report.sites.values())
    await record(records, house.clock.now_ms(), "catch-up", passed=passed, facts={"sites": facts, "lost": report.lost})
    return report


async def run_scrub(house: House, records: Database, pool: Database) -> ScrubReport:
    """Re-read and re-hash every copy, mend from a good one, and record what was found."""
    report = await scrub(house.sites, expected_objects(records, pool))
    facts = {
        "checked": report.checked,
        "damaged": [[one.site, one.name, one.reason] for one in report.damaged],
        "missing": [[one.site, one.name, one.reason] for one in report.missing],
        "mended": len(report.mended),
        "lost": report.lost,
        "unreachable": report.unreachable,
    }
    await record(records, house.clock.now_ms(), "scrub", passed=report.clean, facts=facts)
    return report


async def expected_objects(records: Database, pool: Database) -> AsyncIterator[Expected]:
    """Everything the catalogues of all environments say the sites should hold."""
    for place in await places(records):
        async for one in holdings(pool, place):
            yield one


async def places(records: Database) -> list[Place]:
    """Every environment that was not destroyed."""
    async with records.transaction() as connection:
        cursor = await connection.execute(
            "SELECT tenant, id, role FROM hygie.environment WHERE state <> 'destroyed' ORDER BY role"
        )
        return [Place(*row) for row in await cursor.fetchall()]


async def record(records: Database, at_ms: int, kind: str, *, passed: bool, facts: dict[str, Any]) -> None:
    """Keep a measurement; the newest of its kind is what status shows, with its age."""
    async with records.transaction() as connection:
        await connection.execute(
            "INSERT INTO hygie.measurement (kind, at_ms, passed, facts) VALUES (%s, %s, %s, %s)",
            (kind, at_ms, passed, json.dumps(facts)),
        )


async def _every(stop: asyncio.Event, period_s: float, act: Callable[[], Awaitable[object]]) -> None:
    while not stop.is_set():
        began_s = monotonic()
        try:
            await act()
        except (HygieError, OSError) as error:
            log.warning("upkeep: %s", error.code if isinstance(error, HygieError) else type(error).__name__)
        try:
            await asyncio.wait_for(stop.wait(), max(period_s, (monotonic() - began_s) / SHARE_MAX))
        except TimeoutError:
            continue
