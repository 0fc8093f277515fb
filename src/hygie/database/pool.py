"""Connections of a hosting process, and the one way to run a transaction."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import pq
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from hygie.database.cluster import check_server
from hygie.database.errors import CommitUnknownError, DatabaseUnavailableError

POOL_SIZE = 8
POOL_WAIT_S = 5.0  # a request that waited this long for a connection is better told to come back
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
IDLE_TIMEOUT_MS = 60_000  # a hung process must not hold locks for ever
PREPARE_AFTER = 2
PREPARED_MAX = 500
_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")

Connection = psycopg.AsyncConnection


class Database:
    """A pool of connections to one database, under one login role."""

    def __init__(
        self,
        dsn: str,
        *,
        size: int = POOL_SIZE,
        wait_s: float = POOL_WAIT_S,
        statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
        idle_timeout_ms: int = IDLE_TIMEOUT_MS,
    ) -> None:
        options = (
            '-c search_path="$user" '  # SET ROLE moves it to the environment's schema; everything else is qualified
            f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={LOCK_TIMEOUT_MS} "
            f"-c idle_in_transaction_session_timeout={idle_timeout_ms}"
        )
        self._wait_s = wait_s
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            kwargs={"autocommit": True, "prepare_threshold": PREPARE_AFTER, "options": options},
            min_size=size,
            max_size=size,
            open=False,
            timeout=wait_s,
            reconnect_timeout=wait_s,
            configure=_configure,
            name="hygie",
        )

    async def open(self) -> None:
        """Connect. Raises: DatabaseUnavailableError: no answer; ServerTooOldError."""
        try:
            await self._pool.open(wait=True, timeout=max(self._wait_s, 10.0))
        except PoolTimeout as error:
            await self._pool.close()
            raise DatabaseUnavailableError(part="open") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, role: str | None = None) -> AsyncIterator[Connection]:
        """One transaction, as ``role`` (an environment's) or as the login role; COMMIT at exit, ROLLBACK on error.

        Raises: DatabaseUnavailableError: server down, pool exhausted, timeout, deadlock: nothing was done;
        CommitUnknownError: the answer to COMMIT was lost. Other errors of psycopg and of the caller pass as they are.
        """
        begin = begin_statement(role)
        try:
            connection = await self._begin(begin)
        except (psycopg.OperationalError, PoolTimeout, TooManyRequests) as error:
            raise DatabaseUnavailableError(part="connection") from error
        try:
            try:
                yield connection
            except BaseException:
                await _rollback(connection)
                raise
            await _commit(connection)
        except psycopg.OperationalError as error:
            raise DatabaseUnavailableError(part=error.sqlstate or "connection") from error
        finally:
            await self._pool.putconn(connection)

    async def _begin(self, begin: bytes) -> Connection:
        """A connection with a transaction open. A connection that died in the pool is replaced, once."""
        for attempt in (1, 2):
            connection = await self._pool.getconn(self._wait_s)
            try:
                await connection.execute(begin, prepare=False)
            except psycopg.OperationalError:
                await self._pool.putconn(connection)
                if attempt == 2:
                    raise
                await self._pool.check()
            except BaseException:
                await _rollback(connection)
                await self._pool.putconn(connection)
                raise
            else:
                return connection
        raise AssertionError("unreachable")


def begin_statement(role: str | None) -> bytes:
    """BEGIN and SET LOCAL ROLE for one round trip. Raises: ValueError: not a role's name (a programming mistake)."""
    if role is None:
        return b"BEGIN"
    if not _ROLE.fullmatch(role):
        raise ValueError("not a role's name")
    return b'BEGIN; SET LOCAL ROLE "' + role.encode() + b'"'


async def _configure(connection: Connection) -> None:
    """A new connection of the pool."""
    check_server(connection.info.server_version)
    connection.prepared_max = PREPARED_MAX


async def _commit(connection: Connection) -> None:
    """COMMIT, or know that it is not known.

    Raises: CommitUnknownError; psycopg.Error: the server refused (nothing was kept).
    """
    if connection.info.transaction_status == pq.TransactionStatus.INERROR:
        # The caller swallowed a database error: the server would answer COMMIT by a silent ROLLBACK.
        await _rollback(connection)
        raise psycopg.errors.InFailedSqlTransaction("an error of the transaction was not raised")
    try:
        await connection.execute(b"COMMIT", prepare=False)
    except psycopg.OperationalError as error:
        if error.sqlstate is not None and not connection.closed:
            raise  # the server answered: serialization failure, deadlock, disk full: rolled back
        raise CommitUnknownError(part="commit") from error


async def _rollback(connection: Connection) -> None:
    """ROLLBACK; a connection that cannot is closed, and the pool replaces it."""
    if connection.closed:
        return
    try:
        await connection.execute(b"ROLLBACK", prepare=False)
    except (psycopg.Error, asyncio.CancelledError):
        await connection.close()
