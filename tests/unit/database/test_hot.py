"""Hot connections: values, errors, accidents; nothing of one caller ever reaches another."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from hygie.base.errors import HygieError
from hygie.database.cluster import Dsns
from hygie.database.environments import create_environment_schema
from hygie.database.errors import CommitUnknownError, DatabaseUnavailableError
from hygie.database.hot import HotConnections

ONE, TWO = "hygie_env_71", "hygie_env_72"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def dsns(new_database: Callable[[], Dsns]) -> Dsns:
    """A database with two environments and a table to play with, owned by the platform's owner."""
    made = new_database()

    async def prepare() -> None:
        for role in (ONE, TWO):
            await create_environment_schema(made.owner, role)

    asyncio.run(prepare())
    with psycopg.connect(made.owner, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA play")
        owner.execute("CREATE TABLE play.row (id bigint PRIMARY KEY, value bytea, CHECK (id < 1000000))")
        owner.execute("GRANT USAGE ON SCHEMA play TO PUBLIC")
        owner.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON play.row TO PUBLIC")
    return made


@asynccontextmanager
async def hot(dsns: Dsns, size: int = 2) -> AsyncIterator[HotConnections]:
    connections = HotConnections(dsns.hosting, size=size)
    await connections.open()
    try:
        yield connections
    finally:
        await connections.close()


async def one_value(connections: HotConnections, sql: str, *values: Any) -> Any:
    return (await connections.fetch(sql, values))[0][0]


def rows_of(dsns: Dsns) -> set[int]:
    with psycopg.connect(dsns.owner) as owner:
        return {row[0] for row in owner.execute("SELECT id FROM play.row").fetchall()}


def terminate(dsns: Dsns, pid: int) -> None:
    with psycopg.connect(dsns.hosting, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_each_type_comes_back_as_it_went(dsns: Dsns) -> None:
    cases: list[tuple[str, Any]] = [
        ("SELECT %s::bytea", b""),
        ("SELECT %s::bytea", bytes(range(256))),
        ("SELECT %s::bytea", b"{}"),
        ("SELECT %s::bigint", 0),
        ("SELECT %s::bigint", 2**63 - 1),
        ("SELECT %s::bigint", -(2**63)),
        ("SELECT %s::text", ""),
        ("SELECT %s::text", "Zoë \U0001f9ec ' \" \\ $1 %s"),
        ("SELECT %s::boolean", True),
        ("SELECT %s::boolean", False),
        ("SELECT %s::bigint", None),
        ("SELECT %s::text", None),
        ("SELECT %s::bytea", None),
    ]

    async def main() -> None:
        async with hot(dsns) as connections:
            for sql, value in cases:
                for _ in range(3):  # prepared, then by its name
                    found = await one_value(connections, sql, value)
                    assert (found, type(found)) == (value, type(value)), sql

    asyncio.run(main())


@pytest.mark.parametrize(("kind", "items"), [("bytea[]", [b"", b"one", b"\x00\xff"]), ("bigint[]", [0, -1, 2**63 - 1])])
def test_lists_come_back_whatever_was_sent_first(dsns: Dsns, kind: str, items: list[Any]) -> None:
    async def main() -> None:
        for order in ([items, [], items], [[], items, []]):
            async with hot(dsns, size=1) as connections:
                for values in order:
                    rows = await connections.fetch(f"SELECT unnest(%s::{kind})", (values,))
                    assert [row[0] for row in rows] == values

    asyncio.run(main())


def test_values_that_cannot_travel_are_refused_and_leave_the_connection_whole(dsns: Dsns) -> None:
    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            for value, error in ((2**63, Exception), ("a\x00b", psycopg.Error), ("\ud800", UnicodeEncodeError)):
                with pytest.raises(error):
                    await connections.fetch("SELECT %s", (value,))
                assert await one_value(connections, "SELECT 7") == 7

    asyncio.run(main())


def test_big_values_are_sent_and_come_back_whole(dsns: Dsns) -> None:
    """More than a socket's buffer both ways: what could not be written at once is written later."""
    big = os.urandom(2 * MIB)

    async def main() -> None:
        async with hot(dsns) as connections:
            assert await one_value(connections, "SELECT %s::bytea", big) == big
            pieces = await connections.fetch("SELECT unnest(%s::bytea[])", ([big[:MIB], big[MIB:]],))
            assert b"".join(piece for (piece,) in pieces) == big
            async with connections.transaction() as one:
                one.later("INSERT INTO play.row (id, value) VALUES (%s, %s)", (101, big))
            assert await one_value(connections, "SELECT value FROM play.row WHERE id = %s", 101) == big

    asyncio.run(main())


REFUSED: list[tuple[str, tuple[Any, ...], type[Exception]]] = [
    ("SELEKT 1", (), psycopg.errors.SyntaxError),
    ("SELECT * FROM play.nothing", (), psycopg.errors.UndefinedTable),
    ("INSERT INTO play.row (id) VALUES (%s)", (9_999_999,), psycopg.errors.CheckViolation),
    ("SELECT 1 / %s", (0,), psycopg.errors.DivisionByZero),
    ("SELECT pg_sleep(5) /* slow */", (), DatabaseUnavailableError),
]


@pytest.mark.parametrize(("sql", "values", "error"), REFUSED)
@pytest.mark.parametrize("how", ["fetch", "execute", "later"])
def test_a_refused_statement_says_why_keeps_nothing_and_harms_nobody(
    dsns: Dsns, sql: str, values: tuple[Any, ...], error: type[Exception], how: str
) -> None:
    number = 200 + REFUSED.index((sql, values, error)) * 10 + len(how)

    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            await connections.fetch("SET statement_timeout = 200")
            with pytest.raises(error) as raised:  # noqa: PT012 (what is raised at the end of a transaction)
                if how == "fetch":
                    await connections.fetch(sql, values)
                else:
                    async with connections.transaction(ONE) as one:
                        one.later("INSERT INTO play.row (id) VALUES (%s)", (number,))
                        if how == "later":
                            one.later(sql, values)
                        else:
                            await one.execute(sql, values)
            assert "9999999" not in str(raised.value), "the server's text may quote values"
            for _ in range(3):
                assert await one_value(connections, "SELECT current_user::text") == "hygie_hosting"
                async with connections.transaction(TWO) as one:
                    assert (await (await one.execute("SELECT current_user::text")).fetchone()) == (TWO,)
        assert number not in rows_of(dsns)

    asyncio.run(main())


def test_a_statement_skipped_after_a_refusal_can_be_used_afterwards(dsns: Dsns) -> None:
    """Its preparation was skipped with it: the connection must not believe that the server knows its name."""
    sql = "SELECT 41 + 1::bigint"

    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            with pytest.raises(psycopg.Error):
                async with connections.transaction("hygie_env_none") as one:
                    await one.execute(sql)
            async with connections.transaction(ONE) as one:
                assert await (await one.execute(sql)).fetchone() == (42,)

    asyncio.run(main())


def test_an_error_that_the_caller_swallows_is_not_a_commit(dsns: Dsns) -> None:
    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):  # noqa: PT012 (what is raised at the end of a transaction)
                async with connections.transaction() as one:
                    await one.execute("INSERT INTO play.row (id) VALUES (%s)", (301,))
                    with pytest.raises(psycopg.errors.DivisionByZero):
                        await one.execute("SELECT 1 / %s", (0,))
            assert await one_value(connections, "SELECT count(*) FROM play.row WHERE id = %s", 301) == 0

    asyncio.run(main())


def test_one_of_a_deadlock_is_told_to_come_back_and_the_other_goes_on(dsns: Dsns) -> None:
    async def lock_both(connections: HotConnections, first: int, second: int, met: asyncio.Barrier) -> str:
        try:
            async with connections.transaction(ONE) as one:
                await one.execute("SELECT true FROM pg_advisory_xact_lock(%s)", (first,))
                await met.wait()
                await one.execute("SELECT true FROM pg_advisory_xact_lock(%s)", (second,))
        except DatabaseUnavailableError:
            return "told"
        return "done"

    async def main() -> None:
        async with hot(dsns) as connections:
            met = asyncio.Barrier(2)
            ends = await asyncio.gather(lock_both(connections, 7, 8, met), lock_both(connections, 8, 7, met))
            assert sorted(ends) == ["done", "told"]
            for _ in range(4):
                assert await one_value(connections, "SELECT 1::bigint") == 1

    asyncio.run(main())


def test_the_role_ends_with_its_transaction(dsns: Dsns) -> None:
    """However it ends: committed, refused, left by its caller's error."""

    async def who(connections: HotConnections) -> str:
        return str(await one_value(connections, "SELECT current_user::text || ' ' || current_schemas(false)::text"))

    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            nobody = await who(connections)
            assert nobody.startswith("hygie_hosting ")
            pid = await one_value(connections, "SELECT pg_backend_pid()")
            async with connections.transaction(ONE) as one:
                assert await (await one.execute("SELECT current_user::text")).fetchone() == (ONE,)
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await one.execute(f"SELECT count(*) FROM {TWO}.version")
                with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                    await one.execute("SELECT 1")
                await one.execute("ROLLBACK")  # no way out of the role but the end of the transaction
                await one.execute("BEGIN")
            assert await who(connections) == nobody
            with pytest.raises(KeyError):  # noqa: PT012 (what is raised at the end of a transaction)
                async with connections.transaction(TWO) as one:
                    await one.execute("SELECT current_user::text")
                    raise KeyError
            assert await who(connections) == nobody
            assert await one_value(connections, "SELECT pg_backend_pid()") == pid, "the same connection all along"

    asyncio.run(main())


def test_a_backend_killed_between_two_statements_is_replaced(dsns: Dsns) -> None:
    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            with pytest.raises(DatabaseUnavailableError):  # noqa: PT012 (what is raised at the end of a transaction)
                async with connections.transaction(ONE) as one:
                    await one.execute("INSERT INTO play.row (id) VALUES (%s)", (401,))
                    (pid,) = (await (await one.execute("SELECT pg_backend_pid()")).fetchone()) or (0,)
                    await asyncio.to_thread(terminate, dsns, pid)
                    await one.execute("SELECT 1")
            assert await one_value(connections, "SELECT count(*) FROM play.row WHERE id = %s", 401) == 0

    asyncio.run(main())


def test_a_backend_killed_while_it_works_or_sleeps_is_replaced(dsns: Dsns) -> None:
    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            pid = await one_value(connections, "SELECT pg_backend_pid()")
            asleep = asyncio.create_task(connections.fetch("SELECT pg_sleep(20)::text"))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(terminate, dsns, pid)
            with pytest.raises(DatabaseUnavailableError):
                await asleep
            pid = await one_value(connections, "SELECT pg_backend_pid()")
            await asyncio.to_thread(terminate, dsns, pid)  # idle in the pool
            await asyncio.sleep(0.05)
            assert await one_value(connections, "SELECT pg_backend_pid()") != pid

    asyncio.run(main())


def test_a_commit_whose_answer_is_lost_is_unknown_never_refused(dsns: Dsns) -> None:
    """The backend dies in the middle of the COMMIT: a deferred trigger makes it long enough to be met there."""
    with psycopg.connect(dsns.owner, autocommit=True) as owner:
        owner.execute(
            "CREATE FUNCTION play.slow() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(20); RETURN NULL; END $$"
        )
        owner.execute(
            "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON play.row DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION play.slow()"
        )

    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            pid = await one_value(connections, "SELECT pg_backend_pid()")
            await connections.fetch("INSERT INTO play.row (id) VALUES (%s)", (501,))

            async def update() -> None:
                async with connections.transaction() as one:
                    await one.execute("UPDATE play.row SET value = %s WHERE id = %s", (b"x", 501))

            ending = asyncio.create_task(update())
            await asyncio.sleep(0.2)
            await asyncio.to_thread(terminate, dsns, pid)
            with pytest.raises(CommitUnknownError):
                await ending
            assert await one_value(connections, "SELECT value FROM play.row WHERE id = %s", 501) is None

    asyncio.run(main())


def test_a_caller_that_goes_away_leaves_no_answer_to_the_next(dsns: Dsns) -> None:
    """Cancelled at every moment of a query: the next caller gets its own answer, from this connection or another."""

    async def main() -> None:
        async with hot(dsns, size=2) as connections:

            async def ask(number: int) -> int:
                async with connections.transaction(ONE) as one:
                    sql = "SELECT %s::bigint, pg_sleep(0.002)::text"
                    row = await (await one.execute(sql, (number,))).fetchone()
                    assert row is not None
                    return int(row[0])

            for turn in range(60):
                leaving = [asyncio.create_task(ask(-turn - 1)) for _ in range(3)]
                await asyncio.sleep(turn * 0.0002)
                for task in leaving:
                    task.cancel()
                staying = [asyncio.create_task(ask(turn * 10 + n)) for n in range(3)]
                assert await asyncio.gather(*staying) == [turn * 10 + n for n in range(3)]
                await asyncio.gather(*leaving, return_exceptions=True)

    asyncio.run(main())


def test_many_callers_share_few_connections_and_each_gets_its_own_rows(dsns: Dsns) -> None:
    async def main() -> None:
        async with hot(dsns, size=3) as connections:
            asked = [connections.fetch("SELECT %s::bigint, %s::bytea", (n, b"%d" % n)) for n in range(300)]
            for number, rows in enumerate(await asyncio.gather(*asked)):
                assert rows == [(number, b"%d" % number)]

    asyncio.run(main())


def test_no_server_is_told_each_time_and_leaves_the_room_free(dsns: Dsns) -> None:
    async def main() -> None:
        nowhere = HotConnections(psycopg.conninfo.make_conninfo(dsns.hosting, host="/nonexistent"))
        with pytest.raises(DatabaseUnavailableError):
            await nowhere.open()
        absent = HotConnections(psycopg.conninfo.make_conninfo(dsns.hosting, dbname="hygie_absent"), size=1)
        for _ in range(3):  # the one place of the pool is given back each time
            with pytest.raises(HygieError):
                await absent.fetch("SELECT 1")
        await absent.close()

    asyncio.run(main())


def test_a_server_that_may_not_be_written_is_told_as_down(dsns: Dsns) -> None:
    """A standby, or a right taken away: what waits for the commit is not kept, and the caller is told to come back."""

    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            await connections.fetch("SET default_transaction_read_only = on")
            with pytest.raises(DatabaseUnavailableError):  # noqa: PT012 (the end of the transaction raises)
                async with connections.transaction() as one:
                    await one.execute("SELECT 1::bigint")
                    one.later("INSERT INTO play.row (id) VALUES (%s)", (601,))
            await connections.fetch("SET default_transaction_read_only = off")
            with pytest.raises(DatabaseUnavailableError):
                async with connections.transaction(ONE) as one:
                    one.later("INSERT INTO hygie.tenant (name) VALUES (%s)", ("x",))
        assert 601 not in rows_of(dsns)

    asyncio.run(main())


def test_a_server_that_hangs_is_given_up(dsns: Dsns, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend neither answers nor closes (a frozen machine): its callers wait a bounded time, then it is left."""
    monkeypatch.setattr("hygie.database.hot.WAIT_S_MAX", 0.5)

    async def main() -> None:
        async with hot(dsns, size=1) as connections:
            pid = await one_value(connections, "SELECT pg_backend_pid()")
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(DatabaseUnavailableError):
                    await connections.fetch("SELECT 1::bigint")
                assert await one_value(connections, "SELECT 1::bigint") == 1, "another connection"
            finally:
                os.kill(pid, signal.SIGCONT)

    asyncio.run(main())
