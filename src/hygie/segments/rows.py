"""The SQL of published logs: what is new in the database, what is published of it, and what the sites must hold.

Every function runs in its caller's transaction, as the sealer's role (or the owner).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from hygie.database.pool import Database
from hygie.segments.format import BATCHES, CATALOGUES, DOCUMENTS, RECORDS, START, BatchRow, FileBody, RecordRow, Row
from hygie.sites.copies import Expected

Connection = psycopg.AsyncConnection[Any]
READ_ROWS = {RECORDS: 5_000, BATCHES: 500}  # of one look: a batch has some hundred runs
READ_BYTES = 8 << 20  # of rows, before compression: what one segment takes at most
SLICE_ROWS = 1_000
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RECORDS = (
    "SELECT seq, register, key, version, at_ms, author, approver, tenant, state, reason, body, digest"
    " FROM hygie_proof.record WHERE seq > %s ORDER BY seq LIMIT %s"
)
_BATCHES = (
    "SELECT b.seq, b.at_ms, b.cause, b.mode, b.catalogue, b.digest,"
    " ARRAY(SELECT r.body FROM hygie_proof.run r WHERE r.batch = b.seq ORDER BY r.place)"
    " FROM hygie_proof.batch b WHERE b.seq > %s ORDER BY b.seq LIMIT %s"
)
_AT = {
    RECORDS: "SELECT digest FROM hygie_proof.record WHERE seq = %s",
    BATCHES: "SELECT digest FROM hygie_proof.batch WHERE seq = %s",
}
_WAITING = {
    RECORDS: "SELECT at_ms FROM hygie_proof.record WHERE seq > %s ORDER BY seq LIMIT 1",
    BATCHES: "SELECT at_ms FROM hygie_proof.batch WHERE seq > %s ORDER BY seq LIMIT 1",
}
_FILES = {
    DOCUMENTS: "SELECT sha256 FROM hygie_proof.document d WHERE NOT EXISTS (SELECT FROM hygie.proof_object o"
    " WHERE o.log = 'documents' AND o.name = 'proof/documents/' || encode(d.sha256, 'hex')) ORDER BY 1 LIMIT %s",
    CATALOGUES: "SELECT sha256 FROM hygie_proof.catalogue c WHERE NOT EXISTS (SELECT FROM hygie.proof_object o"
    " WHERE o.log = 'catalogues' AND o.name = 'proof/catalogues/' || encode(c.sha256, 'hex')) ORDER BY 1 LIMIT %s",
}
_INSERT = (
    "INSERT INTO hygie.proof_object (name, log, first, last, digest, plain, merged_ms, sha256, bytes)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_STORED = "SELECT name, log, first, last, digest, plain, merged_ms, sha256, bytes FROM hygie.proof_object"


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of what is published. first, last: None for a document or a catalogue; digest: of the last write, or of the
    content; merged_ms: when small ones became it."""

    name: str
    log: str
    first: int | None
    last: int | None
    digest: bytes
    plain: int
    merged_ms: int | None
    sha256: bytes
    bytes: int


@dataclass(frozen=True, slots=True)
class End:
    """Where a log ends: number and digest of its last write."""

    seq: int = 0
    digest: bytes = START


async def new_rows(connection: Connection, log: str, end: End) -> list[Row]:
    """Rows after ``end``, in order, as many as one segment takes; none when there is nothing new."""
    found: list[Row] = []
    size = 0
    cursor = await connection.execute(
        (_RECORDS if log == RECORDS else _BATCHES).encode(), (end.seq, READ_ROWS[log]), binary=True
    )
    for values in await cursor.fetchall():
        row = RecordRow(*values) if log == RECORDS else BatchRow(*values)
        size += row.plain
        if found and size > READ_BYTES:
            break
        found.append(row)
    return found


async def digest_at(connection: Connection, log: str, seq: int) -> bytes | None:
    """The digest of one write; None: it is not there."""
    row = await (await connection.execute(_AT[log].encode(), (seq,))).fetchone()
    return bytes(row[0]) if row is not None else None


async def head_of(connection: Connection, log: str) -> End:
    """Where the database says that a log ends."""
    row = await (await connection.execute("SELECT seq, digest FROM hygie_proof.head WHERE log = %s", (log,))).fetchone()
    return End(row[0], bytes(row[1])) if row is not None else End()


async def hole_at(connection: Connection, log: str, seq: int) -> End | None:
    """The end of the hole that a number lies in, or that begins just after it; None: there is none."""
    row = await (
        await connection.execute(
            "SELECT last, digest FROM hygie_proof.hole WHERE log = %s AND %s BETWEEN first - 1 AND last"
            " ORDER BY first DESC LIMIT 1",
            (log, seq),
        )
    ).fetchone()
    return End(row[0], bytes(row[1])) if row is not None else None


async def holes(connection: Connection, log: str) -> list[tuple[int, End]]:
    """Holes in order: number of the first lost write, and the last one with its digest."""
    cursor = await connection.execute(
        "SELECT first, last, digest FROM hygie_proof.hole WHERE log = %s ORDER BY first", (log,)
    )
    return [(first, End(last, bytes(digest))) for first, last, digest in await cursor.fetchall()]


async def named_documents(connection: Connection, rows: Sequence[Row]) -> list[bytes]:
    """Kept files that these records name, by their SHA-256, sorted."""
    words = {bytes.fromhex(word) for row in rows if isinstance(row, RecordRow) for word in _DIGEST.findall(row.body)}
    if not words:
        return []
    cursor = await connection.execute(
        "SELECT sha256 FROM hygie_proof.document WHERE sha256 = ANY(%s)", (sorted(words),)
    )
    return sorted(bytes(row[0]) for row in await cursor.fetchall())


async def new_files(connection: Connection, log: str) -> list[bytes]:
    """SHA-256 of documents or catalogues that are not published yet."""
    return [bytes(row[0]) for row in await (await connection.execute(_FILES[log].encode(), (SLICE_ROWS,))).fetchall()]


async def read_file(connection: Connection, log: str, sha256: bytes) -> FileBody:
    """One document or catalogue of the database."""
    if log == DOCUMENTS:
        query = "SELECT name, media_type, at_ms, content FROM hygie_proof.document WHERE sha256 = %s"
    else:
        query = "SELECT '', '', at_ms, convert_to(body, 'UTF8') FROM hygie_proof.catalogue WHERE sha256 = %s"
    row = await (await connection.execute(query.encode(), (sha256,), binary=True)).fetchone()
    assert row is not None, "rows of these tables are never removed"
    return FileBody(*row)


async def stored_end(connection: Connection, log: str) -> End:
    """The last published write that the database knows of."""
    row = await (
        await connection.execute(
            "SELECT last, digest FROM hygie.proof_object WHERE log = %s ORDER BY last DESC LIMIT 1", (log,)
        )
    ).fetchone()
    return End(row[0], bytes(row[1])) if row is not None else End()


async def waiting_since_ms(connection: Connection, log: str, published: int) -> int | None:
    """The instant of the oldest write after a number; None: there is none."""
    row = await (await connection.execute(_WAITING[log].encode(), (published,))).fetchone()
    return row[0] if row is not None else None


async def alone(connection: Connection, log: str) -> None:
    """Wait until no other process publishes this log, and keep others waiting until the end of the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"hygie proof {log}",))


async def is_stored(connection: Connection, name: str) -> bool:
    """Whether an object has its row."""
    found = await connection.execute("SELECT FROM hygie.proof_object WHERE name = %s", (name,))
    return await found.fetchone() is not None


async def add(connection: Connection, one: Stored) -> bool:
    """Note one object. Returns False when another process noted one that begins at the same number."""
    values = (one.name, one.log, one.first, one.last, one.digest, one.plain, one.merged_ms, one.sha256, one.bytes)
    return (await connection.execute(_INSERT, values)).rowcount == 1


async def swap(connection: Connection, merged: Stored, parts: Sequence[Stored]) -> bool:
    """Replace the rows of the parts by the merged one's. Returns False when a part is gone: to be undone."""
    cursor = await connection.execute(
        "DELETE FROM hygie.proof_object WHERE name = ANY(%s)", ([part.name for part in parts],)
    )
    return cursor.rowcount == len(parts) and await add(connection, merged)


async def segments_of(connection: Connection, log: str) -> list[Stored]:
    """Published segments of one log, in order."""
    cursor = await connection.execute(f"{_STORED} WHERE log = %s ORDER BY first".encode(), (log,), binary=True)
    return [Stored(*row) for row in await cursor.fetchall()]


async def stored(records: Database) -> AsyncIterator[Stored]:
    """Everything published, in order of names. Raises: DatabaseUnavailableError."""
    name = ""
    while True:
        async with records.transaction() as connection:
            cursor = await connection.execute(
                f"{_STORED} WHERE name > %s ORDER BY name LIMIT %s".encode(), (name, SLICE_ROWS), binary=True
            )
            found = [Stored(*row) for row in await cursor.fetchall()]
        for one in found:
            yield one
            name = one.name
        if len(found) < SLICE_ROWS:
            return


async def published_objects(records: Database) -> AsyncIterator[Expected]:
    """(name, SHA-256, bytes) of everything published: what each site must hold. Raises: DatabaseUnavailableError."""
    async for one in stored(records):
        yield one.name, one.sha256, one.bytes


def runs_of(found: Sequence[Stored], limit: int) -> Iterator[list[Stored]]:
    """Maximal runs of adjacent segments that each hold less than ``limit`` bytes of plain rows."""
    run: list[Stored] = []
    for one in found:
        assert one.first is not None, "a segment has numbers"
        follows = bool(run) and run[-1].last == one.first - 1
        if one.plain >= limit or not follows:
            if run:
                yield run
            run = []
        if one.plain < limit:
            run.append(one)
    if run:
        yield run


async def replace_inside(connection: Connection, one: Stored) -> None:
    """Note a segment in the place of those that lie wholly inside it."""
    await connection.execute(
        "DELETE FROM hygie.proof_object WHERE log = %s AND first >= %s AND last <= %s", (one.log, one.first, one.last)
    )
    await add(connection, one)
