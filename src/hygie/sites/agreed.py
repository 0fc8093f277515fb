"""What the sites themselves say should be everywhere, for names that no catalogue lists: full tiles, erasures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial

from hygie.base.errors import HygieError
from hygie.sites.copies import Expected, on_upkeep_or
from hygie.sites.placement import SiteSet
from hygie.sites.site import Site


@dataclass(slots=True)
class Agreement:
    """disputed: names whose copies differ between sites: nobody here can tell which is right, its room must."""

    disputed: list[str] = field(default_factory=list)


async def agreed(
    site_set: SiteSet,
    prefix: str,
    *,
    never_changes: Callable[[str], bool] = lambda _: True,
    agreement: Agreement | None = None,
) -> AsyncIterator[Expected]:
    """Objects under a prefix of which all copies that answer are the same: what ``catch_up`` can spread.

    Weaker than a catalogue: an object damaged before it was copied is spread as it is, so a room that knows digests
    gives them instead. Never for names that change (checkpoint, partial tiles): a site that came back older would
    dispute them. Never for names that are removed on purpose (ledgers): it would bring them back everywhere.

    Args: never_changes: which names to consider; agreement: filled with the names in dispute.
    Raises: SiteUnavailableError: no site answered.
    """
    for name, size_bytes in await site_set.list(prefix):
        if not never_changes(name):
            continue
        digests = await asyncio.gather(*(on_upkeep_or(link, partial(_digest, name), None) for link in site_set.links))
        found = {digest for digest in digests if digest is not None}
        if len(found) == 1:
            yield name, found.pop(), size_bytes
        elif found and agreement is not None:
            agreement.disputed.append(name)


def _digest(name: str, site: Site) -> bytes | None:
    try:
        return site.digest(name)
    except HygieError:
        return None  # absent, foreign or away: it has no say
