"""A walk in order loses nothing to writers: what another transaction replaces between two statements moves its edge."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema
from hygie.database.pool import Database
from hygie.vault import candidates
from hygie.vault.candidates import WHOLE, Window

ROLE = "hygie_env_1"
ROWS, BUDGET, LIMIT = 100, 10, 5
WANTED, COMMON = 1, 2
FILL = f"""
INSERT INTO compartment (id, kind, subject, epoch, wrap, pack) VALUES ('c', 1, 's', 1, 'w', 1);
INSERT INTO object SELECT n::text::bytea, 1, 3, 'c', n, 0, 1, n, true, false,
    CASE WHEN n % 7 = 0 THEN ARRAY[{WANTED}, {COMMON}] ELSE ARRAY[{COMMON}] END FROM generate_series(1, {ROWS}) n;
"""


class Interrupted:
    """A connection beside which somebody replaces the next row that a walk would meet, after each statement."""

    def __init__(self, connection: Any, writer: psycopg.Connection[Any], first: str) -> None:
        self._connection, self._writer, self._first = connection, writer, first

    async def execute(self, statement: str, values: Any) -> Any:
        cursor = await self._connection.execute(statement, values)
        _, after, before, *_ = values
        sql = (
            "UPDATE object SET current = false, tokens = NULL WHERE seq = (SELECT {}(seq) FROM object WHERE current"
            " AND seq > %s AND seq < %s AND NOT tokens @> ARRAY[{}]::bigint[])"
        )
        self._writer.execute(sql.format(self._first, WANTED).encode(), (after, before))
        return cursor


@pytest.mark.parametrize("ascending", [False, True])
def test_rows_replaced_during_a_walk_hide_no_other_row(database: Dsns, ascending: bool) -> None:
    async def main() -> list[int]:
        await create_environment_schema(database.owner, ROLE)
        options = f"-c search_path={ROLE}"
        pool = Database(database.hosting, size=1)
        await pool.open()
        found: list[int] = []
        try:
            with psycopg.connect(database.owner, options=options, autocommit=True) as writer:
                for statement in filter(str.strip, FILL.split(";\n")):
                    writer.execute(statement.encode())
                window = WHOLE
                while True:
                    async with pool.transaction(ROLE) as connection:
                        rows, walked_to = await candidates.walk(
                            Interrupted(connection, writer, "min" if ascending else "max"),  # type: ignore[arg-type]
                            [3],
                            [[WANTED]],
                            limit=LIMIT,
                            budget=BUDGET,
                            window=window,
                            ascending=ascending,
                        )
                    found += [row.seq for row in rows]
                    if walked_to is None and len(rows) < LIMIT:
                        return found
                    edge = rows[-1].seq if walked_to is None else walked_to
                    window = Window(edge, window.before) if ascending else Window(window.after, edge)
        finally:
            await pool.close()

    found = asyncio.run(main())
    wanted = list(range(7, ROWS + 1, 7))
    assert found == (wanted if ascending else wanted[::-1])
