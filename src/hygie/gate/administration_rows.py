"""What administrative acts ask of the database: one row, one change, a refusal."""

from __future__ import annotations

from typing import Any

import psycopg

from hygie.base.errors import NotFoundError
from hygie.gate.errors import AdministrationError

Connection = psycopg.AsyncConnection[Any]
Row = dict[str, Any]


def check(holds: object, reason: str) -> None:
    """Refuse what does not hold. Raises: AdministrationError."""
    if not holds:
        raise AdministrationError(reason=reason)


async def one_row(connection: Connection, query: str, *parameters: object) -> Row:
    """The only row of a query, by column name. Raises: NotFoundError."""
    cursor = await connection.execute(query.encode(), parameters)
    row = await cursor.fetchone()
    if row is None:
        raise NotFoundError()
    names = [column.name for column in cursor.description or ()]
    return dict(zip(names, row, strict=True))


async def touch(connection: Connection, query: str, *parameters: object) -> None:
    """Run an UPDATE that must change one row. Raises: NotFoundError."""
    if (await connection.execute(query.encode(), parameters)).rowcount != 1:
        raise NotFoundError()
