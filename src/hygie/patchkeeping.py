"""Patches of one installation: feeds are brought, what runs is inventoried and compared with them, again and again.

``hygie work`` does it every hour; bringing a feed does it at once. What stopped a look is measured, by its code: then
what is known is of the last good one, and a check says how old that is.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hygie.app import House
from hygie.backups.run import measure
from hygie.base.errors import HygieError
from hygie.base.files import make_private_folder, write_durably
from hygie.database.pool import Database
from hygie.patching.cyclonedx import write_sbom
from hygie.patching.errors import FeedDamagedError, FeedOlderError, SystemUnreadableError
from hygie.patching.matching import keys_of, match, uncovered
from hygie.patching.model import Inventory, PatchFacts, Vulnerability
from hygie.patching.reading import check_digest
from hygie.patching.rows import keep_feeds, keep_open, kept_feeds, open_vulnerabilities
from hygie.patching.store import Feed, Shelf
from hygie.patching.system import take_inventory

MEASUREMENT = "patching"
PATCHES_EVERY_S = 3_600.0  # feeds come once a day at most; what runs changes by hand
PATCHES_AFTER_S = 10.0
SBOM_FILE = "sbom.json"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found. sbom: the document."""

    inventory: Inventory
    sbom: bytes
    feeds: list[Feed]
    found: list[Vulnerability]


class PatchKeeper:
    """Looks again and again. Args: records: opened as the sealer."""

    def __init__(self, house: House, records: Database) -> None:
        self._house = house
        self._records = records

    async def run(self) -> Look:
        """One turn, measured. Raises: HygieError, OSError: what stopped it."""
        facts: dict[str, Any] = {}
        try:
            look = await self._look()
            facts = {
                "sbom": hashlib.sha256(look.sbom).hexdigest(),
                "components": len(look.inventory.components),
                "unread": list(look.inventory.unread),
                "uncovered": list(uncovered(look.inventory, look.feeds)),
                "open": len(look.found),
            }
        except (HygieError, OSError) as error:
            facts["code"] = error.code if isinstance(error, HygieError) else SystemUnreadableError.code
            raise
        finally:
            now_ms = self._house.clock.now_ms()
            await measure(self._records, now_ms, MEASUREMENT, passed="open" in facts, facts=facts)
        return look

    async def _look(self) -> Look:
        taken = await inventory(self._records)
        sbom = write_sbom(taken)
        folder = self._house.folder.patching
        make_private_folder(folder)
        await asyncio.to_thread(write_durably, folder / SBOM_FILE, sbom)
        feeds, found = await self._compared(Shelf(folder), taken)
        async with self._records.transaction() as connection:
            await keep_open(connection, found, self._house.clock.now_ms())
        return Look(taken, sbom, feeds, found)

    async def _compared(self, shelf: Shelf, taken: Inventory) -> tuple[list[Feed], list[Vulnerability]]:
        """The feeds that count and what they say; again when another one came meanwhile. Raises: FeedDamagedError."""
        feeds: list[Feed] | None = None
        while True:
            before = feeds
            async with self._records.transaction() as connection:
                feeds = await kept_feeds(connection)
            try:
                return feeds, await asyncio.to_thread(compare, shelf, feeds, taken)
            except FeedDamagedError:
                if feeds == before:
                    raise


async def inventory(records: Database) -> Inventory:
    """What runs on this machine, and the version that the database server says of itself.

    Raises: SystemUnreadableError; DatabaseUnavailableError.
    """
    async with records.transaction() as connection:
        row = await (await connection.execute("SHOW server_version")).fetchone()
    version = str(row[0]).partition(" ")[0] if row else ""  # what follows is the packager's
    return await asyncio.to_thread(take_inventory, version)


def compare(shelf: Shelf, feeds: list[Feed], taken: Inventory) -> list[Vulnerability]:
    """The vulnerabilities that these feeds know of what runs; of two versions of one component the last one.

    Raises: FeedDamagedError.
    """
    wanted = keys_of(taken)
    told = (one for feed in feeds for one in shelf.advisories(feed, wanted.keys()))
    return list({(one.name, one.component): one for one in match(wanted, told)}.values())


async def bring(house: House, records: Database, path: Path, sha256: str) -> list[Feed]:
    """Take a feed in the place of those whose slots it fills. Returns what was taken.

    Raises: FeedDigestError, FeedInvalidError, FeedOlderError: nothing changes; OSError.
    """
    shelf, now_ms = Shelf(house.folder.patching), house.clock.now_ms()
    feeds = await asyncio.to_thread(_taken, shelf, path, sha256, now_ms)
    async with records.transaction() as connection:
        kept = {one.slot: one for one in await kept_feeds(connection)}
        older = [one.slot for one in feeds if one.slot in kept and one.newest_ms < kept[one.slot].newest_ms]
        if not older:
            kept |= {one.slot: one for one in feeds}
            await keep_feeds(connection, feeds)
    await asyncio.to_thread(shelf.keep_only, list(kept.values()))  # only once it is sure which ones count
    if older:
        raise FeedOlderError(feed=older[0])
    return feeds


def _taken(shelf: Shelf, path: Path, sha256: str, now_ms: int) -> list[Feed]:
    with path.open("rb") as file:
        check_digest(file, sha256)
        return shelf.take(file, sha256.strip().lower(), now_ms)


_NEWEST = "SELECT facts FROM hygie.measurement WHERE kind = %s AND at_ms <= %s ORDER BY at_ms DESC, id DESC LIMIT 1"
_GOOD = (
    "SELECT at_ms, facts FROM hygie.measurement WHERE kind = %s AND passed AND at_ms <= %s"
    " ORDER BY at_ms DESC, id DESC LIMIT 1"
)


async def known(records: Database, now_ms: int) -> PatchFacts:
    """What is known of patches: the last good look, what stopped the newest, feeds, open vulnerabilities."""
    async with records.transaction() as connection:
        newest = await (await connection.execute(_NEWEST, (MEASUREMENT, now_ms))).fetchone()
        good = await (await connection.execute(_GOOD, (MEASUREMENT, now_ms))).fetchone()
        feeds, found = await kept_feeds(connection), await open_vulnerabilities(connection)
    facts: dict[str, Any] = good[1] if good else {}
    return PatchFacts(
        looked_ms=good[0] if good else None,
        components=facts.get("components", 0),
        sbom=facts.get("sbom", ""),
        unread=tuple(facts.get("unread", ())),
        uncovered=tuple(facts.get("uncovered", ())),
        code=newest[0].get("code", "") if newest else "",
        feeds=tuple(feeds),
        vulnerabilities=tuple(found),
    )
