"""One schema and one role per environment: make them, destroy them."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors, sql

from hygie.database.cluster import HOSTING
from hygie.database.errors import DatabaseUnavailableError
from hygie.database.migrate import apply_environment, connect_owner

ENVIRONMENTS = "hygie_environments"
LOCK_WAIT = "10s"  # a destruction waits that long for the transactions under way, and blocks new ones meanwhile
_ENVIRONMENT_ROLE = re.compile(r"hygie_env_[0-9]{1,18}")
_SET_OPTIONS_SINCE = 160_000  # GRANT … WITH INHERIT, SET; before, the hosting role's NOINHERIT does the same


async def create_environment_schema(owner_dsn: str, role: str) -> None:
    """Make the role and the schema of one environment, its tables, and let the hosting role become it.

    All in one transaction; done already: brings the schema up to date. Args: role: ``hygie_env_N``.
    Raises: ValueError: another name (a programming mistake); DatabaseUnavailableError; the errors of ``migrate``.
    """
    _check(role)
    name = sql.Identifier(role)
    try:
        async with await connect_owner(owner_dsn) as connection, connection.transaction():
            cursor = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            if await cursor.fetchone() is None:
                await connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN INHERIT").format(name))
            await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
            await connection.execute(sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(name))
            modern = connection.info.server_version >= _SET_OPTIONS_SINCE
            for statement in (
                f"GRANT {ENVIRONMENTS} TO {{role}}" + (" WITH INHERIT TRUE, SET FALSE" if modern else ""),
                f"GRANT {{role}} TO {HOSTING}" + (" WITH INHERIT FALSE, SET TRUE" if modern else ""),
            ):
                await connection.execute(sql.SQL(statement).format(role=name))
            await apply_environment(connection, role)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(part="environment") from error


async def destroy_environment_schema(owner_dsn: str, role: str) -> None:
    """Drop the schema of one environment with all it holds, and its role. Absent: does nothing.

    Raises: ValueError: not an environment's role; DatabaseUnavailableError: a transaction still holds it (try again).
    """
    _check(role)
    name = sql.Identifier(role)
    try:
        async with await connect_owner(owner_dsn) as connection:
            await connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(LOCK_WAIT)))
            async with connection.transaction():
                await connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))
                await connection.execute("DELETE FROM hygie.migration WHERE scope = %s", (role,))
            try:
                await connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(name))
            except errors.DependentObjectsStillExist:
                # The role is still used by another database of this server: it has nothing left in this one.
                await connection.execute("RESET lock_timeout")
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(part="environment") from error


def _check(role: str) -> None:
    """Only environment roles are made and destroyed here."""
    if not _ENVIRONMENT_ROLE.fullmatch(role):
        raise ValueError("not the role of an environment")
