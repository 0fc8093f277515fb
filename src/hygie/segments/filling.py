"""The SQL of taking back: rows that lack are added, rows that are there are never touched. As the database's owner."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
from psycopg import sql

from hygie.segments.format import BATCHES, DOCUMENTS, RECORDS, BatchRow, FileBody, RecordRow, Segment
from hygie.segments.named import Range
from hygie.segments.rows import End

Connection = psycopg.AsyncConnection[Any]
_TABLE = {RECORDS: sql.Identifier("hygie_proof", "record"), BATCHES: sql.Identifier("hygie_proof", "batch")}
_COPY_RECORDS = (
    "COPY hygie_proof.record (seq, register, key, version, at_ms, author, approver, tenant, state, reason, body,"
    " digest) FROM STDIN (FORMAT BINARY)"
)
_COPY_BATCHES = "COPY hygie_proof.batch (seq, at_ms, cause, mode, count, catalogue, digest) FROM STDIN (FORMAT BINARY)"
_COPY_RUNS = (
    "COPY hygie_proof.run (batch, place, check_id, at_ms, fresh_until_ms, since_ms, verdict, evidence, body)"
    " FROM STDIN (FORMAT BINARY)"
)
_GAPS = sql.SQL(
    "SELECT seq + 1, next - 1 FROM (SELECT seq, lead(seq) OVER (ORDER BY seq) AS next FROM"
    " (SELECT 0 AS seq UNION ALL SELECT seq FROM {table} UNION ALL SELECT %s WHERE %s > (SELECT coalesce(max(seq), 0)"
    " FROM {table})) AS numbers) AS pairs WHERE next > seq + 1 ORDER BY 1"
)


class _RunBody(msgspec.Struct):
    """What the searched columns of a run repeat."""

    check: str
    verdict: str
    evidence: str
    at_ms: int
    fresh_until_ms: int
    since_ms: int


_decode_run = msgspec.json.Decoder(_RunBody).decode


async def known_files(connection: Connection, kind: str) -> set[bytes]:
    """SHA-256 of the documents or catalogues that are there."""
    table = sql.Identifier("hygie_proof", "document" if kind == DOCUMENTS else "catalogue")
    cursor = await connection.execute(sql.SQL("SELECT sha256 FROM {}").format(table))
    return {bytes(row[0]) for row in await cursor.fetchall()}


async def put_file(connection: Connection, kind: str, sha256: bytes, body: FileBody) -> None:
    """Add a document or a catalogue."""
    if kind == DOCUMENTS:
        await connection.execute(
            "INSERT INTO hygie_proof.document (sha256, name, media_type, at_ms, content) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (sha256, body.name, body.media_type, body.at_ms, body.content),
        )
        return
    await connection.execute(
        "INSERT INTO hygie_proof.catalogue (sha256, at_ms, body) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (sha256, body.at_ms, body.content.decode()),
    )


async def is_filled(connection: Connection, log: str, first: int, last: int, name: str) -> bool:
    """Whether every write of a segment is there, and the segment is noted."""
    row = await (
        await connection.execute(
            sql.SQL(
                "SELECT (SELECT count(*) FROM {} WHERE seq BETWEEN %s AND %s)"
                " + (SELECT count(*) FROM hygie.proof_object WHERE name = %s)"
            ).format(_TABLE[log]),
            (first, last, name),
        )
    ).fetchone()
    return row is not None and int(row[0]) == last - first + 2


async def fill(connection: Connection, segment: Segment) -> int | None:
    """Add the rows that lack and let the head follow. Returns how many; None when a row that is there is another one.

    Raises: psycopg.errors.IntegrityError: a catalogue is not there, or a record has that version already.
    """
    log = segment.log
    await connection.execute("SELECT FROM hygie_proof.head WHERE log = %s FOR UPDATE", (log,))
    cursor = await connection.execute(
        sql.SQL("SELECT seq, digest FROM {} WHERE seq BETWEEN %s AND %s").format(_TABLE[log]),
        (segment.first, segment.last),
    )
    there = {seq: bytes(digest) for seq, digest in await cursor.fetchall()}
    if any(there.get(row.seq, row.digest) != row.digest for row in segment.rows):
        return None
    records = [row for row in segment.rows if isinstance(row, RecordRow) and row.seq not in there]
    batches = [row for row in segment.rows if isinstance(row, BatchRow) and row.seq not in there]
    if records:
        await _copy_records(connection, records)
    if batches:
        await _copy_batches(connection, batches)
    if added := len(records) + len(batches):
        newest = segment.rows[-1]
        await raise_head(connection, log, End(newest.seq, newest.digest), newest.at_ms)
        return added
    return 0


async def raise_head(connection: Connection, log: str, end: End, at_ms: int) -> None:
    """Let the head of a log follow, never back."""
    await connection.execute(
        "UPDATE hygie_proof.head SET seq = %s, digest = %s, at_ms = greatest(at_ms, %s) WHERE log = %s AND seq < %s",
        (end.seq, end.digest, at_ms, log, end.seq),
    )


async def gaps(connection: Connection, log: str, highest: int) -> list[Range]:
    """Ranges of numbers that are not there. Args: highest: the last number that was ever given."""
    cursor = await connection.execute(_GAPS.format(table=_TABLE[log]), (highest + 1, highest + 1))
    return [(int(first), int(last)) for first, last in await cursor.fetchall()]


async def forget_holes(connection: Connection, log: str, *, filled: bool = False) -> None:
    """Forget the holes of a log, before they are found anew. Args: filled: only those in which nothing lacks now."""
    if not filled:
        await connection.execute("DELETE FROM hygie_proof.hole WHERE log = %s", (log,))
        return
    statement = sql.SQL(
        "DELETE FROM hygie_proof.hole WHERE log = %s"
        " AND (SELECT count(*) FROM {} WHERE seq BETWEEN first AND last) = last - first + 1"
    )
    await connection.execute(statement.format(_TABLE[log]), (log,))


async def add_hole(connection: Connection, log: str, first: int, end: End) -> None:
    """Note numbers that nobody holds. Args: end: the last one, with its digest."""
    await connection.execute(
        "INSERT INTO hygie_proof.hole (log, first, last, digest) VALUES (%s, %s, %s, %s)",
        (log, first, end.seq, end.digest),
    )


async def _copy_records(connection: Connection, records: list[RecordRow]) -> None:
    async with connection.cursor() as cursor, cursor.copy(_COPY_RECORDS.encode()) as copy:
        copy.set_types(("int8", "text", "text", "int4", "int8", *["text"] * 6, "bytea"))
        for row in records:
            await copy.write_row(
                (
                    *(row.seq, row.register, row.key, row.version, row.at_ms, row.author, row.approver),
                    *(row.tenant, row.state, row.reason, row.body, row.digest),
                )
            )


async def _copy_batches(connection: Connection, batches: list[BatchRow]) -> None:
    async with connection.cursor() as cursor:
        async with cursor.copy(_COPY_BATCHES.encode()) as copy:
            copy.set_types(("int8", "int8", "text", "text", "int4", "bytea", "bytea"))
            for row in batches:
                await copy.write_row(
                    (row.seq, row.at_ms, row.cause, row.mode, len(row.bodies), row.catalogue, row.digest)
                )
        async with cursor.copy(_COPY_RUNS.encode()) as copy:
            copy.set_types(("int8", "int4", "text", "int8", "int8", "int8", "text", "text", "text"))
            for row in batches:
                for place, body in enumerate(row.bodies):
                    run = _decode_run(body)
                    await copy.write_row(
                        (
                            *(row.seq, place, run.check, run.at_ms, run.fresh_until_ms, run.since_ms),
                            *(run.verdict, run.evidence, body),
                        )
                    )
