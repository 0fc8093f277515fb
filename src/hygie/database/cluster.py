"""One server: its version, its owner role, its database, its login roles' passwords."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hygie.database.errors import DatabaseUnavailableError, PostgresPlaceError, ServerTooOldError
from hygie.database.programs import MAJOR_MIN

DATABASE = "hygie"
OWNER = "hygie_owner"
HOSTING = "hygie_hosting"
SEALER = "hygie_sealer"
CONSOLE = "hygie_console"
WATCH = "hygie_watch"
LOGIN_ROLES = (OWNER, HOSTING, SEALER, CONSOLE, WATCH)
CONNECT_TIMEOUT_S = 10

# Databases in which nothing is kept: nobody but a superuser has business there.
_CLOSED_DATABASES = ("REVOKE ALL ON DATABASE postgres FROM PUBLIC", "REVOKE ALL ON DATABASE template1 FROM PUBLIC")
# Ways to make objects or run code that every role has by default. Only a superuser can take them away.
_EVERYONE_MAY_NOT = (
    "REVOKE USAGE ON LANGUAGE plpgsql, sql FROM PUBLIC",
    "REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC",
    "REVOKE EXECUTE ON FUNCTION lo_open(oid, integer), lo_get(oid), lo_unlink(oid) FROM PUBLIC",
    f"GRANT USAGE ON LANGUAGE plpgsql, sql TO {OWNER}",
)


@dataclass(frozen=True, slots=True)
class Dsns:
    """How to reach one database. owner: migrations and environments; hosting: the pool; sealer: the journal; console:
    registers and evidence; watch: what it looks at, and findings."""

    owner: str
    hosting: str
    sealer: str
    console: str
    watch: str


def dsns_by(dsn: Callable[[str], str]) -> Dsns:
    """The ways into one database. Args: dsn: that of one role.

    Raises: PostgresPlaceError: a role of this version has no password yet.
    """
    try:
        return Dsns(owner=dsn(OWNER), hosting=dsn(HOSTING), sealer=dsn(SEALER), console=dsn(CONSOLE), watch=dsn(WATCH))
    except KeyError as error:
        raise PostgresPlaceError(reason="started by an earlier version: stop it, then hygie up") from error


def check_server(server_version: int) -> None:
    """Refuse a server that Hygie was never tested on.

    Args: server_version: as ``server_version_num``, e.g. 150004.
    Raises: ServerTooOldError.
    """
    if server_version < MAJOR_MIN * 10_000:
        raise ServerTooOldError(setting="database", found=server_version // 10_000, needed=MAJOR_MIN)


def prepare_cluster(admin_dsn: str, *, owner_password: str, database: str = DATABASE) -> None:
    """Make the role ``hygie_owner`` and its database, where absent; take from PUBLIC what a superuser alone can take.

    Idempotent. Args: admin_dsn: a superuser, or any role with CREATEROLE and CREATEDB (a managed server), then the last
    part is skipped.
    Raises: ServerTooOldError; DatabaseUnavailableError.
    """
    try:
        with psycopg.connect(admin_dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as admin:
            check_server(admin.info.server_version)
            superuser = admin.info.parameter_status("is_superuser") == "on"
            if not _exists(admin, "SELECT 1 FROM pg_roles WHERE rolname = %s", OWNER):
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(sql.Identifier(OWNER)))
            set_password(admin, OWNER, owner_password)
            if not superuser:
                admin.execute(
                    sql.SQL("GRANT {} TO {}").format(sql.Identifier(OWNER), sql.Identifier(admin.info.user))
                )  # CREATE DATABASE … OWNER needs membership
            if not _exists(admin, "SELECT 1 FROM pg_database WHERE datname = %s", database):
                admin.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(
                        sql.Identifier(database), sql.Identifier(OWNER)
                    )
                )
            if superuser:
                for statement in _CLOSED_DATABASES:
                    admin.execute(statement)
        if superuser:
            _harden(make_conninfo(admin_dsn, dbname=database))
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(part="prepare") from error


def _harden(admin_dsn: str) -> None:
    """Take from everyone, in one database, the ways to create objects and to run code."""
    with psycopg.connect(admin_dsn, connect_timeout=CONNECT_TIMEOUT_S) as admin:
        for statement in _EVERYONE_MAY_NOT:
            admin.execute(statement)


def set_login_passwords(owner_dsn: str, passwords: dict[str, str]) -> None:
    """Make the login roles where absent and set their passwords (by role).

    Args: owner_dsn: as ``hygie_owner``. Raises: ServerTooOldError; DatabaseUnavailableError.
    """
    try:
        with psycopg.connect(owner_dsn, connect_timeout=CONNECT_TIMEOUT_S) as owner:
            check_server(owner.info.server_version)
            for role in LOGIN_ROLES[1:]:
                if not _exists(owner, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
                    owner.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(sql.Identifier(role)))
                set_password(owner, role, passwords[role])
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(part="passwords") from error


def log_refusals(admin_dsn: str) -> None:
    """Have the server log what it refuses to the watch's role. Not to the others: errors of theirs may quote a value,
    and ``hygie work`` tries every ten minutes what they must be refused. Args: admin_dsn: a superuser.

    Raises: DatabaseUnavailableError.
    """
    try:
        with psycopg.connect(admin_dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as admin:
            statement = sql.SQL("ALTER ROLE {} SET log_min_messages = 'error'")
            admin.execute(statement.format(sql.Identifier(WATCH)))
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(part="passwords") from error


def set_password(connection: psycopg.Connection, role: str, password: str) -> None:
    """Set a role's password. The server receives its SCRAM verifier, never the password itself."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))


def _exists(connection: psycopg.Connection, query: str, name: str) -> bool:
    """Whether a query on the catalogue finds a row."""
    return connection.execute(query.encode(), (name,)).fetchone() is not None
