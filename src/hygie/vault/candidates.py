"""The catalogue's SQL of searches and histories: candidates by blind tokens, in order, within budgets.

Same rules as ``catalogue``.  The code picks the plan, so each statement suits one plan only (docs/adr/0011).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hygie.vault.catalogue import JOINED, LOCATED, RANK_BITS, LocatedRow, Reading, located
from hygie.vault.patient_sets import Opened
from hygie.vault.set_rows import ALL, of_homes, opening


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


async def probe(
    connection: Reading, clauses: Sequence[Sequence[int]], *, limit: int, opened: Opened | None = None
) -> list[LocatedRow]:
    """Candidates through the token index, unsorted, at most ``limit``, whatever their place in the order.

    What is closed to ``opened`` is among them, without marks.

    Materialised without ORDER BY so that no plan but the token index suits it: with an order, PostgreSQL may prefer to
    walk rows for a term it wrongly believes frequent (1 s where this takes 1 ms on 800,000 rows).
    """
    test, parameters = _term_filter(clauses)
    marks = opening(opened, "h")
    columns = _COLUMNS if opened is None else f"{_COLUMNS}, type"
    sql = (
        f"WITH hits AS MATERIALIZED (SELECT {columns} FROM object WHERE {test} LIMIT %s)"
        f" SELECT {JOINED}{marks.column} FROM hits h JOIN compartment c ON c.id = h.compartment{marks.join}"
    )
    cursor = await connection.execute(sql, (*parameters, limit, *marks.values))
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
    opened: Opened | None = None,
) -> tuple[list[LocatedRow], int | None]:
    """Walk current rows of one type in order, at most ``budget`` of them, those that are closed to ``opened`` included.

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
    if opened is None:
        cursor = await connection.execute(
            f"SELECT {JOINED} FROM (SELECT * FROM ({scan}) w WHERE {test} LIMIT %s) h"
            f" JOIN compartment c ON c.id = h.compartment ORDER BY h.seq {order}",
            (*bounds, budget, *parameters, limit),
        )
    else:
        marks = opening(opened, "h")
        cursor = await connection.execute(
            f"SELECT {JOINED}{marks.column} FROM (SELECT * FROM ({scan}) w WHERE {test}) h"
            f" JOIN compartment c ON c.id = h.compartment{marks.join} WHERE {marks.test}"
            f" ORDER BY h.seq {order} LIMIT %s",
            (*bounds, budget, *parameters, *marks.values, limit),
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
    opened: Opened | None = None,
) -> list[LocatedRow]:
    """Current objects of one patient, those it shares with others included, in order."""
    test, parameters = _term_filter(clauses, "h.")
    kind = " AND h.type = ANY(%s)" if types else ""
    marks = opening(opened, "h")
    sql = (
        f"SELECT {JOINED}{marks.column} FROM compartment c JOIN object h ON h.compartment = c.id{marks.join}"
        f" WHERE {marks.test} AND c.id IN (SELECT id FROM compartment WHERE subject = %s AND state = 0"
        " UNION ALL SELECT compartment FROM compartment_member WHERE subject = %s) AND c.state = 0"
        f" AND h.current AND NOT h.deleted AND h.seq > %s AND h.seq < %s{kind} AND {test}"
        f" ORDER BY h.seq {'ASC' if ascending else 'DESC'} LIMIT %s"
    )
    cursor = await connection.execute(
        sql,
        (
            *marks.values,
            *(subject, subject, window.after, window.before),
            *([list(types)] if types else []),
            *parameters,
            limit,
        ),
    )
    return [LocatedRow(*row) for row in await cursor.fetchall()]


async def of_set(
    connection: Reading,
    opened: Opened,
    environment: bytes,
    types: Sequence[int],
    clauses: Sequence[Sequence[int]],
    *,
    limit: int,
    window: Window = WHOLE,
    ascending: bool = False,
) -> list[LocatedRow]:
    """Current objects that are open to a limited permit of few patients (``set_rows.is_small``), in order.

    Compartment by compartment whatever the terms, behind a fence: the planner believes a frequent term to be rare.
    """
    test, parameters = _term_filter(clauses, "h.")
    marks = opening(opened, "h")
    homes, values = of_homes(opened, environment)
    cursor = await connection.execute(
        f"{homes}SELECT {JOINED}{marks.column} FROM homes CROSS JOIN LATERAL (SELECT * FROM object o"
        " WHERE o.compartment = homes.id AND o.seq > %s AND o.seq < %s OFFSET 0) h"
        f" JOIN compartment c ON c.id = homes.id{marks.join} WHERE {marks.test} AND c.state = 0 AND h.current"
        f" AND NOT h.deleted AND h.type = ANY(%s) AND {test}"
        f" ORDER BY h.seq {'ASC' if ascending else 'DESC'} LIMIT %s",
        (*values, window.after, window.before, *marks.values, list(types), *parameters, limit),
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
    opened: Opened | None = None,
    budget: int = 0,
) -> tuple[list[LocatedRow], int | None]:
    """Versions, newest first: of one object, of a type, or of the environment; and as ``walk`` where a limited permit
    looked at ``budget`` of them.
    """
    tests, parameters = ["o.seq < %s", "o.at_ms >= %s"], [before, since_ms]
    if object_id is not None:
        tests.append("o.id = %s")
        parameters.append(object_id)  # type: ignore[arg-type]
    if type_ is not None:
        tests.append("o.type = %s")
        parameters.append(type_)
    if opened is None:
        cursor = await connection.execute(
            located(ALL) + f"WHERE {' AND '.join(tests)} ORDER BY o.seq DESC LIMIT %s", (*parameters, limit)
        )
        return [LocatedRow(*row) for row in await cursor.fetchall()], None
    marks = opening(opened, "o")
    scan = f"SELECT * FROM object o WHERE {' AND '.join(tests)} ORDER BY o.seq DESC LIMIT %s"
    cursor = await connection.execute(
        f"{LOCATED}{marks.column} FROM ({scan}) o JOIN compartment c ON c.id = o.compartment{marks.join}"
        f" WHERE {marks.test} ORDER BY o.seq DESC LIMIT %s",
        (*parameters, budget, *marks.values, limit),
    )
    rows = [LocatedRow(*row) for row in await cursor.fetchall()]
    if len(rows) >= limit:
        return rows, None
    cursor = await connection.execute(f"SELECT count(*), min(seq) FROM ({scan}) w", (*parameters, budget))
    walked = await cursor.fetchone()
    assert walked is not None
    return rows, int(walked[1]) if walked[0] == budget else None


async def count_matches(
    connection: Reading,
    types: Sequence[int],
    clauses: Sequence[Sequence[int]],
    opened: Opened | None = None,
) -> int:
    """How many current rows carry these tokens: an upper bound where an exact filter follows.

    Erased patients' rows do not count, purged or not. They are the few, so they are what is looked for.
    """
    test, parameters = _term_filter(clauses, "o.")
    marks = opening(opened, "o")
    joined = f" JOIN compartment c ON c.id = o.compartment{marks.join}" if opened is not None else ""
    row = await (
        await connection.execute(
            f"SELECT count(*) FROM object o{joined} WHERE {marks.test} AND o.current AND NOT o.deleted"
            " AND o.type = ANY(%s)"
            f" AND {test} AND NOT EXISTS (SELECT FROM compartment e WHERE e.id = o.compartment AND e.state = 1)",
            (*marks.values, list(types), *parameters),
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
