"""What is known of patches, as the rows say it."""

from __future__ import annotations

from hygie.app import House, opened
from hygie.patching.model import PatchFacts
from hygie.patchkeeping import known
from hygie.probes.rows import SKEW_MS


async def probe_patching(house: House) -> PatchFacts:
    """The last look, feeds, open vulnerabilities."""
    async with opened(house.dsns.owner, size=1) as database:
        return await known(database, house.clock.now_ms() + SKEW_MS)
