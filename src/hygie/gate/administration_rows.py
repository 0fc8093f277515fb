"""What administrative acts ask of the database: one row, one change, a refusal."""

from __future__ import annotations

from typing import Any

import psycopg

from hygie.base.errors import NotFoundError
from hygie.gate.errors import AdministrationError

Connection = psycopg.AsyncConnection[Any]
Row = dict[str, Any]


def check(holds: object, reason: str, *, fr: str = "") -> None:
    """Refuse what does not hold. Args: reason: the name of an argument, or words; fr: these in French.

    Raises: AdministrationError.
    """
    if not holds:
        raise said(reason, fr)


def said(reason: str, fr: str = "") -> AdministrationError:
    """The error of a reason, in both languages where it is in words."""
    return AdministrationError(reason_fr=fr, reason_en=reason) if fr else AdministrationError(reason=reason)


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
