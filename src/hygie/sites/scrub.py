"""Scrub: re-read every copy of every object, hash it again, and mend what is wrong from a copy that is right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from hygie.sites.copies import ABSENT, INTACT, UNREACHABLE, Expected, Fault, mend, states_of
from hygie.sites.placement import SiteSet

AT_ONCE = 4  # objects under check: hides the hop between threads, and keeps at most 4 copies in memory for mending


@dataclass(slots=True)
class ScrubReport:
    """What a scrub found.

    checked: objects; bytes: read over all sites; damaged: copies altered or foreign; missing: copies absent;
    mended: of both, those put right; lost: names of which no site that answered has an intact copy;
    unreachable: copies not checked, by site.
    """

    checked: int = 0
    bytes: int = 0
    damaged: list[Fault] = field(default_factory=list)
    missing: list[Fault] = field(default_factory=list)
    mended: list[Fault] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unreachable: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Every copy of every object was read and was right, before any mending. What was not read is not clean."""
        return not (self.damaged or self.missing or self.lost or self.unreachable)


async def scrub(
    site_set: SiteSet,
    expected: AsyncIterable[Expected],
    *,
    repair: bool = True,
    rate_bytes_per_s: int | None = None,
) -> ScrubReport:
    """Check every copy of the expected objects, and mend them when asked. Never deletes.

    Args: expected: from the catalogue or the journal, never from the sites; rate_bytes_per_s: over all sites together.
    """
    report = ScrubReport()
    running: set[asyncio.Task[None]] = set()
    start = asyncio.get_running_loop().time()
    try:
        async for item in expected:
            if len(running) >= AT_ONCE:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            if rate_bytes_per_s:
                ahead_s = start + report.bytes / rate_bytes_per_s - asyncio.get_running_loop().time()
                await asyncio.sleep(max(ahead_s, 0.0))
            running.add(asyncio.create_task(_scrub_one(site_set, item, report, repair=repair)))
        for task in running:
            await task
    finally:
        for task in running:  # given up, or failed: nothing goes on behind the caller's back
            task.cancel()
    return report


async def _scrub_one(site_set: SiteSet, item: Expected, report: ScrubReport, *, repair: bool) -> None:
    name, _, size_bytes = item
    states = await states_of(site_set, item)
    report.checked += 1
    good = [site for site, state in states.items() if state == INTACT]
    faults = [Fault(site, name, state) for site, state in states.items() if state not in (INTACT, UNREACHABLE)]
    for site, state in states.items():
        if state == UNREACHABLE:
            report.unreachable[site] = report.unreachable.get(site, 0) + 1
        else:
            report.bytes += size_bytes
    report.damaged += [fault for fault in faults if fault.reason != ABSENT]
    report.missing += [fault for fault in faults if fault.reason == ABSENT]
    if not good:
        report.lost.append(name)
    elif faults and repair:
        mended = await mend(site_set, item, sources=good, targets=[fault.site for fault in faults])
        report.mended += [fault for fault in faults if fault.site in mended]
