"""The role of the watch, in hostile hands: it reads what it looks at, and reaches no data, no key, no right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest

from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema
from tests.attack.test_environment_segmentation import tables_of

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
ENVIRONMENT = "hygie_env_1"
OWN = {"watch_cursor", "watch_state", "soc_cursor"}
FINDINGS = {"finding", "finding_act", "finding_evidence", "notice"}
READ = {"journal_entry", "journal_head", "tenant", "environment", "measurement", "duty"}
TABLES = {
    *((table, right) for table in OWN for right in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    *((table, right) for table in FINDINGS for right in ("SELECT", "INSERT")),
    *((table, "SELECT") for table in READ),
    ("measurement", "INSERT"),
}
COLUMNS = {
    ("journal_pending", "INSERT"): {"leaf"},
    ("finding", "UPDATE"): {"last_ms", "count", "state", "owner", "incident"},
    ("notice", "UPDATE"): {"due_ms", "sent_ms", "tries", "code", "state"},
    ("account", "SELECT"): {
        *("id", "kind", "label", "professional_id", "state", "tenant", "created_ms", "ends_ms"),
    },
}


@pytest.fixture(scope="module")
def dsns(new_database: Callable[[], Dsns]) -> Dsns:
    return new_database()


@pytest.fixture
def hostile(dsns: Dsns) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsns.watch, autocommit=True) as connection:
        yield connection


def test_it_has_the_rights_that_this_page_lists_and_no_other(hostile: psycopg.Connection, dsns: Dsns) -> None:
    for table in tables_of(dsns, "hygie"):
        for right in RIGHTS:
            row = hostile.execute("SELECT has_table_privilege(%s, %s)", (f"hygie.{table}", right)).fetchone()
            assert row == ((table, right) in TABLES,), (table, right)
        with psycopg.connect(dsns.owner) as owner:
            names = owner.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'hygie' AND table_name = %s",
                (table,),
            ).fetchall()
        for right in ("SELECT", "INSERT", "UPDATE"):
            for (name,) in names:
                row = hostile.execute(
                    "SELECT has_column_privilege(%s, %s, %s)", (f"hygie.{table}", name, right)
                ).fetchone()
                may = (table, right) in TABLES or name in COLUMNS.get((table, right), ())
                assert row == (may,), (table, name, right)


def test_it_reaches_no_environment_and_becomes_nobody(hostile: psycopg.Connection, dsns: Dsns) -> None:
    asyncio.run(create_environment_schema(dsns.owner, ENVIRONMENT))
    for table in tables_of(dsns, ENVIRONMENT):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            hostile.execute(f"SELECT 1 FROM {ENVIRONMENT}.{table}".encode())
    for role in (ENVIRONMENT, "hygie_hosting", "hygie_sealer", "hygie_console", "hygie_owner", "hygie_environments"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            hostile.execute(f"SET ROLE {role}".encode())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE hygie.mine (x int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER ROLE hygie_watch CREATEROLE",
        "DELETE FROM hygie.finding",
        "UPDATE hygie.finding_act SET words = ''",
        "UPDATE hygie.finding SET level = 'low'",
        "DELETE FROM hygie.notice",
        "UPDATE hygie.notice SET channel = 'mine'",
        "DELETE FROM hygie.journal_entry",
        "SELECT * FROM hygie.journal_pending",
        "SELECT hygie.trim_measurements('door', 1)",
        "SELECT hygie.end_habilitation('a', 'b', 1)",
        "SELECT lo_create(0)",
        "COPY hygie.finding TO PROGRAM 'cat'",
    ],
)
def test_it_makes_nothing_and_removes_nothing(hostile: psycopg.Connection, statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction)):
        hostile.execute(statement.encode())
