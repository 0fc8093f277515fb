"""A hostile session of the proof plane's role tries to reach health data, keys, rights, and to rewrite its own logs.

The session speaks SQL as it likes, as an injection in the console would: what stops it is PostgreSQL's own rights.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest

from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema

ENVIRONMENT = "hygie_env_31"
DENIED = psycopg.errors.InsufficientPrivilege
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
# What the role may do in the platform's schema, whole tables then columns; in its own schema it only adds.
TABLES = {("tenant", "SELECT"), ("environment", "SELECT"), ("measurement", "SELECT"), ("request_use", "SELECT")} | {
    (table, "SELECT")
    for table in ("finding", "finding_act", "finding_evidence", "notice", "watch_cursor", "soc_cursor")
}
COLUMNS = {
    "journal_pending": {"INSERT": {"leaf"}},
    "account": {"SELECT": {"id", "kind", "label", "professional_id", "state", "created_ms", "ends_ms", "tenant"}},
    "token": {"SELECT": {"id", "account", "environment", "created_ms", "expires_ms", "revoked_ms", "exception"}},
    "habilitation": {
        "SELECT": {
            *("id", "account", "environment", "role", "reason", "approver", "starts_ms", "ends_ms"),
            *("revoked_ms", "revoked_by", "suspended_ms", "types", "patients", "purposes"),
        }
    },
    "client_key": {"SELECT": {"id", "account", "kind", "created_ms", "ends_ms", "revoked_ms"}},
    "authenticator": {
        "SELECT": {
            *("id", "account", "kind", "label", "delivered_how", "delivered_by"),
            *("created_ms", "ends_ms", "revoked_ms"),
        }
    },
    "allowance": {
        "SELECT": {"id", "kind", "subject", "name", "value", "reason", "created_ms", "ends_ms", "revoked_ms"},
    },
    "network": {"SELECT": {"id", "cidr", "country", "whose", "label", "created_ms", "ends_ms", "revoked_ms"}},
    "country_rule": {
        "SELECT": {
            *("id", "kind", "subject", "countries", "basis", "reference", "told_on", "reason"),
            *("created_ms", "ends_ms", "revoked_ms"),
        },
    },
    "request": {
        "SELECT": {
            *("id", "act", "tenant", "environment", "what", "reason"),
            *("asked_by", "asked_ms", "ends_ms"),
        },
    },
    "decision": {"SELECT": {"request", "verdict", "decided_by", "decided_ms", "why"}},
    "break_glass": {"SELECT": {"id", "account", "environment", "motive", "opened_ms", "ends_ms"}},
    "break_glass_review": {"SELECT": {"opening", "verdict", "reviewed_by", "reviewed_ms", "why"}},
    "retention": {"SELECT": {"name", "rank", "value", "since_ms", "request"}},
    "review_campaign": {"SELECT": {"id", "tenant", "environment", "name", "opened_by", "opened_ms", "due_ms"}},
    "right_review": {"SELECT": {"campaign", "habilitation", "decision", "decided_by", "decided_ms", "why"}},
    "hardening_baseline": {"SELECT": {"id", "at_ms", "who", "reason", "points"}},
    "hardening_waiver": {"SELECT": {"id", "point", "from_ms", "until_ms", "who", "reason"}},
    "hardening_report": {
        "SELECT": {"id", "kind", "at_ms", "imported_ms", "who", "sha256", "counts", "passed"},
    },
    "erasure": {"SELECT": {"id", "environment", "requested_ms", "unreadable_ms", "purged_ms", "final_ms"}},
}
ADDED_TO = ("record", "document", "catalogue", "batch", "run")


@pytest.fixture(scope="module")
def dsns(new_database: Callable[[], Dsns]) -> Dsns:
    made = new_database()
    asyncio.run(create_environment_schema(made.owner, ENVIRONMENT))
    return made


@pytest.fixture
def hostile(dsns: Dsns) -> Iterator[psycopg.Connection]:
    """A session of the console's role."""
    with psycopg.connect(dsns.console, autocommit=True) as connection:
        yield connection
        connection.rollback()


def refused(connection: psycopg.Connection, statement: str, *errors: type[psycopg.Error]) -> None:
    """The statement must be refused for lack of rights (or by the errors given)."""
    with pytest.raises(errors or DENIED), connection.transaction():
        connection.execute(statement.encode())


def listed(dsns: Dsns, query: str, *values: object) -> list[str]:
    with psycopg.connect(dsns.owner) as owner:
        return [row[0] for row in owner.execute(query.encode(), values).fetchall()]


def tables_of(dsns: Dsns, schema: str) -> list[str]:
    return listed(dsns, "SELECT tablename FROM pg_tables WHERE schemaname = %s", schema)


def columns_of(dsns: Dsns, schema: str, table: str) -> list[str]:
    query = "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
    return listed(dsns, query, schema, table)


def test_no_environment_is_reached(hostile: psycopg.Connection, dsns: Dsns) -> None:
    """So no ciphertext, no wrapped key, no blind token."""
    names = tables_of(dsns, ENVIRONMENT)
    assert {"compartment", "object", "pack"} <= set(names)
    for name in names:
        for statement in ("SELECT * FROM {}", "SELECT count(*) FROM {}", "DELETE FROM {}", "COPY {} TO STDOUT"):
            refused(hostile, statement.format(f"{ENVIRONMENT}.{name}"))
    refused(hostile, f"SET ROLE {ENVIRONMENT}")
    refused(hostile, f"CREATE VIEW {ENVIRONMENT}.peek AS SELECT 1")


def test_of_the_platform_it_sees_what_registers_need_and_no_secret(hostile: psycopg.Connection, dsns: Dsns) -> None:
    for table in tables_of(dsns, "hygie"):
        for right in RIGHTS:
            row = hostile.execute("SELECT has_table_privilege(%s, %s)", (f"hygie.{table}", right)).fetchone()
            assert row == ((table, right) in TABLES,), (table, right)
            if right not in ("SELECT", "INSERT", "UPDATE", "REFERENCES") or (table, right) in TABLES:
                continue
            for column in columns_of(dsns, "hygie", table):
                row = hostile.execute(
                    "SELECT has_column_privilege(%s, %s, %s)", (f"hygie.{table}", column, right)
                ).fetchone()
                assert row == (column in COLUMNS.get(table, {}).get(right, set()),), (table, column, right)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT hash FROM hygie.token",
        "SELECT mac FROM hygie.token",
        "SELECT mac FROM hygie.account",
        "SELECT mac FROM hygie.habilitation",
        "SELECT value FROM hygie.client_key",
        "SELECT * FROM hygie.assertion",
        "SELECT value FROM hygie.authenticator",
        "SELECT * FROM hygie.sign_in",
        "UPDATE hygie.authenticator_use SET counter = 0",
        "SELECT hygie.activate('a', 'b', 1, 2, '{}', '{}', '{}', '{}', '{}')",
        "INSERT INTO hygie.session_end VALUES (decode(repeat('00', 16), 'hex'), 1, 1)",
        "SELECT * FROM hygie.token",
        "SELECT instruction FROM hygie.erasure",
        "SELECT certificate FROM hygie.erasure",
        "SELECT leaf FROM hygie.journal_pending",
        "SELECT count(*) FROM hygie.journal_pending",
        "DELETE FROM hygie.journal_pending",
        "INSERT INTO hygie.journal_pending (leaf) VALUES (decode(repeat('00', 200), 'hex')) RETURNING id",
        "SELECT * FROM hygie.journal_entry",
        "SELECT * FROM hygie.journal_head",
        "SELECT * FROM hygie.proof_object",
        "DELETE FROM hygie.proof_object",
        "INSERT INTO hygie.measurement (kind, at_ms, passed, facts) VALUES ('logs', 0, true, '{}')",
        "SELECT hygie.trim_measurements('logs', 1)",
        "SELECT nextval('hygie.environment_number')",
        "UPDATE hygie.tenant SET label = ''",
        "INSERT INTO hygie_proof.hole VALUES ('records', 1, 1, decode(repeat('00', 32), 'hex'))",
        "INSERT INTO hygie_proof.head VALUES ('batches', 0, 0, decode(repeat('00', 32), 'hex'))",
        "DELETE FROM hygie_proof.head",
        "UPDATE hygie_proof.head SET log = 'batches' WHERE log = 'records'",
    ],
)
def test_what_is_not_its_own_is_closed(hostile: psycopg.Connection, statement: str) -> None:
    refused(hostile, statement)


@pytest.mark.parametrize("table", [*ADDED_TO, "hole"])
def test_its_own_logs_can_only_be_added_to(hostile: psycopg.Connection, dsns: Dsns, table: str) -> None:
    full = f"hygie_proof.{table}"
    allowed = {"SELECT"} if table == "hole" else {"SELECT", "INSERT"}
    for right in RIGHTS:
        row = hostile.execute("SELECT has_table_privilege(%s, %s)", (full, right)).fetchone()
        assert row == (right in allowed,), (table, right)
    for column in columns_of(dsns, "hygie_proof", table):
        row = hostile.execute("SELECT has_column_privilege(%s, %s, 'UPDATE')", (full, column)).fetchone()
        assert row == (False,), (table, column)
        refused(hostile, f"UPDATE {full} SET {column} = {column}")
    for statement in ("DELETE FROM {}", "TRUNCATE {}", "TRUNCATE {} CASCADE", "ALTER TABLE {} DISABLE TRIGGER ALL"):
        refused(hostile, statement.format(full))
    refused(hostile, f"DROP TABLE {full}")
    refused(hostile, f"MERGE INTO {full} t USING (VALUES (1)) v(n) ON true WHEN MATCHED THEN DELETE")


def test_adding_again_changes_nothing(hostile: psycopg.Connection) -> None:
    refused(hostile, "INSERT INTO hygie_proof.record TABLE hygie_proof.record ON CONFLICT (seq) DO UPDATE SET seq = 1")
    refused(hostile, "INSERT INTO hygie_proof.batch TABLE hygie_proof.batch ON CONFLICT (seq) DO UPDATE SET at_ms = 0")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.t (n int)",
        "CREATE TABLE hygie.t (n int)",
        "CREATE TABLE hygie_proof.t (n int)",
        "CREATE TEMPORARY TABLE t (n int)",
        "CREATE SCHEMA s",
        "CREATE VIEW hygie_proof.v AS SELECT 1",
        "CREATE FUNCTION hygie_proof.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER t BEFORE INSERT ON hygie_proof.record EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE r AS ON INSERT TO hygie_proof.record DO INSTEAD NOTHING",
        "CREATE INDEX ON hygie_proof.record (body)",
        "CREATE ROLE r",
        "CREATE DATABASE d",
        "CREATE EXTENSION dblink SCHEMA hygie_proof",
        "CREATE EXTENSION postgres_fdw SCHEMA hygie_proof",
        "DO $$ BEGIN PERFORM 1; END $$",
        "LOAD '/usr/lib/x.so'",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('.')",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/hygie-console-out'",
        "ALTER SYSTEM SET fsync = off",
        "ALTER ROLE hygie_console CREATEROLE",
        "ALTER ROLE hygie_hosting PASSWORD 'x'",
        "SET ROLE hygie_owner",
        "SET ROLE hygie_hosting",
        "SET ROLE hygie_sealer",
        "SET ROLE hygie_environments",
        "SET SESSION AUTHORIZATION postgres",
        "GRANT hygie_owner TO hygie_console",
        "GRANT SELECT ON hygie.token TO hygie_console",
        "SELECT * FROM pg_authid",
        "SELECT pg_reload_conf()",
        "SET session_replication_role = replica",
        "SET log_statement = 'all'",
        "CHECKPOINT",
    ],
)
def test_no_object_no_code_no_file_no_other_role(hostile: psycopg.Connection, statement: str) -> None:
    refused(
        hostile, statement, DENIED, psycopg.errors.InvalidParameterValue, psycopg.errors.ActiveSqlTransaction,
        psycopg.errors.WrongObjectType,
    )  # fmt: skip


def test_its_password_opens_no_other_role_and_no_other_database(dsns: Dsns) -> None:
    for role in ("hygie_owner", "hygie_hosting", "hygie_sealer", "postgres", ENVIRONMENT):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsns.console, user=role)
    for name in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsns.console, dbname=name)
