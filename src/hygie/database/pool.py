"""Connections of a hosting process, and the one way to run a transaction."""

from __future__ import annotations

import asyncio
import re
from types import TracebackType

import psycopg
from psycopg import errors, generators, pq
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from hygie.database.cluster import check_server
from hygie.database.errors import CommitUnknownError, DatabaseUnavailableError

POOL_SIZE = 8
POOL_WAIT_S = 5.0  # a request that waited this long for a connection is better told to come back
POOL_WAITERS_MAX = 2_000  # above, the answer is immediate: memory of one process
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
IDLE_TIMEOUT_MS = 60_000  # a hung process must not hold locks for ever
PREPARE_AFTER = 2
# The code picks its plans (design, "Search over ciphertext"): a plan that looks at the statistics of a token array each
# time costs 10 ms of planning for 0.2 ms of work. Without knowing values the planner expects many rows, and would hash
# the table of all patients to join 20 rows with it: every join here is by key, row by row.
PLAN_OPTIONS = "-c plan_cache_mode=force_generic_plan -c enable_hashjoin=off -c enable_mergejoin=off"
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
        """Args: wait_s: longest wait for a free connection; idle_timeout_ms: of a transaction that does nothing."""
        options = (
            '-c search_path="$user" '  # SET ROLE moves it to the environment's schema; everything else is qualified
            f"{PLAN_OPTIONS} "
            f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={LOCK_TIMEOUT_MS} "
            f"-c idle_in_transaction_session_timeout={idle_timeout_ms}"
        )
        self._wait_s = wait_s
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            kwargs={"autocommit": True, "prepare_threshold": PREPARE_AFTER, "options": options},
            min_size=size,
            max_size=size,
            max_waiting=POOL_WAITERS_MAX,
            open=False,
            timeout=wait_s,
            reconnect_timeout=wait_s,  # attempts start anew with each request: no long back-off after an outage
            configure=_configure,
            name="hygie",
        )

    async def open(self) -> None:
        """Connect. Raises: DatabaseUnavailableError: no answer; ServerTooOldError."""
        try:
            await self._pool.open(wait=True, timeout=max(self._wait_s, 10.0))
        except psycopg.OperationalError as error:
            await self._pool.close()
            raise DatabaseUnavailableError(part="open") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    def transaction(self, role: str | None = None) -> Transaction:
        """One transaction, as ``role`` (an environment's) or as the login role; COMMIT at exit, ROLLBACK on error.

        ``async with database.transaction(role) as connection:``

        Raises: ValueError: not a role's name; DatabaseUnavailableError: server down, pool exhausted, timeout, deadlock:
        nothing was kept; CommitUnknownError: the answer to COMMIT was lost. Other errors of psycopg and of the caller
        pass as they are. Cancelled during COMMIT: nobody knows either, the caller has gone.
        """
        return Transaction(self._pool, self._wait_s, begin_statement(role))


class Transaction:
    """One transaction as a context; made by ``Database.transaction``."""

    __slots__ = ("_begin", "_connection", "_pool", "_wait_s")

    def __init__(self, pool: AsyncConnectionPool[Connection], wait_s: float, begin: bytes) -> None:
        self._pool = pool
        self._wait_s = wait_s
        self._begin = begin
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        """A connection with the transaction open. One that died in the pool is replaced, once."""
        try:
            try:
                connection = await self._attempt()
            except (PoolTimeout, TooManyRequests):
                raise  # none died, all are taken: the wait is over
            except psycopg.OperationalError:
                await self._pool.check()
                connection = await self._attempt()
        except psycopg.OperationalError as error:  # the pool's own errors are of this family too
            raise DatabaseUnavailableError(part="connection") from error
        self._connection = connection
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = self._connection
        assert connection is not None
        try:
            if error is None:
                await _commit(connection)
            else:
                await _rollback(connection)
                if isinstance(error, psycopg.OperationalError):
                    raise DatabaseUnavailableError(part=error.sqlstate or "connection") from error
        finally:
            self._connection = None
            await self._pool.putconn(connection)

    async def _attempt(self) -> Connection:
        """Take a connection and begin; nothing is kept on failure."""
        connection = await self._pool.getconn(self._wait_s)
        try:
            await _send(connection, self._begin)
        except BaseException:
            try:
                await _rollback(connection)
            finally:
                await self._pool.putconn(connection)
            raise
        return connection


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


async def _send(connection: Connection, statements: bytes) -> pq.abc.PGresult:
    """Run constant statements by the simple protocol, without the price of a cursor (a third of an empty transaction).

    Returns: the last result. Raises: psycopg.Error.
    """
    async with connection.lock:
        connection.pgconn.send_query(statements)
        results = await connection.wait(generators.execute(connection.pgconn))
    last: pq.abc.PGresult = results[-1]
    if last.status != pq.ExecStatus.COMMAND_OK:
        raise errors.error_from_result(last, connection.info.encoding)
    return last


async def _commit(connection: Connection) -> None:
    """COMMIT, or know that it is not known.

    Raises: CommitUnknownError; DatabaseUnavailableError: nothing was kept; psycopg.Error: the server refused.
    """
    if connection.closed:
        raise DatabaseUnavailableError(part="connection")  # nothing was sent: the server rolled back
    try:
        done = await _send(connection, b"COMMIT")
    except psycopg.Error as error:
        if error.diag.severity_nonlocalized == "ERROR":  # the server answered and goes on: it rolled back
            if isinstance(error, psycopg.OperationalError):
                raise DatabaseUnavailableError(part=error.sqlstate or "commit") from error
            raise
        await connection.close()
        raise CommitUnknownError(part="commit") from error
    if done.command_status != b"COMMIT":
        # The caller swallowed a database error: the server answers COMMIT by a silent ROLLBACK.
        raise errors.InFailedSqlTransaction("a statement of the transaction failed and its error was not raised")


async def _rollback(connection: Connection) -> None:
    """ROLLBACK; a connection that cannot is closed, and the pool replaces it."""
    if connection.closed:
        return
    try:
        await _send(connection, b"ROLLBACK")
    except psycopg.Error:
        await connection.close()
    except asyncio.CancelledError:
        await connection.close()
        raise
