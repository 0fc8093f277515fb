"""The catalogue's SQL: the only file of the vault that speaks it.

Source: src/hygie/database/environment/0001_vault.sql.  Every function runs inside the caller's transaction, under
the environment's own role; hot lookups are single round trips.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import psycopg

from hygie.base.errors import UnavailableError
from hygie.database.copy_format import encode_rows
from hygie.database.hot import HotTransaction
from hygie.vault.pack import PackedObject

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
    """One version and where to find it; epoch and wrap are null when its compartment was erased."""

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

    @property
    def pack(self) -> int:
        """Number of the pack that holds it."""
        return self.seq >> RANK_BITS


LOCATED = (
    "SELECT o.id, o.version, o.compartment, o.seq, o.start, o.length, o.at_ms, o.deleted, c.epoch, c.wrap, c.subject"
    " FROM object o JOIN compartment c ON c.id = o.compartment "
)

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


async def lock(connection: Connection, keys: Sequence[int]) -> None:
    """Take transaction locks in the order given (sorted by the caller, so that nobody waits in a circle)."""
    await connection.execute("SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) AS k", (list(keys),))


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


async def located_current(connection: Reading, object_ids: Sequence[bytes]) -> dict[bytes, LocatedRow]:
    """Where the current versions of these ids are."""
    cursor = await connection.execute(LOCATED + "WHERE o.id = ANY(%s) AND o.current", (list(object_ids),))
    return {row[0]: LocatedRow(*row) for row in await cursor.fetchall()}


async def located_versions(
    connection: Reading, pairs: Sequence[tuple[bytes, int]]
) -> dict[tuple[bytes, int], LocatedRow]:
    """Where these versions are."""
    cursor = await connection.execute(
        LOCATED + "JOIN unnest(%s::bytea[], %s::int[]) AS wanted (id, version)"
        " ON o.id = wanted.id AND o.version = wanted.version",
        ([pair[0] for pair in pairs], [pair[1] for pair in pairs]),
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


class Window(NamedTuple):
    """Bounds of a walk, on seq; both exclusive."""

    after: int
    before: int


WHOLE = Window(-1, 1 << 62)


def _term_filter(clauses: Sequence[Sequence[int]], alias: str = "") -> tuple[str, list[Any]]:
    """SQL and parameters of AND of OR of tokens; single terms share one containment test, which GIN intersects."""
    singles = [clause[0] for clause in clauses if len(clause) == 1]
    several = [list(clause) for clause in clauses if len(clause) != 1]
    tests: list[str] = []
    parameters: list[Any] = []
    if singles:
        tests.append(f"{alias}tokens @> %s::bigint[]")
        parameters.append(singles)
    for clause in several:
        tests.append(f"{alias}tokens && %s::bigint[]")
        parameters.append(clause)
    return " AND ".join(tests) or "true", parameters


_COLUMNS = "id, version, compartment, seq, start, length, at_ms, deleted"
_JOINED = "h.id, h.version, h.compartment, h.seq, h.start, h.length, h.at_ms, h.deleted, c.epoch, c.wrap, c.subject"


async def probe(connection: Reading, clauses: Sequence[Sequence[int]], *, limit: int) -> list[LocatedRow]:
    """Candidates through the token index, unsorted, at most ``limit``, whatever their place in the order.

    Materialised without ORDER BY so that no plan but the token index suits it: with an order, PostgreSQL may prefer to
    walk rows for a term it wrongly believes frequent (1 s where this takes 1 ms on 800,000 rows).
    """
    test, parameters = _term_filter(clauses)
    sql = (
        f"WITH hits AS MATERIALIZED (SELECT {_COLUMNS} FROM object WHERE {test} LIMIT %s)"
        f" SELECT {_JOINED} FROM hits h JOIN compartment c ON c.id = h.compartment"
    )
    cursor = await connection.execute(sql, (*parameters, limit))
    return [LocatedRow(*row) for row in await cursor.fetchall()]


async def walk(
    connection: Reading,
    types: Sequence[int],
    clauses: Sequence[Sequence[int]],
    *,
    limit: int,
    budget: int,
    window: Window = WHOLE,
    ascending: bool = False,
) -> tuple[list[LocatedRow], int | None]:
    """Walk current rows of one type in order, at most ``budget`` of them.

    Returns the matches (at most ``limit``) and the seq up to which was walked when the budget ended it, else None; that
    is a tenth before the budget's end, so that what writers replace meanwhile hides no row.
    """
    test, parameters = _term_filter(clauses)
    order = "ASC" if ascending else "DESC"
    scan = (
        "SELECT * FROM object WHERE type = %s AND current AND NOT deleted AND seq > %s AND seq < %s"
        f" ORDER BY seq {order} LIMIT %s"
    )
    bounds = (types[0], window.after, window.before)
    cursor = await connection.execute(
        f"SELECT {_JOINED} FROM (SELECT * FROM ({scan}) w WHERE {test} LIMIT %s) h"
        f" JOIN compartment c ON c.id = h.compartment ORDER BY h.seq {order}",
        (*bounds, budget, *parameters, limit),
    )
    rows = [LocatedRow(*row) for row in await cursor.fetchall()]
    if len(rows) >= limit:
        return rows, None
    # Rows that a writer replaces between the two statements would take the second one past the end of the first.
    sure = budget - budget // 10
    edge = "max" if ascending else "min"
    cursor = await connection.execute(f"SELECT count(*), {edge}(seq) FROM ({scan}) w", (*bounds, sure))
    walked = await cursor.fetchone()
    assert walked is not None
    count, seq = walked
    if count < sure:
        return rows, None
    return [row for row in rows if (row.seq <= seq if ascending else row.seq >= seq)], int(seq)


async def of_patient(
    connection: Reading,
    subject: bytes,
    types: Sequence[int],
    clauses: Sequence[Sequence[int]],
    *,
    limit: int,
    window: Window = WHOLE,
    ascending: bool = False,
) -> list[LocatedRow]:
    """Current objects of one patient, those it shares with others included, in order."""
    test, parameters = _term_filter(clauses, "h.")
    kind = " AND h.type = ANY(%s)" if types else ""
    sql = (
        f"SELECT {_JOINED} FROM compartment c JOIN object h ON h.compartment = c.id"
        " WHERE c.id IN (SELECT id FROM compartment WHERE subject = %s AND state = 0"
        " UNION ALL SELECT compartment FROM compartment_member WHERE subject = %s) AND c.state = 0"
        f" AND h.current AND NOT h.deleted AND h.seq > %s AND h.seq < %s{kind} AND {test}"
        f" ORDER BY h.seq {'ASC' if ascending else 'DESC'} LIMIT %s"
    )
    cursor = await connection.execute(
        sql,
        (subject, subject, window.after, window.before, *([list(types)] if types else []), *parameters, limit),
    )
    return [LocatedRow(*row) for row in await cursor.fetchall()]


async def history(
    connection: Reading,
    *,
    object_id: bytes | None,
    type_: int | None,
    limit: int,
    before: int,
    since_ms: int,
) -> list[LocatedRow]:
    """Versions, newest first: of one object, of a type, or of the environment."""
    tests, parameters = ["o.seq < %s", "o.at_ms >= %s"], [before, since_ms]
    if object_id is not None:
        tests.append("o.id = %s")
        parameters.append(object_id)  # type: ignore[arg-type]
    if type_ is not None:
        tests.append("o.type = %s")
        parameters.append(type_)
    cursor = await connection.execute(
        LOCATED + f"WHERE {' AND '.join(tests)} ORDER BY o.seq DESC LIMIT %s", (*parameters, limit)
    )
    return [LocatedRow(*row) for row in await cursor.fetchall()]


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


async def export_rows(
    connection: Connection, after: tuple[bytes, int], last_pack: int, *, limit: int
) -> list[ExportRow]:
    """Versions in order of (compartment, seq), from after a position, of packs up to the last one.

    The slice is taken first, so that no plan but its index suits it: joined before, PostgreSQL sorts the whole
    catalogue for each batch.
    """
    ended = (last_pack + 1) << RANK_BITS
    cursor = await connection.execute(
        "WITH h AS MATERIALIZED (SELECT * FROM object WHERE (compartment, seq) > (%s, %s) AND seq < %s"
        f" ORDER BY compartment, seq LIMIT %s) SELECT {_JOINED}, c.kind, NOT EXISTS (SELECT FROM object n"
        " WHERE n.id = h.id AND n.version = h.version + 1 AND n.seq < %s)"
        " FROM h JOIN compartment c ON c.id = h.compartment ORDER BY h.compartment, h.seq",
        (*after, ended, limit, ended),
    )
    return [ExportRow(LocatedRow(*row[:-2]), row[-2], row[-1]) for row in await cursor.fetchall()]


async def count_matches(connection: Reading, types: Sequence[int], clauses: Sequence[Sequence[int]]) -> int:
    """How many current rows carry these tokens: an upper bound where an exact filter follows.

    Erased patients' rows do not count, purged or not. They are the few, so they are what is looked for.
    """
    test, parameters = _term_filter(clauses, "o.")
    row = await (
        await connection.execute(
            "SELECT count(*) FROM object o WHERE o.current AND NOT o.deleted AND o.type = ANY(%s)"
            f" AND {test} AND NOT EXISTS (SELECT FROM compartment c WHERE c.id = o.compartment AND c.state = 1)",
            (list(types), *parameters),
        )
    ).fetchone()
    assert row is not None
    return int(row[0])


async def frequent_tokens(connection: Reading, rows_min: int) -> frozenset[int]:
    """Tokens that PostgreSQL's statistics find in more than ``rows_min`` rows."""
    cursor = await connection.execute(
        "SELECT t.token FROM pg_stats s JOIN pg_class c ON c.oid = 'object'::regclass,"
        " unnest(s.most_common_elems::text::bigint[], s.most_common_elem_freqs) AS t (token, share)"
        " WHERE s.schemaname = current_schema() AND s.tablename = 'object' AND s.attname = 'tokens'"
        " AND t.token IS NOT NULL AND t.share * c.reltuples > %s",
        (rows_min,),
    )
    return frozenset(row[0] for row in await cursor.fetchall())


async def packs_near(connection: Reading, from_ms: int | None, to_ms: int | None) -> Window:
    """Bounds on seq for an interval of instants, widened by a minute for clocks that differ between processes."""
    slack_ms = 60_000
    cursor = await connection.execute(
        "SELECT (SELECT min(number) FROM pack WHERE at_ms >= %s), (SELECT max(number) FROM pack WHERE at_ms <= %s)",
        ((from_ms or 0) - slack_ms, (to_ms if to_ms is not None else 1 << 60) + slack_ms),
    )
    row = await cursor.fetchone()
    assert row is not None
    if row[0] is None or row[1] is None:
        return Window(0, 0)
    return Window((row[0] << RANK_BITS) - 1, (row[1] + 1) << RANK_BITS)
