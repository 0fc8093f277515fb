"""The catalogue's SQL for what is not a request: epochs, erasure, rebuild. Same rules as ``catalogue``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hygie.database.copy_format import encode_rows
from hygie.vault.catalogue import OBJECT_COLUMNS, OBJECT_COPY, RANK_BITS, Connection, lock
from hygie.vault.pack import PackedObject
from hygie.vault.set_rows import forget_patient
from hygie.vault.tokens import MANY_PATIENTS_LOCK, lock_key

if TYPE_CHECKING:
    from hygie.vault.ledger import Survivors


SLICE_ROWS = 5_000  # rows of one statement: its arrays stay under a few MB


async def live_wraps(connection: Connection, epoch: int) -> list[tuple[bytes, bytes]]:
    """(id, wrap) of every live compartment under one epoch."""
    cursor = await connection.execute(
        "SELECT id, wrap FROM compartment WHERE state = 0 AND epoch = %s ORDER BY id", (epoch,)
    )
    return await cursor.fetchall()


async def stale_compartments(connection: Connection, epoch: int, *, limit: int) -> list[tuple[bytes, int, bytes]]:
    """(id, epoch, wrap) of live compartments wrapped under an older epoch, held against erasure meanwhile."""
    cursor = await connection.execute(
        "SELECT id, epoch, wrap FROM compartment WHERE state = 0 AND epoch < %s LIMIT %s FOR UPDATE", (epoch, limit)
    )
    return await cursor.fetchall()


async def rewrap_compartments(connection: Connection, ids: Sequence[bytes], epoch: int, wraps: Sequence[bytes]) -> None:
    """Replace wraps; an erased compartment stays erased."""
    await connection.execute(
        "UPDATE compartment c SET wrap = w.wrap, epoch = %s FROM unnest(%s::bytea[], %s::bytea[]) AS w (id, wrap)"
        " WHERE c.id = w.id AND c.state = 0",
        (epoch, list(ids), list(wraps)),
    )


async def hold_compartments(connection: Connection) -> None:
    """Keep writers from adding compartments until the transaction ends; readers go on."""
    await connection.execute("LOCK TABLE compartment IN EXCLUSIVE MODE")


async def raise_epoch_floor(connection: Connection, epoch: int) -> None:
    """From here on, a compartment wrapped under an older epoch is refused (``insert_compartments``)."""
    await connection.execute("UPDATE epoch_floor SET epoch = greatest(epoch, %s)", (epoch,))


async def count_live_compartments(connection: Connection) -> int:
    """How many compartments can be opened."""
    row = await (await connection.execute("SELECT count(*) FROM compartment WHERE state = 0")).fetchone()
    assert row is not None
    return int(row[0])


async def erase_compartment(connection: Connection, compartment: bytes, at_ms: int) -> int | None:
    """Destroy a compartment's wrap: what it protects stops being readable when this commits.

    Waits for the writers of this patient under way: one that committed afterwards would leave rows, and tokens, in a
    compartment that was purged meanwhile.
    Returns the epoch of the destroyed wrap, None if it was erased already.
    """
    cursor = await connection.execute("SELECT subject FROM compartment WHERE id = %s", (compartment,))
    subject = await cursor.fetchone()
    if subject is None:
        return None
    await lock(connection, sorted((lock_key(subject[0]), MANY_PATIENTS_LOCK)))
    cursor = await connection.execute(
        "UPDATE compartment SET state = 1, wrap = NULL, erased_ms = %s WHERE id = %s AND state = 0 RETURNING epoch",
        (at_ms, compartment),
    )
    row = await cursor.fetchone()
    await forget_patient(connection, compartment)
    return int(row[0]) if row else None


class Erased(NamedTuple):
    """An erased compartment: when, the epoch of its last wrap, how many versions it protected."""

    at_ms: int
    epoch: int
    objects: int


async def erased_compartment(connection: Connection, compartment: bytes) -> Erased | None:
    """What is known of an erased compartment; None while it lives, or if there is none."""
    cursor = await connection.execute(
        "SELECT erased_ms, epoch FROM compartment WHERE id = %s AND state = 1", (compartment,)
    )
    row = await cursor.fetchone()
    return Erased(int(row[0]), int(row[1]), await count_objects(connection, compartment)) if row else None


async def shared_compartments(connection: Connection, subject: bytes) -> list[bytes]:
    """Live compartments that a patient shares with others."""
    cursor = await connection.execute(
        "SELECT c.id FROM compartment_member m JOIN compartment c ON c.id = m.compartment"
        " WHERE m.subject = %s AND c.state = 0",
        (subject,),
    )
    return [row[0] for row in await cursor.fetchall()]


async def compartments_of(connection: Connection, subject: bytes) -> list[bytes]:
    """Every compartment that a patient has or had, alone or with others, erased ones included."""
    cursor = await connection.execute(
        "SELECT id FROM compartment WHERE subject = %s"
        " UNION SELECT compartment FROM compartment_member WHERE subject = %s",
        (subject, subject),
    )
    return [row[0] for row in await cursor.fetchall()]


async def purge_erased(connection: Connection, compartment: bytes, at_ms: int, *, limit: int) -> int:
    """Remove index rows of an erased compartment, a slice at a time. Returns how many were removed.

    Only the current row of each object stays, without tokens, so that a read still answers *erased*.
    """
    cursor = await connection.execute(
        "WITH slice AS (SELECT id, version, current FROM object WHERE compartment = %s AND (tokens IS NOT NULL OR NOT"
        " current) LIMIT %s), gone AS (DELETE FROM object o USING slice s WHERE o.id = s.id AND o.version = s.version"
        " AND NOT s.current), blank AS (UPDATE object o SET tokens = NULL FROM slice s WHERE o.id = s.id"
        " AND o.version = s.version AND s.current) SELECT count(*) FROM slice",
        (compartment, limit),
    )
    row = await cursor.fetchone()
    assert row is not None
    if row[0] == 0:
        await connection.execute("UPDATE compartment SET purged_ms = %s WHERE id = %s", (at_ms, compartment))
    return int(row[0])


async def count_objects(connection: Connection, compartment: bytes) -> int:
    """Versions that a compartment protects."""
    row = await (
        await connection.execute("SELECT count(*) FROM object WHERE compartment = %s", (compartment,))
    ).fetchone()
    assert row is not None
    return int(row[0])


async def count_versions(connection: Connection) -> int:
    """How many versions the catalogue holds."""
    row = await (await connection.execute("SELECT count(*) FROM object")).fetchone()
    assert row is not None
    return int(row[0])


async def clear_unfinished(connection: Connection) -> None:
    """Remove what a rebuild that was interrupted before its first object left; nothing, once there is an object.

    As the owner, in the environment's schema: its own role may not take compartments away.
    """
    await connection.execute("DELETE FROM group_member WHERE NOT EXISTS (SELECT FROM object)")
    await connection.execute("DELETE FROM compartment_member WHERE NOT EXISTS (SELECT FROM object)")
    await connection.execute("DELETE FROM compartment WHERE NOT EXISTS (SELECT FROM object)")
    await connection.execute("DELETE FROM blob_chunk WHERE NOT EXISTS (SELECT FROM object)")
    await connection.execute("DELETE FROM pack WHERE NOT EXISTS (SELECT FROM object)")


async def count_packs(connection: Connection) -> tuple[int, int]:
    """(number of the last pack, how many there are), once the writes under way have ended."""
    await connection.execute("LOCK TABLE pack IN SHARE MODE")
    row = await (await connection.execute("SELECT coalesce(max(number), 0), count(*) FROM pack")).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def insert_survivors(connection: Connection, survivors: Survivors, erased_at_ms: int) -> None:
    """Rows of compartments found on a site: live ones with their wrap, erased ones without.

    Args: erased_at_ms: instant written for erased ones, whose true one is in their certificate.
    """
    rows = [*survivors.live, *survivors.erased]
    erased = {one.compartment for one in survivors.erased}
    for begin in range(0, len(rows), SLICE_ROWS):
        part = rows[begin : begin + SLICE_ROWS]
        await connection.execute(
            "INSERT INTO compartment (id, kind, subject, epoch, wrap, state, pack, erased_ms)"
            " SELECT id, kind, subject, epoch, wrap, state, pack, CASE state WHEN 1 THEN %s::bigint END FROM unnest("
            "%s::bytea[], %s::smallint[], %s::bytea[], %s::int[], %s::bytea[], %s::smallint[], %s::bigint[])"
            " AS t (id, kind, subject, epoch, wrap, state, pack)",
            (
                erased_at_ms,
                [row.compartment for row in part],
                [row.kind for row in part],
                [row.subject for row in part],
                [row.epoch for row in part],
                [None if row.compartment in erased else row.wrap for row in part],
                [int(row.compartment in erased) for row in part],
                [survivors.packs[row.compartment] for row in part],
            ),
        )
        pairs = [(row.compartment, member) for row in part for member in row.members]
        if pairs:
            await connection.execute(
                "INSERT INTO compartment_member (compartment, subject) SELECT * FROM unnest(%s::bytea[], %s::bytea[])",
                ([pair[0] for pair in pairs], [pair[1] for pair in pairs]),
            )


class PackRow(NamedTuple):
    """One row of ``pack``."""

    number: int
    sha256: bytes
    size_bytes: int
    objects: int
    at_ms: int


class RebuiltRow(NamedTuple):
    """One version as a rebuild found it: in which pack, at which rank of its table."""

    number: int
    rank: int
    packed: PackedObject
    tokens: Sequence[bytes]
    current: bool


async def insert_packs(connection: Connection, packs: Sequence[PackRow]) -> None:
    """The rows that make packs exist."""
    await connection.execute(
        "INSERT INTO pack (number, sha256, bytes, objects, at_ms)"
        " SELECT * FROM unnest(%s::bigint[], %s::bytea[], %s::bigint[], %s::int[], %s::bigint[])",
        tuple(list(column) for column in zip(*packs, strict=True)),
    )


def encode_objects(rows: Sequence[RebuiltRow]) -> bytes:
    """Rows of many packs in one COPY buffer. Pure: for a thread."""
    return encode_rows(
        OBJECT_COLUMNS,
        (
            (
                row.packed.object_id,
                row.packed.version,
                row.packed.type_code,
                row.packed.compartment,
                (row.number << RANK_BITS) + row.rank,
                row.packed.start,
                row.packed.length,
                row.packed.at_ms,
                row.current,
                row.packed.deleted,
                row.tokens or None,
            )
            for row in rows
        ),
    )


async def copy_encoded(connection: Connection, buffer: bytes) -> None:
    """COPY what ``encode_objects`` made."""
    async with connection.cursor() as cursor, cursor.copy(OBJECT_COPY) as stream:
        await stream.write(buffer)
