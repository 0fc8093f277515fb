"""Tells the other hosting processes which environments ask something of this one, so that each leaves theirs a turn.

One statement a second in a process that serves somebody; none in one that rests.
"""

from __future__ import annotations

import asyncio
import logging

import psycopg

from hygie.base.errors import HygieError
from hygie.base.turns import RECENT_S, Turns
from hygie.database.hot import HotConnections

TELL_S = 1.0
_TELL = "SELECT hygie.tell_active(%s::text[], %s)"

log = logging.getLogger("hygie.gate")


async def share_activity(turns: Turns, hot: HotConnections) -> None:
    """Until cancelled. While the database does not answer, each process knows its own environments."""
    while True:
        await asyncio.sleep(TELL_S)
        seen = turns.recent()
        if not seen:
            turns.elsewhere = frozenset()
            continue
        try:
            rows = await hot.fetch(_TELL, ["{" + ",".join(seen) + "}", int(RECENT_S * 1000)])
            turns.elsewhere = frozenset(str(row[0]) for row in rows)
        except (psycopg.Error, HygieError) as error:
            turns.elsewhere = frozenset()
            log.warning("what other processes serve is not known: %s", type(error).__name__)
