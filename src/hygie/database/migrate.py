"""Apply numbered SQL files once each, in order, and refuse when history does not match."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from hygie.database.cluster import check_server
from hygie.database.errors import DatabaseUnavailableError, MigrationChangedError, MigrationUnknownError

MIGRATIONS = Path(__file__).parent / "migrations"
ENVIRONMENT_MIGRATIONS = Path(__file__).parent / "environment"
PLATFORM_SCOPE = ""
_LOCK = 0x48594749  # advisory lock "HYGI": one migration at a time in a database


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file. name: without suffix, ``0001_base``; sha256: of its bytes."""

    name: str
    text: str
    sha256: bytes


def load_migrations(folder: Path) -> list[Migration]:
    """The files ``NNNN_name.sql`` of a folder, in order."""
    found = []
    for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql")):
        raw = path.read_bytes()
        found.append(Migration(path.stem, raw.decode(), hashlib.sha256(raw).digest()))
    return found


async def migrate(owner_dsn: str) -> list[str]:
    """Bring the platform's schema, then every environment's, to this version.

    Each file is one transaction with its own record. Args: owner_dsn: as ``hygie_owner``.
    Returns: what was applied, ``0002_journal`` or ``hygie_env_3/0001_vault``.
    Raises: MigrationChangedError, MigrationUnknownError, ServerTooOldError, DatabaseUnavailableError.
    """
    async with await connect_owner(owner_dsn) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))  # freed with the connection
        done = await _apply(connection, PLATFORM_SCOPE, load_migrations(MIGRATIONS))
        cursor = await connection.execute("SELECT DISTINCT scope FROM hygie.migration WHERE scope <> '' ORDER BY scope")
        for (role,) in await cursor.fetchall():
            done += [f"{role}/{name}" for name in await apply_environment(connection, role)]
        return done


async def pending_migrations(owner_dsn: str) -> list[str]:
    """What :func:`migrate` would apply to a database that has a history; nothing for a new one. Same errors."""
    async with await connect_owner(owner_dsn) as connection:
        recorded = await _recorded(connection, PLATFORM_SCOPE)
        if not recorded:
            return []
        scopes = [(PLATFORM_SCOPE, MIGRATIONS)]
        cursor = await connection.execute("SELECT DISTINCT scope FROM hygie.migration WHERE scope <> '' ORDER BY scope")
        scopes += [(role, ENVIRONMENT_MIGRATIONS) for (role,) in await cursor.fetchall()]
        wanting: list[str] = []
        for scope, files in scopes:
            recorded, wanted = await _recorded(connection, scope), load_migrations(files)
            _check_history(recorded, wanted)
            wanting += [f"{scope}/{one.name}" if scope else one.name for one in wanted[len(recorded) :]]
        return wanting


async def apply_environment(connection: psycopg.AsyncConnection, role: str) -> list[str]:
    """Apply what an environment's schema lacks, then grant its role what the files made. Same errors as ``migrate``."""
    async with connection.transaction():
        applied = await _apply(connection, role, load_migrations(ENVIRONMENT_MIGRATIONS))
        if applied:
            for statement in _GRANTS:
                await connection.execute(sql.SQL(statement).format(role=sql.Identifier(role)))
    return applied


# The owner keeps the objects: the role may change rows, never the shape.
_GRANTS = (
    "GRANT USAGE ON SCHEMA {role} TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {role} TO {role}",
    # whose a compartment is decides who may open it: said once (docs/adr/0021); UPDATE stays for its wrap
    "REVOKE DELETE ON {role}.compartment FROM {role}",
    "REVOKE UPDATE, DELETE ON {role}.compartment_member FROM {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {role} TO {role}",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {role} TO {role}",
)


async def connect_owner(owner_dsn: str) -> psycopg.AsyncConnection:
    """A connection of the owner, in autocommit, on a server new enough.

    Raises: DatabaseUnavailableError, ServerTooOldError.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(owner_dsn, autocommit=True)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(part="connect") from error
    try:
        check_server(connection.info.server_version)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _apply(connection: psycopg.AsyncConnection, scope: str, wanted: list[Migration]) -> list[str]:
    """Apply the files of one scope that are not recorded yet, each in a transaction."""
    recorded = await _recorded(connection, scope)
    _check_history(recorded, wanted)
    applied = []
    for migration in wanted[len(recorded) :]:
        async with connection.transaction():
            path = sql.Identifier(scope) if scope else sql.SQL("pg_catalog")
            await connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(path))
            await connection.execute(migration.text.encode(), prepare=False)
            await connection.execute(
                "INSERT INTO hygie.migration (scope, name, sha256) VALUES (%s, %s, %s)",
                (scope, migration.name, migration.sha256),
            )
            await connection.execute("RESET search_path")
        applied.append(migration.name)
    return applied


async def _recorded(connection: psycopg.AsyncConnection, scope: str) -> list[tuple[str, bytes]]:
    """What was applied to a scope, in order."""
    cursor = await connection.execute("SELECT to_regclass('hygie.migration') IS NOT NULL")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return []
    query = "SELECT name, sha256 FROM hygie.migration WHERE scope = %s ORDER BY name"
    cursor = await connection.execute(query, (scope,))
    return [(name, bytes(digest)) for name, digest in await cursor.fetchall()]


def _check_history(recorded: Iterable[tuple[str, bytes]], wanted: list[Migration]) -> None:
    """What was applied must be exactly the beginning of what this version holds."""
    for place, (name, digest) in enumerate(recorded):
        if place >= len(wanted) or wanted[place].name != name:
            raise MigrationUnknownError(setting="database", migration=name)
        if wanted[place].sha256 != digest:
            raise MigrationChangedError(migration=name)
