"""Copies of one object across sites: which are intact, and how a good one mends the others."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hygie.base.errors import HygieError
from hygie.sites.errors import ForeignEntryError, ObjectAbsentError, ReadBackError, SiteUnavailableError
from hygie.sites.link import SiteLink
from hygie.sites.placement import SiteSet
from hygie.sites.site import QUARANTINE_PREFIX, Site

T = TypeVar("T")

Expected = tuple[str, bytes, int]
"""(name, SHA-256 of 32 bytes, size in bytes) of an object that must be on every site"""

INTACT = "intact"
ABSENT = "absent"
ALTERED = "altered"
FOREIGN = "foreign"
UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Fault:
    """One copy that is not what it should be: reason is absent, altered, foreign."""

    site: str
    name: str
    reason: str


async def states_of(site_set: SiteSet, expected: Expected) -> dict[str, str]:
    """What each site has of an object: intact, absent, altered, foreign or unreachable. Re-reads every byte."""
    calls = [on_upkeep_or(link, partial(_state, expected), UNREACHABLE) for link in site_set.links]
    found = await asyncio.gather(*calls)
    return dict(zip(site_set.names, found, strict=True))


async def mend(site_set: SiteSet, expected: Expected, *, sources: list[str], targets: list[str]) -> list[str]:
    """Write an object again on the sites that lack it, from the first source whose copy passes its digest.

    Returns: the sites mended, each read back. A target that is unreachable is left for later.
    """
    data: bytes | None = None
    for source in sources:
        data = await on_upkeep_or(site_set.link(source), partial(_verified, expected), None)
        if data is not None:
            break
    if data is None:
        return []
    calls = [on_upkeep_or(site_set.link(target), partial(_write_again, expected, data), False) for target in targets]
    written = await asyncio.gather(*calls)
    mended = [target for target, done in zip(targets, written, strict=True) if done]
    for target in mended:
        site_set.link(target).note_present(expected[0])
    return mended


async def quarantine(site_set: SiteSet, name: str) -> list[str]:
    """Move a void object aside on every site that has it; its bytes stay, under ``quarantine/``. Nothing is deleted.

    Returns: the sites where it was moved.
    """
    calls = [on_upkeep_or(link, partial(_set_aside, name), False) for link in site_set.links]
    moved = await asyncio.gather(*calls)
    return [site for site, done in zip(site_set.names, moved, strict=True) if done]


async def on_upkeep(link: SiteLink, call: Callable[[Site], T]) -> T:
    """Make a blocking call on the site's upkeep thread. Raises: SiteUnavailableError: as ``SiteLink.ask``."""
    return await link.ask(call)


async def on_upkeep_or(link: SiteLink, call: Callable[[Site], T], unanswered: T) -> T:
    """The same; ``unanswered`` when the site does not answer."""
    try:
        return await link.ask(call)
    except SiteUnavailableError:
        return unanswered


def _state(expected: Expected, site: Site) -> str:
    name, sha256, _ = expected
    try:
        return INTACT if site.digest(name) == sha256 else ALTERED
    except ObjectAbsentError:
        return ABSENT
    except ForeignEntryError:
        return FOREIGN
    except SiteUnavailableError as error:
        # a medium that cannot read one object has lost that object, not the site: it may be mended
        return ALTERED if error.facts.get("reason") == "EIO" else UNREACHABLE


def _verified(expected: Expected, site: Site) -> bytes | None:
    name, sha256, size_bytes = expected
    try:
        data = site.get(name)
    except HygieError:
        return None  # not a source after all; the next one is tried
    return data if len(data) == size_bytes and hashlib.sha256(data).digest() == sha256 else None


def _write_again(expected: Expected, data: bytes, site: Site) -> bool:
    name, sha256, _ = expected
    try:
        site.replace(name, data)
        return site.digest(name) == sha256
    except (SiteUnavailableError, ForeignEntryError, ReadBackError, ObjectAbsentError):
        return False  # reported as not mended


def _set_aside(name: str, site: Site) -> bool:
    try:
        data = site.get(name)
        digest = hashlib.sha256(data).digest()
        aside = f"{QUARANTINE_PREFIX}{name}.{digest.hex()[:16]}"
        site.put(aside, data)
        if site.digest(aside) != digest:
            return False
        site.delete(name)
    except HygieError:
        return False  # absent, or the site is away: tried again at the next run
    return True
