"""Remove from the sites what a destroyed environment left: ciphertext that no key opens any more.

Sites that are away are swept when they come back; the other tenants' names are never listed, let alone touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from hygie.base.errors import HygieError
from hygie.exits.certificate import SiteGone
from hygie.sites.copies import on_upkeep
from hygie.sites.placement import SiteSet
from hygie.sites.site import QUARANTINE_PREFIX, Site

OWN = ("packs/", "blobs/", "ledger/")  # each is followed by the environment's id and a slash
PREFIXES = (*OWN, *(QUARANTINE_PREFIX + prefix for prefix in OWN[:2]))


async def sweep(sites: SiteSet, environment_ids: Sequence[bytes], *, now_ms: Callable[[], int]) -> list[SiteGone]:
    """Remove everything of these environments from each site that answers, then look again.

    Returns: for each site, when it was seen to hold nothing more; None where it did not answer.
    """
    found: list[SiteGone] = []
    for link in sites.links:
        try:
            left = 0
            for environment_id in environment_ids:
                left += await on_upkeep(link, partial(_remove, environment_id))
        except HygieError:
            found.append(SiteGone(site=link.name, gone_ms=None))
            continue
        found.append(SiteGone(site=link.name, gone_ms=None if left else now_ms()))
    return found


def _remove(environment_id: bytes, site: Site) -> int:
    """Returns how many names are still there afterwards."""
    if len(environment_id) != 16 or environment_id == bytes(16):
        raise ValueError("not an environment of a client")
    prefixes = [f"{prefix}{environment_id.hex()}/" for prefix in PREFIXES]
    for prefix in prefixes:
        for name in [name for name, _ in site.list(prefix)]:
            site.delete(name)
    return sum(1 for prefix in prefixes for _ in site.list(prefix))
