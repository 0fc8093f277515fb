"""Packed rows come back from a real table as they were given, like psycopg's own."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hygie.database.cluster import Dsns
from hygie.database.copy_format import encode_rows
from hygie.database.pool import Database

TYPES = ["int2", "int4", "int8", "bool", "bytea", "text", "timestamptz", "int8[]", "token[]", "int8"]
COLUMNS = ["int2", "int4", "int8", "bool", "bytea", "text", "timestamptz", "int8[]", "int8[]", "int8"]
INT8 = st.integers(-(2**63), 2**63 - 1)
VALUES = [
    st.integers(-(2**15), 2**15 - 1),
    st.integers(-(2**31), 2**31 - 1),
    INT8,
    st.booleans(),
    st.binary(max_size=300),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.lists(INT8, max_size=40),
    st.lists(st.binary(min_size=8, max_size=8), max_size=40),
    INT8,
]
ROWS = st.lists(st.tuples(*[st.none() | value for value in VALUES]), max_size=20)


@pytest.fixture(scope="module")
def table(new_database: Callable[[], Dsns]) -> str:
    dsn = new_database().owner
    with psycopg.connect(dsn, autocommit=True) as owner:
        columns = ", ".join(f"c{place} {name}" for place, name in enumerate(COLUMNS))
        owner.execute(f"CREATE TABLE public.sample (n serial, {columns})".encode())
    return dsn


def expected(row: tuple[Any, ...]) -> tuple[Any, ...]:
    tokens = None if row[8] is None else [int.from_bytes(token, "big", signed=True) for token in row[8]]
    return (*row[:8], tokens, row[9])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_rows_come_back_equal(table: str, rows: list[tuple[Any, ...]]) -> None:
    names = ", ".join(f"c{place}" for place in range(len(TYPES)))

    async def main() -> list[tuple[Any, ...]]:
        pool = Database(table, size=1)
        await pool.open()
        try:
            async with pool.transaction() as connection:
                await connection.execute("TRUNCATE public.sample")
                copy = f"COPY public.sample ({names}) FROM STDIN (FORMAT binary)"
                async with connection.cursor() as cursor, cursor.copy(copy.encode()) as stream:
                    await stream.write(encode_rows(TYPES, rows))
                cursor = await connection.execute(f"SELECT {names} FROM public.sample ORDER BY n".encode(), binary=True)
                return await cursor.fetchall()
        finally:
            await pool.close()

    assert asyncio.run(main()) == [expected(row) for row in rows]


def test_no_row_is_a_header_and_a_trailer() -> None:
    assert encode_rows(["int8"], []) == b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"


@pytest.mark.parametrize(
    ("types", "row", "error"),
    [
        (["int4"], (1, 2), ValueError),
        (["int4"], (2**31,), struct.error),
        (["int4", "int4"], (1, 2**31), struct.error),
        (["token[]"], ([b"short", b"longer-than-8"],), ValueError),
        (["float8"], (1.0,), KeyError),
    ],
)
def test_a_row_that_does_not_fit_is_refused_before_the_wire(
    types: list[str], row: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        encode_rows(types, [row])
