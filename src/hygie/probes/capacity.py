"""How full things are: file systems, connections of the database, quotas of environments; and for how long yet.

The days left are told by a straight line through what was measured before and what is measured now: no season, no
week-end.  Nothing is told from less than six hours, nor where nothing grows.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from hygie.app import House, default_limits
from hygie.backups.gather import places
from hygie.database.pool import Database
from hygie.gate.allowances import allowances_of, quota
from hygie.gate.rights import is_ours, live_rights, rights_key
from hygie.vault import catalogue

DISK, CONNECTIONS, QUOTA = "disk", "connections", "quota"
ANSWER_S_MAX = 10.0  # a mount that hangs is passed over: that it hangs, its site tells
SPAN_MS_MIN = 6 * 3_600_000
DAY_MS = 86_400_000
DAYS_MAX = 3_650
_CONNECTIONS = (
    "SELECT (SELECT sum(numbackends) FROM pg_stat_database), current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
)


@dataclass(frozen=True, slots=True)
class Room:
    """One thing that fills up. what: ``disk``, ``connections`` or ``quota``; held, limit: bytes, versions, or
    connections."""

    what: str
    name: str
    held: int
    limit: int

    @property
    def used(self) -> int:
        """Whole per cents, rounded down; what may hold nothing is full."""
        return self.held * 100 // self.limit if self.limit > 0 else 100

    def facts(self, before: Mapping[str, int], since_ms: int) -> dict[str, Any]:
        """As a measurement keeps it. Args: before: what each name held; since_ms: so long ago, 0 for never."""
        found: dict[str, Any] = {"what": self.what, "name": self.name, "used": self.used, "held": self.held}
        found["free"] = max(self.limit - self.held, 0)
        days = days_left(self.held, self.limit, before.get(self.name), since_ms)
        return found if days is None else found | {"days": days}


def days_left(held: int, limit: int, before: int | None, since_ms: int) -> int | None:
    """Whole days until it is full, if it goes on as since then; None: that cannot be told, or it does not grow."""
    if before is None or since_ms < SPAN_MS_MIN or held <= before:
        return None
    return min(max(limit - held, 0) * since_ms // ((held - before) * DAY_MS), DAYS_MAX)


async def rooms(house: House, records: Database, hosting: Database) -> list[Room]:
    """Everything that is known to fill up. What does not answer is left out. Raises: psycopg.Error."""
    found = [one async for one in _disks(house)]
    async with records.transaction() as connection:
        row = await (await connection.execute(_CONNECTIONS)).fetchone()
    if row is not None:
        found.append(Room(CONNECTIONS, "database", int(row[0]), int(row[1])))
    return found + await _quotas(house, records, hosting)


async def _disks(house: House) -> AsyncIterator[Room]:
    """File systems as they are mounted now: of one that several share, each is told."""
    folder = house.folder
    paths = {"data": folder.path, "backup": folder.resolve(house.settings.backups.path)}
    paths |= {f"site.{one.name}": folder.resolve(one.path) for one in house.settings.sites}
    for name, path in paths.items():
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                yield await asyncio.to_thread(disk, name, path)
        except (OSError, TimeoutError):
            continue


def disk(name: str, path: Path) -> Room:
    """One file system as who is not root may fill it. Blocks. Raises: OSError."""
    told = os.statvfs(path)
    held = (told.f_blocks - told.f_bfree) * told.f_frsize
    return Room(DISK, name, held, held + told.f_bavail * told.f_frsize)


async def _quotas(house: House, records: Database, hosting: Database) -> list[Room]:
    """What each environment holds of what it may. Rows of limits whose MAC does not hold count for nothing."""
    key, now_ms = await rights_key(house.kms), house.clock.now_ms()
    async with hosting.transaction() as connection:
        set_ = allowances_of(one for one in await live_rights(connection, now_ms, ["allowance"]) if is_ours(one, key))
    defaults, found = default_limits(house.settings), []
    for place in await places(records):
        try:
            async with hosting.transaction(place.role) as connection:
                held = await catalogue.held(connection)
        except psycopg.Error:
            continue  # it is being destroyed
        may = quota(set_, place.environment_id, defaults, now_ms)
        name = place.environment_id.hex()
        found += [
            Room(QUOTA, f"{name}.{unit}", *pair) for unit, *pair in zip(("bytes", "versions"), held, may, strict=True)
        ]
    return found


def fullest(found: Iterable[Room]) -> int:
    """The per cents of the fullest of them."""
    return max((one.used for one in found), default=0)
