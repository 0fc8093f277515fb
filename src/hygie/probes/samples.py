"""A few objects of each environment on every site, and of the backup target: whether their bytes are still theirs.

Scrub reads everything, for hours; who encrypts a disk in place changes everything, so a few drawn anew each time tell
within minutes.  What vanished is told by the comparison of listings (:mod:`hygie.sites.catch_up`), which puts it back.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence

from hygie.app import House
from hygie.backups.gather import places
from hygie.backups.target import BackupTarget
from hygie.base.errors import HygieError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.sites.copies import ALTERED, FOREIGN, Expected, states_of
from hygie.vault.pack import pack_name

NEWEST = 2  # of each environment
DRAWN = 6
ENVIRONMENTS_MAX = 40  # of one look, drawn too
BYTES_MAX = 256 << 20  # of one look; the first object always fits
BACKUP = "backup"

_draw = secrets.SystemRandom()


async def altered_objects(
    house: House, records: Database, hosting: Database, target: BackupTarget
) -> tuple[int, dict[str, int]]:
    """How many objects were looked at, and how many were altered in place, by site (and ``backup``).

    A site or a target that does not answer has no number. Raises: psycopg.Error, DatabaseUnavailableError.
    """
    looked, left, found = 0, BYTES_MAX, Counter[str]()
    everywhere = await places(records)
    for place in _draw.sample(everywhere, min(len(everywhere), ENVIRONMENTS_MAX)):
        for one in await _drawn(hosting, place):
            if looked and one[2] > left:
                continue
            looked, left = looked + 1, left - one[2]
            states = await states_of(house.sites, one)
            found.update(site for site, state in states.items() if state in (ALTERED, FOREIGN))
    try:
        checked, altered = await asyncio.to_thread(_of_target, target)
    except HygieError:
        checked, altered = 0, 0  # a target that is away is told by the backups that fail
    return looked + checked, dict(found + Counter({BACKUP: altered}))


async def _drawn(hosting: Database, place: Place) -> Sequence[Expected]:
    """The newest packs of an environment, and some of the others."""
    rows: dict[int, Expected] = {}
    async with hosting.transaction(place.role) as connection:
        query = "SELECT number, sha256, bytes FROM pack ORDER BY number DESC LIMIT %s"
        newest = await (await connection.execute(query, (NEWEST,))).fetchall()
        starts = [_draw.randint(0, newest[0][0]) for _ in range(DRAWN)] if newest else []
        drawn = []
        for start in starts:
            query = "SELECT number, sha256, bytes FROM pack WHERE number >= %s ORDER BY number LIMIT 1"
            drawn += await (await connection.execute(query, (start,))).fetchall()
    for number, sha256, size in (*newest, *drawn):
        rows[number] = (pack_name(place.environment_id, number), bytes(sha256), size)
    return list(rows.values())


def _of_target(target: BackupTarget) -> tuple[int, int]:
    """How many objects of the target were looked at, and how many are not what their name says."""
    sizes, left, looked, altered = target.objects(), BYTES_MAX, 0, 0
    for name in _draw.sample(sorted(sizes), min(len(sizes), NEWEST + DRAWN)):
        if looked and sizes[name] > left:
            continue
        looked, left = looked + 1, left - sizes[name]
        altered += target.digest_object(name) != name
    return looked, altered
