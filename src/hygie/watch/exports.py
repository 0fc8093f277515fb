"""How far each export is: the rows of ``hygie.soc_cursor``, and how long what comes next has waited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from hygie.base.soc import ExportSettings
from hygie.journal.reader import head_of
from hygie.watch import memory
from hygie.watch.events import CHECK, JOURNAL, MEASUREMENT

KIND = "exports"  # of its measurements
LATE_MS = 5 * 60_000  # a SOC that was not fed for so long is blind

_NEXT: Final = {
    JOURNAL: "SELECT leaf FROM hygie.journal_entry WHERE index >= %s ORDER BY index LIMIT 1",
    MEASUREMENT: "SELECT at_ms FROM hygie.measurement WHERE id > %s ORDER BY id LIMIT 1",
    CHECK: "SELECT at_ms FROM hygie_proof.run WHERE batch > %s ORDER BY batch LIMIT 1",
}
_MOVE = (
    "INSERT INTO hygie.soc_cursor (export, source, position, taken_ms, sent, tried_ms) VALUES (%s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (export, source) DO UPDATE SET position = excluded.position, taken_ms = excluded.taken_ms,"
    " sent = hygie.soc_cursor.sent + excluded.sent, tried_ms = excluded.tried_ms, code = ''"
)
_FAILED = "UPDATE hygie.soc_cursor SET code = %s, tried_ms = %s WHERE export = %s"

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class State:
    """How far one export is. positions: by source; sent: events its receiver took; taken_ms: when it last took some;
    code: what came of the last try, empty when it was taken; behind: entries of the journal; waiting_ms: how long the
    oldest event has waited, 0 when none does."""

    name: str
    positions: Mapping[str, int]
    sent: int
    taken_ms: int
    code: str
    behind: int
    waiting_ms: int

    @property
    def late(self) -> bool:
        """Whether its SOC is blind: it waits for long, or never could begin."""
        return self.waiting_ms > LATE_MS or not self.positions


def tables_of(export: ExportSettings) -> tuple[str, ...]:
    """The sources that are followed: findings are entries of the journal."""
    carried = export.carried
    first = (JOURNAL,) if carried & {JOURNAL, "findings"} else ()
    return (*first, *(one for one in (MEASUREMENT, CHECK) if one in carried))


async def positions_of(connection: Connection, export: str) -> dict[str, int]:
    """Source → position."""
    query = "SELECT source, position FROM hygie.soc_cursor WHERE export = %s"
    return dict(await (await connection.execute(query, (export,))).fetchall())


async def move(
    connection: Connection, export: str, positions: Mapping[str, int], counts: Mapping[str, int], now_ms: int
) -> None:
    """What the receiver took, by source. Args: counts: events of it."""
    for source, position in positions.items():
        count = counts.get(source, 0)
        await connection.execute(_MOVE, (export, source, position, now_ms, count, now_ms))


async def failed(connection: Connection, export: str, code: str, now_ms: int) -> None:
    """Keep what came of a try."""
    await connection.execute(_FAILED, (code[:100], now_ms, export))


async def states(connection: Connection, exports: Sequence[ExportSettings], now_ms: int) -> list[State]:
    """How far each export of the settings is."""
    size = await memory.journal_size(connection)
    found = []
    for export in exports:
        query = "SELECT source, position, sent, taken_ms, code FROM hygie.soc_cursor WHERE export = %s"
        rows = await (await connection.execute(query, (export.name,))).fetchall()
        followed = tables_of(export)
        positions = {source: position for source, position, *_ in rows if source in followed}
        waits = [await _waits_since(connection, source, position) for source, position in positions.items()]
        since = [one for one in waits if one is not None]
        found.append(
            State(
                export.name,
                positions,
                sum(row[2] for row in rows),
                max((row[3] for row in rows), default=0),
                next((row[4] for row in rows if row[4]), ""),
                max(size - positions[JOURNAL], 0) if JOURNAL in positions else 0,
                max(now_ms - min(since), 0) if since else 0,
            )
        )
    return found


async def _waits_since(connection: Connection, source: str, position: int) -> int | None:
    """When what comes next happened; None: nothing does."""
    row = await (await connection.execute(_NEXT[source].encode(), (position,))).fetchone()
    if row is None:
        return None
    return head_of(bytes(row[0])).at_ms if source == JOURNAL else int(row[0])
