"""The catalogue's SQL: the only file of the vault that speaks it.

Source: src/hygie/database/environment/0001_vault.sql.  Every function runs inside the caller's transaction, under
the environment's own role; hot lookups are single round trips.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import psycopg

from hygie.base.errors import UnavailableError
from hygie.database.copy_format import encode_rows
from hygie.database.hot import HotTransaction
from hygie.vault.pack import PackedObject
from hygie.vault.patient_sets import Opened
from hygie.vault.set_rows import Opening, opening

if TYPE_CHECKING:
    from hygie.vault.compartments import NewCompartment
    from hygie.vault.planning import Plan

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Reading: TypeAlias = psycopg.AsyncConnection[Any] | HotTransaction

CompartmentFacts: TypeAlias = tuple[bytes, bytes, int, bytes, int, int]

RANK_BITS = 20  # objects in one pack: a million, one hundred times the largest request


class CurrentRow(NamedTuple):
    """The current version of one object. gone: deleted, or its patient was erased."""

    object_id: bytes
    version: int
    compartment: bytes
    at_ms: int
    gone: bool


class LocatedRow(NamedTuple):
    """One version and where to find it; epoch and wrap are null when its compartment was erased.

    marks: what opens it to a limited permit (``patient_sets.is_open``), when that was asked.
    """

    object_id: bytes
    version: int
    compartment: bytes
    seq: int
    start: int
    length: int
    at_ms: int
    deleted: bool
    epoch: int
    wrap: bytes | None
    subject: bytes
    marks: bytes | None = None

    @property
    def pack(self) -> int:
        """Number of the pack that holds it."""
        return self.seq >> RANK_BITS


LOCATED = (
    "SELECT o.id, o.version, o.compartment, o.seq, o.start, o.length, o.at_ms, o.deleted, c.epoch, c.wrap, c.subject"
)


def located(marks: Opening) -> str:
    """The start of a statement that locates versions of ``object o``, with the marks that are asked for."""
    return f"{LOCATED}{marks.column} FROM object o JOIN compartment c ON c.id = o.compartment{marks.join} "


JOINED = "h.id, h.version, h.compartment, h.seq, h.start, h.length, h.at_ms, h.deleted, c.epoch, c.wrap, c.subject"

OBJECT_COPY = (
    "COPY object (id, version, type, compartment, seq, start, length, at_ms, current, deleted, tokens)"
    " FROM STDIN (FORMAT BINARY)"
)
OBJECT_COLUMNS = ("bytea", "int4", "int4", "bytea", "int8", "int4", "int4", "int8", "bool", "bool", "token[]")


class ObjectRow(NamedTuple):
    """One row to be inserted: what the pack says, its blind tokens (none unless current), whether it is current."""

    packed: PackedObject
    tokens: Sequence[bytes]
    current: bool = True


async def lock(connection: Connection, keys: Sequence[int], shared: Collection[int] = ()) -> None:
    """Take transaction locks in the order given (sorted by the caller, so that nobody waits in a circle).

    Args: shared: those among them that others may hold at the same time.
    """
    if not shared:
        await connection.execute("SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) AS k", (list(keys),))
        return
    await connection.execute(
        "SELECT CASE WHEN s THEN pg_advisory_xact_lock_shared(k)::text ELSE pg_advisory_xact_lock(k)::text END"
        " FROM unnest(%s::bigint[], %s::bool[]) AS w (k, s)",
        (list(keys), [key in shared for key in keys]),
    )


async def current_rows(connection: Connection, object_ids: Sequence[bytes]) -> dict[bytes, CurrentRow]:
    """Current versions of the ids that exist."""
    if not object_ids:
        return {}
    cursor = await connection.execute(
        "SELECT o.id, o.version, o.compartment, o.at_ms, o.deleted OR c.state = 1 FROM object o"
        " JOIN compartment c ON c.id = o.compartment WHERE o.id = ANY(%s) AND o.current",
        (list(object_ids),),
    )
    return {row[0]: CurrentRow(*row) for row in await cursor.fetchall()}


async def located_current(
    connection: Reading, object_ids: Sequence[bytes], opened: Opened | None = None
) -> dict[bytes, LocatedRow]:
    """Where the current versions of these ids are, what is closed to ``opened`` included."""
    marks = opening(opened, "o")
    cursor = await connection.execute(
        located(marks) + "WHERE o.id = ANY(%s) AND o.current", (*marks.values, list(object_ids))
    )
    return {row[0]: LocatedRow(*row) for row in await cursor.fetchall()}


async def located_versions(
    connection: Reading, pairs: Sequence[tuple[bytes, int]], opened: Opened | None = None
) -> dict[tuple[bytes, int], LocatedRow]:
    """Where these versions are, what is closed to ``opened`` included."""
    marks = opening(opened, "o")
    cursor = await connection.execute(
        located(marks) + "JOIN unnest(%s::bytea[], %s::int[]) AS wanted (id, version)"
        " ON o.id = wanted.id AND o.version = wanted.version",
        (*marks.values, [pair[0] for pair in pairs], [pair[1] for pair in pairs]),
    )
    return {(row[0], row[1]): LocatedRow(*row) for row in await cursor.fetchall()}


async def next_pack_number(connection: Connection) -> int:
    """Draw a pack number: after the locks, so that a later version always has a higher one."""
    row = await (await connection.execute("SELECT nextval('pack_number')")).fetchone()
    assert row is not None
    return int(row[0])


async def pack_exists(connection: Connection, number: int) -> bool:
    """Whether a pack is committed."""
    row = await (await connection.execute("SELECT 1 FROM pack WHERE number = %s", (number,))).fetchone()
    return row is not None


async def insert_pack(
    connection: Connection, number: int, sha256: bytes, size_bytes: int, *, objects: int, at_ms: int
) -> None:
    """The row that makes a pack exist."""
    await connection.execute(
        "INSERT INTO pack (number, sha256, bytes, objects, at_ms) VALUES (%s, %s, %s, %s, %s)",
        (number, sha256, size_bytes, objects, at_ms),
    )


async def held(connection: Connection) -> tuple[int, int]:
    """(bytes on each site, versions) of the whole environment: its packs and the chunks of its contents."""
    cursor = await connection.execute(
        "SELECT (SELECT coalesce(sum(bytes), 0) FROM pack) + (SELECT coalesce(sum(bytes), 0) FROM blob_chunk),"
        " (SELECT coalesce(sum(objects), 0) FROM pack)"
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def insert_group(
    connection: Connection, plan: Plan, rows: Sequence[ObjectRow], pack_sha256: bytes, pack_bytes: int
) -> None:
    """All rows of a group: pack, new compartments, chunks of contents, versions replaced and versions added."""
    await insert_pack(connection, plan.number, pack_sha256, pack_bytes, objects=len(rows), at_ms=plan.at_ms)
    await insert_compartments(connection, [new for new in plan.created if new.fresh], plan.number)
    carried = [new.row.compartment for new in plan.created if not new.fresh]
    if carried:
        await carry_compartments(connection, carried, plan.number)
    if plan.replaced:
        await connection.execute(
            "UPDATE object SET current = false, tokens = NULL WHERE id = ANY(%s) AND current", (list(plan.replaced),)
        )
    for version in plan.versions:
        if version.source.blob is not None:
            await insert_chunks(connection, version.source.blob.blob_id, version.source.chunks)
    await copy_objects(connection, plan.number, rows)


async def insert_compartments(connection: Connection, created: Sequence[NewCompartment], pack: int) -> None:
    """Rows of new compartments and of their members."""
    if not created:
        return
    rows = [new.row for new in created]
    await connection.execute(
        "INSERT INTO compartment (id, kind, subject, epoch, wrap, pack)"
        " SELECT *, %s FROM unnest(%s::bytea[], %s::smallint[], %s::bytea[], %s::int[], %s::bytea[])",
        (
            pack,
            [row.compartment for row in rows],
            [row.kind for row in rows],
            [row.subject for row in rows],
            [row.epoch for row in rows],
            [row.wrap for row in rows],
        ),
    )
    oldest = min(row.epoch for row in rows)
    floor = await (await connection.execute("SELECT epoch FROM epoch_floor")).fetchone()
    assert floor is not None
    if oldest < floor[0]:  # wrapped a moment before that epoch's key was destroyed: the key would be lost
        raise UnavailableError(part="epoch")
    pairs = [(new.row.compartment, member) for new in created for member in new.members]
    if pairs:
        await connection.execute(
            "INSERT INTO compartment_member (compartment, subject) SELECT * FROM unnest(%s::bytea[], %s::bytea[])",
            ([pair[0] for pair in pairs], [pair[1] for pair in pairs]),
        )


async def copy_objects(connection: Connection, number: int, rows: Sequence[ObjectRow]) -> None:
    """COPY versions into the catalogue, ranked as they stand in their pack."""
    base = number << RANK_BITS
    buffer = encode_rows(
        OBJECT_COLUMNS,
        (
            (
                packed.object_id,
                packed.version,
                packed.type_code,
                packed.compartment,
                base + rank,
                packed.start,
                packed.length,
                packed.at_ms,
                current,
                packed.deleted,
                tokens or None,
            )
            for rank, (packed, tokens, current) in enumerate(rows)
        ),
    )
    async with connection.cursor() as cursor, cursor.copy(OBJECT_COPY) as stream:
        await stream.write(buffer)


async def live_compartments(connection: Reading, subjects: Iterable[bytes]) -> list[CompartmentFacts]:
    """(id, subject, epoch, wrap, pack, kind) of the live compartments of these subjects."""
    cursor = await connection.execute(
        "SELECT id, subject, epoch, wrap, pack, kind FROM compartment WHERE subject = ANY(%s) AND state = 0",
        (list(subjects),),
    )
    return await cursor.fetchall()


async def compartments_by_id(connection: Reading, ids: Iterable[bytes]) -> list[CompartmentFacts]:
    """(id, subject, epoch, wrap, pack, kind) of these compartments, erased ones left out."""
    cursor = await connection.execute(
        "SELECT id, subject, epoch, wrap, pack, kind FROM compartment WHERE id = ANY(%s) AND state = 0", (list(ids),)
    )
    return await cursor.fetchall()


async def carry_compartments(connection: Connection, ids: Sequence[bytes], pack: int) -> None:
    """Say that a pack now carries the wraps of compartments that a stream had created."""
    await connection.execute("UPDATE compartment SET pack = %s WHERE id = ANY(%s)", (pack, list(ids)))


async def insert_chunks(connection: Connection, blob_id: bytes, chunks: Sequence[tuple[int, bytes, int]]) -> None:
    """Rows (number, sha256, bytes) of a chunked content."""
    await connection.execute(
        "INSERT INTO blob_chunk (blob, number, sha256, bytes)"
        " SELECT %s, * FROM unnest(%s::int[], %s::bytea[], %s::bigint[])",
        (blob_id, [c[0] for c in chunks], [c[1] for c in chunks], [c[2] for c in chunks]),
    )


class ExportRow(NamedTuple):
    """One version for an export. kind: of its compartment; current: the newest inside the export's bound."""

    located: LocatedRow
    kind: int
    current: bool


async def export_bound(connection: Connection) -> tuple[int, int, int]:
    """(last pack, packs, versions), once the writes under way have ended: the lock waits for them, and for no read."""
    await connection.execute("LOCK TABLE pack IN SHARE MODE")
    row = await (
        await connection.execute("SELECT coalesce(max(number), 0), count(*), (SELECT count(*) FROM object) FROM pack")
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


async def patient_compartments(connection: Connection, patient_type: int) -> list[bytes]:
    """The compartments of one patient each, not erased, whose Patient resource is there; in no order that tells."""
    cursor = await connection.execute(
        "SELECT c.id FROM compartment c WHERE c.kind = 1 AND c.state = 0 AND EXISTS (SELECT FROM object o"
        " WHERE o.compartment = c.id AND o.type = %s AND o.current AND NOT o.deleted) ORDER BY c.id",
        (patient_type,),
    )
    return [bytes(row[0]) for row in await cursor.fetchall()]


async def common_compartments(connection: Connection) -> list[bytes]:
    """The compartments of what belongs to no patient."""
    cursor = await connection.execute("SELECT id FROM compartment WHERE kind = 0 AND state = 0 ORDER BY id")
    return [bytes(row[0]) for row in await cursor.fetchall()]


async def export_rows(
    connection: Connection,
    after: tuple[bytes, int],
    last_pack: int,
    *,
    limit: int,
    only: tuple[Sequence[bytes], Sequence[int]] | None = None,
) -> list[ExportRow]:
    """Versions in order of (compartment, seq), from after a position, of packs up to the last one.

    Args: only: current versions of these compartments and types.

    The slice is taken first, so that no plan but its index suits it: joined before, PostgreSQL sorts the whole
    catalogue for each batch.
    """
    ended = (last_pack + 1) << RANK_BITS
    chosen = "" if only is None else " AND compartment = ANY(%s) AND type = ANY(%s) AND current AND NOT deleted"
    cursor = await connection.execute(
        f"WITH h AS MATERIALIZED (SELECT * FROM object WHERE (compartment, seq) > (%s, %s) AND seq < %s{chosen}"
        f" ORDER BY compartment, seq LIMIT %s) SELECT {JOINED}, c.kind, NOT EXISTS (SELECT FROM object n"
        " WHERE n.id = h.id AND n.version = h.version + 1 AND n.seq < %s)"
        " FROM h JOIN compartment c ON c.id = h.compartment ORDER BY h.compartment, h.seq",
        (*after, ended, *([list(one) for one in only] if only else ()), limit, ended),
    )
    return [ExportRow(LocatedRow(*row[:-2]), row[-2], row[-1]) for row in await cursor.fetchall()]
