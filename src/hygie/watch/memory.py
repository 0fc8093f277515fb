"""Where the watch keeps how far it is, and what its rules remember."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from hygie.watch.engine import Engine, Kept, Key

PAGE_ENTRIES = 2_000
PAGE_BYTES_MAX = 16 * 1024 * 1024

_STATES = "SELECT rule, grouping, state, touched_ms FROM hygie.watch_state"
_KEEP = (
    "INSERT INTO hygie.watch_state (rule, grouping, state, touched_ms) VALUES (%s, %s, %s, %s)"
    " ON CONFLICT (rule, grouping) DO UPDATE SET state = excluded.state, touched_ms = excluded.touched_ms"
)
_MOVE = (
    "INSERT INTO hygie.watch_cursor (source, position, at_ms, mark) VALUES (%s, %s, %s, %s)"
    " ON CONFLICT (source) DO UPDATE SET position = excluded.position, at_ms = excluded.at_ms, mark = excluded.mark"
)
_PAGE = """
SELECT index, leaf FROM (
    SELECT index, leaf, sum(octet_length(leaf)) OVER (ORDER BY index) - octet_length(leaf) AS before
    FROM (SELECT index, leaf FROM hygie.journal_entry WHERE index >= %s ORDER BY index LIMIT %s) AS next
) AS counted WHERE before < %s ORDER BY index
"""

Connection = psycopg.AsyncConnection[Any]


async def cursors(connection: Connection) -> dict[str, tuple[int, int]]:
    """Source → (position, instant of its last word)."""
    rows = await (await connection.execute("SELECT source, position, at_ms FROM hygie.watch_cursor")).fetchall()
    return {source: (position, at_ms) for source, position, at_ms in rows}


async def mark(connection: Connection, source: str) -> object:
    """What a source keeps beside its position; None when it keeps nothing."""
    query = "SELECT mark FROM hygie.watch_cursor WHERE source = %s"
    row = await (await connection.execute(query, (source,))).fetchone()
    return row[0] if row is not None else None


async def move(connection: Connection, source: str, position: int, at_ms: int, mark: object = None) -> None:
    """How far a source was followed. Args: mark: what it keeps beside."""
    kept = Jsonb(mark, dumps=_compact) if mark is not None else None
    await connection.execute(_MOVE, (source, position, at_ms, kept))


async def journal_size(connection: Connection) -> int:
    """How many entries have an index."""
    row = await (await connection.execute("SELECT size FROM hygie.journal_head")).fetchone()
    return row[0] if row is not None else 0


async def page(connection: Connection, start: int) -> list[tuple[int, bytes]]:
    """(index, leaf) of the next entries from an index on, in order, some thousands or some MiB at most."""
    cursor = await connection.execute(_PAGE, (start, PAGE_ENTRIES, PAGE_BYTES_MAX), binary=True)
    return [(index, bytes(leaf)) for index, leaf in await cursor.fetchall()]


async def states(connection: Connection) -> dict[Key, Kept]:
    """What rules remember."""
    rows = await (await connection.execute(_STATES)).fetchall()
    return {(rule, grouping): Kept(state, touched_ms) for rule, grouping, state, touched_ms in rows}


async def keep(connection: Connection, engine: Engine, keys: Iterable[Key]) -> None:
    """Write what changed, by one statement for all."""
    rows: list[Sequence[object]] = []
    for key in sorted(keys):
        live = engine.state(key)
        if live is not None:
            rows.append((*key, Jsonb(live.state, dumps=_compact), live.touched_ms))
    if rows:
        async with connection.cursor() as cursor:
            await cursor.executemany(_KEEP, rows)


async def forget(connection: Connection, keys: Sequence[Key]) -> None:
    """Let go of windows that are over."""
    if keys:
        async with connection.cursor() as cursor:
            await cursor.executemany("DELETE FROM hygie.watch_state WHERE rule = %s AND grouping = %s", keys)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
