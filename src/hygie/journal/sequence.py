"""The sealer's SQL: from what waits to contiguous indexes, under a compare-and-swap of the tree head.

Every function here runs inside one transaction of the caller.  Two sealers that race meet on the head's row: the second
one finds a head it does not know and rolls back (``SealerFencedError``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg

from hygie.base.actions import KINDS
from hygie.journal.errors import JournalTamperedError, LeafInvalidError, SealerFencedError
from hygie.journal.leaf import CODE_OF_KIND, read_head
from hygie.journal.merkle import leaf_hash
from hygie.journal.tiles import Edge, Tile

Connection = psycopg.AsyncConnection[Any]
BATCH_ENTRIES_MAX = 8192
BATCH_BYTES_MAX = 32 * 1024 * 1024
READ_ROWS = 2048

# The sum runs over lengths only: the leaves of rows beyond the bound are not read.
_PENDING = """
SELECT id, leaf FROM (
    SELECT id, leaf, sum(octet_length(leaf)) OVER (ORDER BY id) - octet_length(leaf) AS before
    FROM (SELECT id, leaf FROM hygie.journal_pending ORDER BY id LIMIT %s) AS oldest
) AS counted WHERE before < %s ORDER BY id
"""
_COPY_ENTRIES = "COPY hygie.journal_entry (index, leaf, kind, tenant_id, month, at_ms) FROM STDIN (FORMAT BINARY)"
_SWAP = "UPDATE hygie.journal_head SET size = %s, root = %s, levels = %s WHERE size = %s AND root = %s"
# Sealed, published, then the database came back from before: the same leaf (its salt is random) must not count twice.
_DROP_SEALED_TWICE = """
DELETE FROM hygie.journal_pending AS pending USING hygie.journal_entry AS entry
WHERE entry.index >= %s AND entry.leaf = pending.leaf
"""
_REQUEUE = """
INSERT INTO hygie.journal_pending (leaf) SELECT leaf FROM hygie.journal_entry WHERE index >= %s ORDER BY index
"""


async def read_edge(connection: Connection) -> Edge:
    """The tree as the database knows it.

    Raises: JournalTamperedError: the row's levels do not give its root.
    """
    cursor = await connection.execute("SELECT size, root, levels FROM hygie.journal_head", binary=True)
    row = await cursor.fetchone()
    if row is None:
        raise JournalTamperedError(index=0, reason="no tree head")
    edge = Edge(row[0], row[2])
    if edge.root() != row[1]:
        raise JournalTamperedError(index=edge.size, reason="tree head")
    return edge


async def lock_head(connection: Connection, known: Edge) -> None:
    """Take the head's row for this transaction.

    Raises: SealerFencedError: it is not the known one.
    """
    cursor = await connection.execute("SELECT size, root FROM hygie.journal_head FOR UPDATE", binary=True)
    row = await cursor.fetchone()
    if row is None or tuple(row) != (known.size, known.root()):
        raise SealerFencedError(part="journal")


async def swap_head(connection: Connection, known: Edge, edge: Edge) -> None:
    """Compare and swap.

    Raises: SealerFencedError: the head is not the known one.
    """
    values = (edge.size, edge.root(), edge.levels, known.size, known.root())
    cursor = await connection.execute(_SWAP, values, binary=True)
    if cursor.rowcount != 1:
        raise SealerFencedError(part="journal")


async def move_pending(connection: Connection, edge: Edge) -> Edge:
    """Give indexes to the oldest waiting entries: the new edge, or the same one when nothing waits.

    Raises: SealerFencedError.
    """
    await lock_head(connection, edge)
    cursor = await connection.execute(_PENDING, (BATCH_ENTRIES_MAX, BATCH_BYTES_MAX), binary=True)
    rows = await cursor.fetchall()
    if not rows:
        return edge
    leaves = [row[1] for row in rows]
    moved = edge.copy()
    moved.append([leaf_hash(leaf) for leaf in leaves])
    await insert_entries(connection, edge.size, leaves)
    await connection.execute("DELETE FROM hygie.journal_pending WHERE id = ANY(%s)", ([row[0] for row in rows],))
    await swap_head(connection, edge, moved)
    return moved


async def insert_entries(connection: Connection, index: int, leaves: Sequence[bytes]) -> None:
    """Write entries at consecutive indexes."""
    async with connection.cursor() as cursor, cursor.copy(_COPY_ENTRIES) as copy:
        copy.set_types(("int8", "bytea", "text", "bytea", "text", "int8"))
        for number, leaf in enumerate(leaves, index):
            await copy.write_row((number, leaf, *_columns(leaf)))


async def read_leaves(connection: Connection, start: int, end: int) -> list[bytes]:
    """The leaves of [start, end), without a hole.

    Raises: JournalTamperedError: one is not there; names it.
    """
    leaves: list[bytes] = []
    async for row in _rows(connection, start, end):
        if row[0] != start + len(leaves):
            break
        leaves.append(row[1])
    if len(leaves) != end - start:
        raise JournalTamperedError(index=start + len(leaves), reason="not in the database")
    return leaves


async def hashes_between(connection: Connection, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
    """(index, leaf hash) of the rows there are in [start, end)."""
    async for row in _rows(connection, start, end):
        yield row[0], leaf_hash(row[1])


async def requeue_from(connection: Connection, index: int) -> int:
    """Put entries whose indexes were not published back in the queue: (how many). They get other indexes."""
    await connection.execute(_REQUEUE, (index,))
    cursor = await connection.execute("DELETE FROM hygie.journal_entry WHERE index >= %s", (index,))
    return cursor.rowcount


async def drop_sealed_twice(connection: Connection, index: int) -> None:
    """Forget waiting entries that are sealed from ``index`` on."""
    await connection.execute(_DROP_SEALED_TWICE, (index,))


async def _rows(connection: Connection, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
    """Rows of [start, end) in order, a page at a time."""
    while start < end:
        cursor = await connection.execute(
            "SELECT index, leaf FROM hygie.journal_entry WHERE index >= %s AND index < %s ORDER BY index",
            (start, min(start + READ_ROWS, end)),
            binary=True,
        )
        for row in await cursor.fetchall():
            yield row[0], row[1]
        start += READ_ROWS


def _columns(leaf: bytes) -> tuple[str, bytes, str, int]:
    """What makes an entry findable. Bytes that are no leaf are indexed all the same: they are evidence."""
    try:
        head = read_head(leaf)
    except LeafInvalidError:
        return "invalid", bytes(16), "", 0
    return head.kind, head.tenant_id, head.month, head.at_ms


def tile_prefix(tile: Tile) -> str:
    """The folder of the partial tiles that a full tile replaces."""
    return f"{tile.whole.name}.p/"


async def page_of_month(
    connection: Connection, tenant_id: bytes, month: str, kinds: list[str], *, after: int
) -> list[tuple[int, bytes]]:
    """(index, leaf) of one tenant's month after an index, oldest first, at most READ_ROWS; no kind means all."""
    cursor = await connection.execute(
        "SELECT index, leaf FROM hygie.journal_entry WHERE tenant_id = %s AND month = %s"
        " AND (%s::text[] = '{}' OR kind = ANY(%s::text[])) AND index > %s ORDER BY index LIMIT %s",
        (tenant_id, month, kinds, kinds, after, READ_ROWS),
        binary=True,
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def first_wrong_column(connection: Connection) -> int | None:
    """The first row whose searchable columns are not its leaf's (the leaf itself is proven by the tree).

    The bytes are those of docs/formats/journal-entry.md: kind at 4, tenant at 8, instant at 24.
    """
    cursor = await connection.execute(
        "SELECT min(index) FROM hygie.journal_entry WHERE kind <> 'invalid' AND ("
        " tenant_id <> substring(leaf FROM 9 FOR 16)"
        " OR at_ms <> ('x' || encode(substring(leaf FROM 25 FOR 8), 'hex'))::bit(64)::bigint"
        " OR month <> to_char(to_timestamp(at_ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM')"
        " OR kind <> (%s::text[])[get_byte(leaf, 4)])",
        (list(KINDS),),
    )
    row = await cursor.fetchone()
    wrong = [row[0]] if row is not None and row[0] is not None else []
    called_invalid = await _first_called_invalid(connection)
    return min([*wrong, *called_invalid], default=None)


async def _first_called_invalid(connection: Connection) -> list[int]:
    """The first row that is said to be no entry and whose leaf is one: whoever searches would miss it."""
    after = -1
    while True:
        cursor = await connection.execute(
            "SELECT index, leaf FROM hygie.journal_entry WHERE kind = 'invalid' AND index > %s ORDER BY index LIMIT %s",
            (after, READ_ROWS),
            binary=True,
        )
        rows = await cursor.fetchall()
        for index, leaf in rows:
            if _columns(leaf)[0] != "invalid":
                return [index]
        if len(rows) < READ_ROWS:
            return []
        after = rows[-1][0]


async def waiting_of(connection: Connection, tenant_id: bytes, kind: str) -> list[bytes]:
    """The leaves of one tenant and class that have no index yet, by their heads (docs/formats/journal-entry.md)."""
    cursor = await connection.execute(
        "SELECT leaf FROM hygie.journal_pending WHERE substr(leaf, 5, 1) = %s AND substr(leaf, 9, 16) = %s ORDER BY id",
        (bytes((CODE_OF_KIND[kind],)), tenant_id),
        binary=True,
    )
    return [row[0] for row in await cursor.fetchall()]
