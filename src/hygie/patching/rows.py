"""Rows of the database: which feeds count, and which vulnerabilities are open since when. Role: the sealer's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from hygie.patching.model import Vulnerability
from hygie.patching.store import Feed

_FEEDS = (
    "SELECT slot, sha256, content, advisories, newest_ms, brought_ms, releases"
    " FROM hygie.vulnerability_feed ORDER BY slot"
)
_KEEP_FEED = (
    "INSERT INTO hygie.vulnerability_feed (slot, sha256, content, advisories, newest_ms, brought_ms, releases)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (slot) DO UPDATE SET sha256 = EXCLUDED.sha256,"
    " content = EXCLUDED.content, advisories = EXCLUDED.advisories, newest_ms = EXCLUDED.newest_ms,"
    " brought_ms = EXCLUDED.brought_ms, releases = EXCLUDED.releases"
)
_OPEN = (
    "SELECT name, component, version, fixed_in, severity, score, published_ms, first_ms FROM hygie.vulnerability"
    " WHERE gone_ms IS NULL ORDER BY name, component"
)
_SEEN = (
    "INSERT INTO hygie.vulnerability (name, component, version, fixed_in, severity, score, published_ms, first_ms,"
    " seen_ms) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name, component) DO UPDATE SET"
    " version = EXCLUDED.version, fixed_in = EXCLUDED.fixed_in, severity = EXCLUDED.severity, score = EXCLUDED.score,"
    " published_ms = EXCLUDED.published_ms, seen_ms = EXCLUDED.seen_ms, gone_ms = NULL"
)
_GONE = "UPDATE hygie.vulnerability SET gone_ms = %s WHERE gone_ms IS NULL AND seen_ms <> %s"

Connection = psycopg.AsyncConnection[Any]


async def kept_feeds(connection: Connection) -> list[Feed]:
    """The feeds that count, by slot."""
    found = await (await connection.execute(_FEEDS)).fetchall()
    return [Feed(*(*row[:-1], tuple(row[-1]))) for row in found]


async def keep_feeds(connection: Connection, feeds: Sequence[Feed]) -> None:
    """Put these in the place of those of their slots."""
    for one in feeds:
        row = (one.slot, one.sha256, one.content, one.advisories, one.newest_ms, one.brought_ms)
        await connection.execute(_KEEP_FEED, (*row, list(one.releases)))


async def open_vulnerabilities(connection: Connection) -> list[Vulnerability]:
    """What is open, by name and component, with the day it was first seen here."""
    return [Vulnerability(*row) for row in await (await connection.execute(_OPEN)).fetchall()]


async def keep_open(connection: Connection, found: Sequence[Vulnerability], now_ms: int) -> None:
    """These are open now, and no other; what was known before keeps the day it was first seen."""
    rows = [
        (one.name, one.component, one.version, one.fixed_in, one.severity, one.score, one.published_ms, now_ms, now_ms)
        for one in found
    ]
    async with connection.cursor() as cursor:
        await cursor.executemany(_SEEN, rows)
    await connection.execute(_GONE, (now_ms, now_ms))
