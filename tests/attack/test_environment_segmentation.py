"""A hostile session of the hosting role tries to leave its environment.

The session speaks SQL as it likes, as an injection would: what stops it is PostgreSQL's own rights. What it does not
stop is said in docs/adr/0002-one-role-per-environment.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from hygie.database.cluster import Dsns
from hygie.database.embedded import EmbeddedPostgres
from hygie.database.environments import create_environment_schema
from hygie.database.pool import Database

MINE = "hygie_env_21"
OTHER = "hygie_env_22"
DENIED = psycopg.errors.InsufficientPrivilege

# What an environment's role may do in the platform's schema, and nothing else: (table, privilege).
HOSTING_ADDS_TO = {
    *("journal_pending", "session_end", "assertion", "person_session", "session_cut", "authenticator_use", "sign_in"),
    *("request", "decision", "break_glass", "break_glass_review", "review_campaign", "right_review"),
}
HOSTING_CHANGES = {"authenticator_use", "sign_in"}  # counters: what they say only ever refuses
PLATFORM_RIGHTS = {("journal_pending", "INSERT")}


@pytest.fixture(scope="module")
def dsns(new_database: Callable[[], Dsns]) -> Dsns:
    made = new_database()
    for role in (MINE, OTHER):
        asyncio.run(create_environment_schema(made.owner, role))
    with psycopg.connect(made.owner, autocommit=True) as owner:
        for role in (MINE, OTHER):
            owner.execute(f"CREATE TABLE {role}.planted (secret text)".encode())
            owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {role}.planted TO {role}".encode())
            owner.execute(f"INSERT INTO {role}.planted VALUES ('of {role}')".encode())
            owner.execute(
                f"CREATE FUNCTION {role}.tell() RETURNS text LANGUAGE sql SECURITY DEFINER"
                f" AS $$ SELECT secret FROM {role}.planted $$".encode()
            )
            owner.execute(f"GRANT EXECUTE ON FUNCTION {role}.tell() TO {role}".encode())
    return made


@pytest.fixture
def hostile(dsns: Dsns) -> Iterator[psycopg.Connection]:
    """A session of the hosting role, nothing set."""
    with psycopg.connect(dsns.hosting, autocommit=True) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def inside(hostile: psycopg.Connection) -> psycopg.Connection:
    """The same, as the transaction of one environment sees it; each refused statement is undone by a savepoint."""
    hostile.execute("BEGIN")
    hostile.execute(f"SET LOCAL ROLE {MINE}".encode())
    return hostile


def refused(connection: psycopg.Connection, statement: str, *errors: type[psycopg.Error]) -> None:
    """The statement must be refused for lack of rights (or by the errors given)."""
    with pytest.raises(errors or DENIED), connection.transaction():
        connection.execute(statement.encode())


def tables_of(dsns: Dsns, schema: str) -> list[str]:
    with psycopg.connect(dsns.owner) as owner:
        found = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
    return [name for (name,) in found]


def test_the_environment_works_for_itself(inside: psycopg.Connection) -> None:
    assert inside.execute("SELECT secret FROM planted").fetchall() == [(f"of {MINE}",)]
    assert inside.execute("SELECT tell()").fetchall() == [(f"of {MINE}",)]
    inside.execute("UPDATE planted SET secret = 'changed'")


def test_the_hosting_role_alone_touches_no_environment(hostile: psycopg.Connection, dsns: Dsns) -> None:
    for role in (MINE, OTHER):
        names = tables_of(dsns, role)
        assert "planted" in names
        for name in names:
            for statement in (
                "SELECT * FROM {}",
                "SELECT count(*) FROM {}",
                "DELETE FROM {}",
                "TRUNCATE {}",
                "LOCK TABLE {}",
                "COPY {} TO STDOUT",
                "ANALYZE {}",
            ):
                if statement.startswith("ANALYZE"):  # answers a warning and does nothing
                    continue
                refused(hostile, statement.format(f"{role}.{name}"))
        refused(hostile, f"SELECT {role}.tell()")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM {other}.planted",
        "SELECT secret FROM {other}.planted LIMIT 0",
        "TABLE {other}.planted",
        "INSERT INTO {other}.planted VALUES ('x')",
        "UPDATE {other}.planted SET secret = 'x'",
        "DELETE FROM {other}.planted",
        "TRUNCATE {other}.planted",
        "MERGE INTO {other}.planted p USING (VALUES (1)) v(n) ON true WHEN MATCHED THEN DELETE",
        "LOCK TABLE {other}.planted IN ACCESS SHARE MODE",
        "SELECT * FROM {other}.planted FOR UPDATE",
        "COPY {other}.planted TO STDOUT",
        "COPY {other}.planted FROM STDIN",
        "COPY (SELECT * FROM {other}.planted) TO STDOUT",
        "EXPLAIN SELECT * FROM {other}.planted",
        "SELECT {other}.tell()",
        "SELECT nextval('{other}.pack_number')",
        "CREATE VIEW {mine}.peek AS SELECT * FROM {other}.planted",
        "ALTER TABLE {other}.planted OWNER TO {mine}",
        "DROP TABLE {other}.planted",
        "COMMENT ON TABLE {other}.planted IS 'x'",
        "GRANT SELECT ON {other}.planted TO {mine}",
        "DECLARE c CURSOR FOR SELECT * FROM {other}.planted",
        "PREPARE p AS SELECT * FROM {other}.planted",
        "SELECT query_to_xml('SELECT * FROM {other}.planted', true, false, '')",
        "SELECT table_to_xml('{other}.planted', true, false, '')",
        "SELECT '{other}.planted'::regclass::oid, pg_relation_size('{other}.planted')",
    ],
)
def test_one_environment_does_not_reach_another(inside: psycopg.Connection, statement: str) -> None:
    refused(inside, statement.format(mine=MINE, other=OTHER))


def test_statistics_of_the_other_environment_are_hidden(inside: psycopg.Connection, dsns: Dsns) -> None:
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        owner.execute(f"ANALYZE {OTHER}.planted, {MINE}.planted".encode())
    seen = inside.execute("SELECT schemaname FROM pg_stats WHERE tablename = 'planted'").fetchall()
    assert (OTHER,) not in seen


def test_from_one_environment_the_platform_is_closed_but_for_its_own_journal_entries(
    inside: psycopg.Connection, dsns: Dsns
) -> None:
    names = tables_of(dsns, "hygie")
    assert {"token", "account", "habilitation", "journal_pending", "journal_entry", "journal_head"} <= set(names)
    for name in names:
        for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"):
            if privilege == "MAINTAIN" and inside.info.server_version < 170_000:
                continue
            checks = "has_table_privilege(%(table)s, %(right)s)"
            if privilege in {"SELECT", "INSERT", "UPDATE", "REFERENCES"}:
                checks += " OR has_any_column_privilege(%(table)s, %(right)s)"
            row = inside.execute(f"SELECT {checks}".encode(), {"table": f"hygie.{name}", "right": privilege}).fetchone()
            assert row == ((name, privilege) in PLATFORM_RIGHTS,), (name, privilege)
    refused(inside, "SELECT hash FROM hygie.token")
    refused(inside, "SELECT * FROM hygie.journal_pending")
    refused(inside, "DELETE FROM hygie.journal_pending")
    refused(inside, "UPDATE hygie.journal_head SET size = 0")
    refused(inside, "INSERT INTO hygie.habilitation SELECT * FROM hygie.habilitation")


def test_the_hosting_role_reads_rights_but_grants_none_and_does_not_touch_the_journal(
    hostile: psycopg.Connection, dsns: Dsns
) -> None:
    for name in tables_of(dsns, "hygie"):
        rights = ["DELETE", "TRUNCATE"] + (["UPDATE"] if name not in HOSTING_CHANGES else [])
        rights += ["INSERT"] if name not in HOSTING_ADDS_TO else []
        for privilege in rights:
            row = hostile.execute("SELECT has_table_privilege(%s, %s)", (f"hygie.{name}", privilege)).fetchone()
            assert row == (False,), (name, privilege)
    for name in ("journal_pending", "journal_entry", "journal_head", "assertion"):
        refused(hostile, f"SELECT * FROM hygie.{name}")


@pytest.mark.parametrize("who", ["hostile", "inside"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.t (n int)",
        "CREATE TABLE hygie.t (n int)",
        "CREATE TABLE {mine}.t (n int)",
        "CREATE TEMPORARY TABLE t (n int)",
        "CREATE SCHEMA s",
        "CREATE FUNCTION {mine}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE r",
        "CREATE DATABASE d",
        "CREATE EXTENSION dblink SCHEMA {mine}",
        "CREATE EXTENSION postgres_fdw SCHEMA {mine}",
        "CREATE EXTENSION file_fdw SCHEMA {mine}",
        "CREATE EXTENSION hstore SCHEMA {mine}",
        "CREATE PUBLICATION p",
        "CREATE FOREIGN DATA WRAPPER w",
        "DO $$ BEGIN PERFORM 1; END $$",
        "LOAD '/usr/lib/x.so'",
        "SELECT lo_create(0)",
        "SELECT lo_creat(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_read_binary_file('postgresql.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT pg_stat_file('postgresql.conf')",
        "SELECT pg_ls_logdir()",
        "SELECT pg_current_logfile()",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/hygie-out'",
        "ALTER SYSTEM SET fsync = off",
        "ALTER ROLE hygie_hosting CREATEROLE",
        "ALTER ROLE hygie_sealer PASSWORD 'x'",
        "ALTER DATABASE hygie SET fsync = off",
        "ALTER TABLE {mine}.planted ADD COLUMN n int",
        "CREATE TRIGGER t BEFORE UPDATE ON {mine}.planted EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SET ROLE hygie_owner",
        "SET ROLE hygie_sealer",
        "SET ROLE hygie_environments",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "GRANT {other} TO hygie_hosting WITH ADMIN OPTION",
        "GRANT hygie_owner TO hygie_hosting",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_hba_file_rules",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
        "SELECT pg_reload_conf()",
        "SELECT pg_switch_wal()",
        "SELECT pg_create_physical_replication_slot('s')",
        "SELECT pg_log_backend_memory_contexts(1)",
        "SET session_replication_role = replica",
        "SET log_statement = 'all'",
        "SET log_parameter_max_length = -1",
        "CHECKPOINT",
    ],
)
def test_no_object_no_file_no_program_no_other_role(
    who: str, statement: str, request: pytest.FixtureRequest, postgres: EmbeddedPostgres
) -> None:
    session: psycopg.Connection = request.getfixturevalue(who)
    if "pg_terminate_backend" in statement:
        with psycopg.connect(postgres.dsn("postgres", "postgres")) as victim:  # somebody to kill
            refused(session, statement)
            victim.execute("SELECT 1")
        return
    refused(
        session,
        statement.format(mine=MINE, other=OTHER),
        DENIED,
        psycopg.errors.InvalidParameterValue,
        psycopg.errors.ActiveSqlTransaction,  # not possible at all inside the transaction
        psycopg.errors.WrongObjectType,
    )


def test_no_program_ran_and_no_file_was_written(
    hostile: psycopg.Connection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("out")
    target.chmod(0o777)
    refused(hostile, f"COPY (SELECT 1) TO PROGRAM 'touch {target}/ran'")
    refused(hostile, f"COPY (SELECT 1) TO '{target}/written'")
    assert list(target.iterdir()) == []


def test_an_environment_role_cannot_log_in(dsns: Dsns) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsns.hosting, user=MINE)
    for role in ("hygie_environments", "hygie_owner", "postgres", "hygie_sealer"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsns.hosting, user=role)


def test_the_hosting_role_reaches_no_other_database(dsns: Dsns) -> None:
    with psycopg.connect(dsns.hosting) as mine:
        found = mine.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
    assert len(found) > 1
    for name in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(dsns.hosting, dbname=name)


def test_the_sealer_reads_no_environment(dsns: Dsns) -> None:
    with psycopg.connect(dsns.sealer, autocommit=True) as sealer:
        refused(sealer, f"SELECT * FROM {MINE}.planted")
        refused(sealer, f"SET ROLE {MINE}")
        # it publishes the platform's tables on the sites, hashes of tokens included, and can change none of them
        refused(sealer, "UPDATE hygie.token SET revoked_ms = NULL")
        refused(sealer, "INSERT INTO hygie.habilitation SELECT * FROM hygie.habilitation")
        refused(sealer, "DELETE FROM hygie.account")


def test_a_value_never_becomes_a_statement(dsns: Dsns) -> None:
    """The boundary's ground: values travel as parameters, where a second statement is impossible."""
    hostile_values = [
        f"x'; RESET ROLE; SET LOCAL ROLE {OTHER}; SELECT secret FROM {OTHER}.planted; --",
        "'; RESET ROLE; --",
        "\\'; DROP TABLE planted; --",
    ]

    async def main() -> None:
        pool = Database(dsns.hosting, size=1)
        await pool.open()
        try:
            for value in hostile_values * 3:  # before and after psycopg prepares the statement
                async with pool.transaction(MINE) as connection:
                    await connection.execute("INSERT INTO planted VALUES (%s)", (value,))
                    cursor = await connection.execute("SELECT secret FROM planted WHERE secret = %s", (value,))
                    assert (await cursor.fetchall())[-1] == (value,)
                    cursor = await connection.execute("SELECT current_user::text")
                    assert await cursor.fetchone() == (MINE,)
                with pytest.raises(psycopg.errors.SyntaxError):  # one message carries one statement
                    async with pool.transaction(MINE) as connection:
                        await connection.execute("SELECT %s; RESET ROLE", (value,))
        finally:
            await pool.close()

    asyncio.run(main())


def test_the_role_ends_with_the_transaction_and_plans_do_not_cross(dsns: Dsns) -> None:
    """One text, prepared, run by two environments on one connection: each sees its own table."""

    async def main() -> None:
        pool = Database(dsns.hosting, size=1)
        await pool.open()
        try:
            for role in (MINE, OTHER) * 6:
                async with pool.transaction(role) as connection:
                    cursor = await connection.execute("SELECT secret FROM planted WHERE secret LIKE %s", ("of %",))
                    assert await cursor.fetchall() == [(f"of {role}",)]
                with pytest.raises(psycopg.errors.UndefinedTable):
                    async with pool.transaction() as connection:
                        await connection.execute("SELECT secret FROM planted WHERE secret LIKE %s", ("of %",))
        finally:
            await pool.close()

    asyncio.run(main())


def test_the_known_limit_is_real(inside: psycopg.Connection) -> None:
    """Whoever runs statements of their own in the hosting process may leave the role: said in the ADR, proved here.

    If this test fails the boundary became stronger: change the ADR and the threat model.
    """
    inside.execute("RESET ROLE")
    inside.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OTHER)))
    assert inside.execute("SELECT secret FROM planted").fetchall() == [(f"of {OTHER}",)]
