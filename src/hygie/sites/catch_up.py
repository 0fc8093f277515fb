"""Catch up: compare what each site lists with what it should hold, copy what it lacks, and say how far behind it is.

Not a queue: a site may come back older than it left, or with objects that were declared void meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Collection, Sequence
from dataclasses import dataclass, field

from hygie.sites.copies import Expected, mend, quarantine
from hygie.sites.placement import SiteSet

PACKS_PREFIX = "packs/"
VOID_PREFIXES = (PACKS_PREFIX, "blobs/")  # what a write that never counted may have left


@dataclass(slots=True)
class SiteCatchUp:
    """One site's part: objects listed, lacking (absent or of a wrong size) and their bytes, copied, left behind, and
    ``extra``: names listed that nothing expects (a write under way, or a void one that nobody has declared yet)."""

    reachable: bool
    listed: int = 0
    lacking: int = 0
    lacking_bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    left: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CatchUpReport:
    """What a catch-up did: by site; objects expected; quarantined: (site, name) moved aside; lost: on no site whole."""

    sites: dict[str, SiteCatchUp]
    expected: int = 0
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


async def catch_up(
    site_set: SiteSet,
    expected: AsyncIterable[Expected],
    *,
    prefixes: Sequence[str] = (PACKS_PREFIX,),
    void: Collection[str] = (),
    copy: bool = True,
) -> CatchUpReport:
    """Bring every reachable site to what is expected under ``prefixes``; sizes are compared here, bytes by ``scrub``.

    Args: expected: names under ``prefixes``, read after the listings so that a write under way is not taken for
    missing; void: packs and chunks declared void, moved to ``quarantine/`` (never deleted); copy: False only measures.
    Raises: ValueError: a void name that is neither a pack nor a chunk of a blob (a programming mistake).
    """
    if not all(name.startswith(VOID_PREFIXES) for name in void):
        raise ValueError("only packs and blobs can be void")
    started_at = time.monotonic()
    listings = await _listings(site_set, prefixes)
    report = CatchUpReport(
        {site: SiteCatchUp(listing is not None, len(listing or {})) for site, listing in listings.items()}
    )
    lag_bytes = dict.fromkeys(listings, 0)
    unexpected = {site: set(listing or {}) for site, listing in listings.items()}
    async for item in expected:
        report.expected += 1
        for names in unexpected.values():
            names.discard(item[0])
        if item[0] not in void:
            await _bring(site_set, item, listings, report, lag_bytes, copy=copy)
    for name in void:
        for names in unexpected.values():
            names.discard(name)
        if copy:
            report.quarantined += [(site, name) for site in await quarantine(site_set, name)]
    for site, part in report.sites.items():
        part.extra = sorted(unexpected[site])
        site_set.link(site).note_listing(len(part.left), lag_bytes[site], started_at=started_at)
    return report


async def _bring(
    site_set: SiteSet,
    item: Expected,
    listings: dict[str, dict[str, int] | None],
    report: CatchUpReport,
    lag_bytes: dict[str, int],
    *,
    copy: bool,
) -> None:
    name, _, size_bytes = item
    good = [site for site, listing in listings.items() if listing is not None and listing.get(name) == size_bytes]
    away = [site for site, listing in listings.items() if listing is None]
    lacking = [site for site in listings if site not in good and site not in away]
    if not lacking and not away:
        return
    copied = await mend(site_set, item, sources=good, targets=lacking) if copy and lacking and good else []
    if not good and not away:
        report.lost.append(name)
    for site in lacking + away:
        part = report.sites[site]
        part.lacking += 1
        part.lacking_bytes += size_bytes
        if site in copied:
            part.copied += 1
            part.copied_bytes += size_bytes
        else:
            part.left.append(name)
            lag_bytes[site] += size_bytes


async def _listings(site_set: SiteSet, prefixes: Sequence[str]) -> dict[str, dict[str, int] | None]:
    """Each site's names and sizes under all prefixes; None when it did not answer one of them."""
    merged: dict[str, dict[str, int] | None] = {site: {} for site in site_set.names}
    for part in await asyncio.gather(*(site_set.list_sites(prefix) for prefix in prefixes)):
        for site, listing in part.items():
            known = merged[site]
            merged[site] = None if listing is None or known is None else known | listing
    return merged
