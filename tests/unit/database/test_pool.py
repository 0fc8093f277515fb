"""The pool: one round trip to begin, nothing left behind, errors that say whether the write may exist."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from hygie.database.cluster import Dsns
from hygie.database.embedded import EmbeddedPostgres
from hygie.database.environments import create_environment_schema
from hygie.database.errors import CommitUnknownError, DatabaseUnavailableError
from hygie.database.pool import Database, begin_statement

WAITED_S = 1.0


@pytest.fixture(scope="module")
def dsns(new_database: Callable[[], Dsns]) -> Dsns:
    made = new_database()

    async def prepare() -> None:
        await create_environment_schema(made.owner, "hygie_env_1")
        async with await psycopg.AsyncConnection.connect(made.owner, autocommit=True) as owner:
            await owner.execute(
                "CREATE TABLE hygie.sample (n int PRIMARY KEY, m int UNIQUE DEFERRABLE INITIALLY DEFERRED)"
            )
            await owner.execute("GRANT SELECT, INSERT ON hygie.sample TO hygie_hosting")

    asyncio.run(prepare())
    return made


@asynccontextmanager
async def opened(dsn: str, **options: float) -> AsyncIterator[Database]:
    pool = Database(dsn, **options)  # type: ignore[arg-type]
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def count(pool: Database) -> int:
    async with pool.transaction() as connection:
        row = await (await connection.execute("SELECT count(*) FROM hygie.sample")).fetchone()
    assert row is not None
    return int(row[0])


def test_a_transaction_runs_as_the_environment_then_as_the_login_role(dsns: Dsns) -> None:
    async def main() -> None:
        async with opened(dsns.hosting, size=1) as pool:
            async with pool.transaction("hygie_env_1") as connection:
                row = await (await connection.execute("SELECT current_user::text, session_user::text")).fetchone()
                assert row == ("hygie_env_1", "hygie_hosting")
                await connection.execute("SELECT number FROM pack")  # found by the search path of the role
            async with pool.transaction() as connection:
                row = await (await connection.execute("SELECT current_user::text")).fetchone()
                assert row == ("hygie_hosting",)
                with pytest.raises(psycopg.errors.UndefinedTable):
                    await connection.execute("SELECT number FROM pack")
                await connection.execute("ROLLBACK; BEGIN")

    asyncio.run(main())


@pytest.mark.parametrize("role", ['x"; DROP SCHEMA hygie; --', "X", "", "a" * 64, "hygie_env_1\n"])
def test_a_role_is_only_ever_an_identifier(role: str) -> None:
    with pytest.raises(ValueError, match="role"):
        begin_statement(role)


def test_an_unknown_role_leaves_the_pool_usable(dsns: Dsns) -> None:
    async def main() -> None:
        async with opened(dsns.hosting, size=1) as pool:
            for _ in range(3):
                with pytest.raises(psycopg.errors.InvalidParameterValue):
                    async with pool.transaction("hygie_env_999"):
                        pass
            await count(pool)

    asyncio.run(main())


def test_an_error_of_the_caller_rolls_back_and_passes_as_it_is(dsns: Dsns) -> None:
    async def main() -> None:
        async with opened(dsns.hosting, size=1) as pool:
            before = await count(pool)
            with pytest.raises(KeyError):  # noqa: PT012 (the end of the transaction raises)
                async with pool.transaction() as connection:
                    await connection.execute("INSERT INTO hygie.sample VALUES (101, 101)")
                    raise KeyError("caller")
            assert await count(pool) == before

    asyncio.run(main())


def test_a_refusal_at_commit_is_known_and_a_swallowed_error_is_not_a_success(dsns: Dsns) -> None:
    async def main() -> None:
        async with opened(dsns.hosting, size=1) as pool:
            before = await count(pool)
            with pytest.raises(psycopg.errors.UniqueViolation):
                async with pool.transaction() as connection:
                    await connection.execute("INSERT INTO hygie.sample VALUES (201, 7), (202, 7)")
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):  # noqa: PT012 (the end of the transaction raises)
                async with pool.transaction() as connection:
                    await connection.execute("INSERT INTO hygie.sample VALUES (203, 203)")
                    with pytest.raises(psycopg.errors.DivisionByZero):
                        await connection.execute("SELECT 1 / 0")
            assert await count(pool) == before

    asyncio.run(main())


def test_a_cancelled_caller_leaves_nothing_and_the_connection_serves_again(dsns: Dsns) -> None:
    async def main() -> None:
        async with opened(dsns.hosting, size=1) as pool:
            before = await count(pool)

            async def slow() -> None:
                async with pool.transaction() as connection:
                    await connection.execute("INSERT INTO hygie.sample VALUES (301, 301)")
                    await connection.execute("SELECT pg_sleep(30)")

            task = asyncio.create_task(slow())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await count(pool) == before

    asyncio.run(main())


def test_an_exhausted_pool_and_a_slow_statement_are_unavailable(dsns: Dsns) -> None:
    async def main() -> None:
        async with opened(dsns.hosting, size=1, wait_s=0.1, statement_timeout_ms=100) as pool:
            async with pool.transaction():
                with pytest.raises(DatabaseUnavailableError):
                    async with pool.transaction():
                        pass
            with pytest.raises(DatabaseUnavailableError) as caught:
                async with pool.transaction() as connection:
                    await connection.execute("SELECT pg_sleep(5)")
            assert caught.value.facts["part"] == "57014"

    asyncio.run(main())


def test_an_exhausted_pool_is_waited_for_once(dsns: Dsns) -> None:
    async def main() -> None:
        async with opened(dsns.hosting, size=1, wait_s=WAITED_S) as pool, pool.transaction():
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailableError):
                async with pool.transaction():
                    pass
            assert WAITED_S - 0.1 < time.monotonic() - began < 2 * WAITED_S - 0.1

    asyncio.run(main())


def test_connections_killed_in_the_pool_are_replaced_without_the_caller_noticing(
    dsns: Dsns, postgres: EmbeddedPostgres
) -> None:
    async def main() -> None:
        async with opened(dsns.hosting, size=4) as pool:
            await count(pool)
            with psycopg.connect(postgres.dsn("postgres", "postgres")) as admin:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hygie_hosting'")
            await asyncio.sleep(0.05)
            for _ in range(8):
                await count(pool)

    asyncio.run(main())


def test_a_connection_lost_before_commit_is_known_and_during_commit_is_unknown(
    dsns: Dsns, postgres: EmbeddedPostgres
) -> None:
    async def kill(connection: psycopg.AsyncConnection) -> None:
        with psycopg.connect(postgres.dsn("postgres", "postgres")) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))

    async def main() -> None:
        async with opened(dsns.hosting, size=1) as pool:
            before = await count(pool)
            with pytest.raises(DatabaseUnavailableError):  # noqa: PT012 (the end of the transaction raises)
                async with pool.transaction() as connection:
                    await kill(connection)
                    await connection.execute("SELECT 1")
            with pytest.raises(CommitUnknownError):  # noqa: PT012 (the end of the transaction raises)
                async with pool.transaction() as connection:
                    await connection.execute("INSERT INTO hygie.sample VALUES (401, 401)")
                    await kill(connection)
            with pytest.raises(DatabaseUnavailableError):
                async with pool.transaction() as connection:
                    await connection.close()
            assert await count(pool) == before

    asyncio.run(main())


def test_service_comes_back_soon_after_the_server_does(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "run", durable=False)
    server.start()

    async def main() -> None:
        async with opened(server.dsn("hygie_owner"), size=2, wait_s=0.5) as pool:
            async with pool.transaction():
                pass
            pid = server.pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.5)  # its children notice and leave
            for _ in range(4):
                with pytest.raises(DatabaseUnavailableError):
                    async with pool.transaction() as connection:
                        await connection.execute("SELECT 1")
            await asyncio.to_thread(server.start)
            for _ in range(20):
                with suppress(DatabaseUnavailableError):
                    async with pool.transaction() as connection:
                        await connection.execute("SELECT 1")
                        return
                await asyncio.sleep(0.1)
            pytest.fail("no service two seconds after the restart")

    try:
        asyncio.run(main())
    finally:
        server.stop()
