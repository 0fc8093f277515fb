"""Connections for what happens thousands of times a second: small transactions in the fewest round trips.

libpq's pipeline mode, driven through psycopg's own binding (``psycopg.pq``): what precedes a query (BEGIN, the role)
and what needs no answer (an INSERT, COMMIT) travel with it, and one reader per connection stays registered with the
event loop.  A point read costs two round trips instead of five, and a third of the CPU (docs/performance.md).

``HotTransaction.execute`` takes the same SQL and values as psycopg's, so a query is written once.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from hygie.database.errors import CommitUnknownError, DatabaseUnavailableError
from hygie.database.pool import PLAN_OPTIONS, STATEMENT_TIMEOUT_MS, begin_statement

CONNECTIONS = 4
WAIT_S_MAX = 30.0  # the server's own statement timeout comes first; this one is for a server that is gone
CONNECT_S_MAX = 10

Row = tuple[Any, ...]
_READ_ERRORS = (psycopg.OperationalError, OSError)
_ARRAY = struct.Struct(">iiIii")
_INT8 = struct.Struct(">q")
_BYTEA, _INT8_OID, _TEXT, _BOOL = 17, 20, 25, 16
_BYTEA_ARRAY, _INT8_ARRAY = 1001, 1016
_MAY_NOT_WRITE = {"25006", "42501"}  # read-only (a standby, say), not granted: no mistake of the statement
_UNSAID = 0  # the statement says the type; such a value travels as text


class _Command:
    """One statement of a pipeline. prepared: kept by the connection under its text."""

    __slots__ = ("formats", "parameters", "prepared", "sql", "types")

    def __init__(self, sql: bytes, values: Sequence[Any] = (), *, prepared: bool = False) -> None:
        self.sql = sql
        self.prepared = prepared
        self.types, self.parameters = _encode(values)
        self.formats = [pq.Format.BINARY if oid else pq.Format.TEXT for oid in self.types]


_SQL: dict[str, bytes] = {}


class HotConnections:
    """A few connections of one login role. Opened inside the event loop that uses them."""

    def __init__(self, dsn: str, *, size: int = CONNECTIONS) -> None:
        self._dsn = dsn
        self._size = size
        self._idle: deque[_Hot] = deque()
        self._room = asyncio.Semaphore(size)
        self._begins: dict[str | None, list[_Command]] = {}
        self._closed = False

    async def open(self) -> None:
        """Connect once, to fail early. Raises: DatabaseUnavailableError."""
        self._idle.append(await self._connect())

    async def close(self) -> None:
        """Close what is idle; what is in use closes when it is given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def transaction(self, role: str | None = None) -> HotTransaction:
        """One transaction, as ``Database.transaction``; nothing is sent before its first query.

        Raises: DatabaseUnavailableError; CommitUnknownError.
        """
        begin = self._begins.get(role)
        if begin is None:
            begin = [_Command(part) for part in begin_statement(role).split(b"; ")]
            self._begins[role] = begin
        return HotTransaction(self, begin)

    async def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """One statement on its own, in one round trip. Raises: DatabaseUnavailableError."""
        connection = await self.take()
        try:
            return (await connection.run([_Command(_dollar(sql), values, prepared=True)]))[0]
        finally:
            self.give(connection)

    async def take(self) -> _Hot:
        """A connection for the caller alone."""
        await self._room.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                if connection.idle:
                    return connection
                connection.close()
            return await self._connect()
        except BaseException:
            self._room.release()
            raise

    def give(self, connection: _Hot) -> None:
        """Give a connection back; one that failed, or is inside a transaction, is closed."""
        self._room.release()
        if connection.idle and not self._closed:
            self._idle.append(connection)
        else:
            connection.close()

    async def _connect(self) -> _Hot:
        options = f'-c search_path="$user" {PLAN_OPTIONS} -c statement_timeout={STATEMENT_TIMEOUT_MS}'
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._dsn, autocommit=True, options=options, connect_timeout=CONNECT_S_MAX
            )
        except _READ_ERRORS as error:
            raise DatabaseUnavailableError(part="connection") from error
        return _Hot(connection)


class HotTransaction:
    """One transaction; made by ``HotConnections.transaction``."""

    __slots__ = ("_connection", "_pending", "_pool", "_sent")

    def __init__(self, pool: HotConnections, begin: list[_Command]) -> None:
        self._pool = pool
        self._pending = list(begin)
        self._connection: _Hot | None = None
        self._sent = False

    async def __aenter__(self) -> HotTransaction:
        self._connection = await self._pool.take()
        return self

    async def execute(self, sql: str, values: Sequence[Any] = ()) -> HotCursor:
        """Send what waits and this statement; its rows are in the cursor.

        Args: values: bytes, int (as bigint), str, bool, None, and lists of bytes or of int.
        Raises: DatabaseUnavailableError; psycopg.Error: the statement was refused.
        """
        assert self._connection is not None
        commands = [*self._pending, _Command(_dollar(sql), values, prepared=True)]
        self._pending = []
        self._sent = True
        return HotCursor((await self._connection.run(commands))[-1])

    def later(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Add a statement whose rows nobody reads; it travels with what comes next, COMMIT at the latest."""
        self._pending.append(_Command(_dollar(sql), values, prepared=True))

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        connection = self._connection
        assert connection is not None
        try:
            if error is None and (self._sent or len(self._pending) > 1):
                await self._commit(connection)
            elif self._sent and connection.usable:
                await connection.run([_ROLLBACK])
        finally:
            self._pool.give(connection)

    async def _commit(self, connection: _Hot) -> None:
        """Send what waits and COMMIT, or know that it is not known."""
        try:
            await connection.run([*self._pending, _COMMIT])
        except (DatabaseUnavailableError, psycopg.Error) as error:
            if connection.usable:  # the server answered: nothing was kept, and the transaction is still open
                await connection.run([_ROLLBACK])
                if getattr(error, "sqlstate", None) in _MAY_NOT_WRITE:
                    raise DatabaseUnavailableError(part=str(error)) from error
                raise
            raise CommitUnknownError(part="commit") from error
        if connection.said != b"COMMIT":
            # The caller swallowed a database error: the server answers COMMIT by a silent ROLLBACK.
            raise psycopg.errors.InFailedSqlTransaction("a statement failed and its error was not raised")


class HotCursor:
    """Rows already here, under psycopg's names."""

    __slots__ = ("rows",)

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    async def fetchall(self) -> list[Row]:
        """All rows."""
        return self.rows

    async def fetchone(self) -> Row | None:
        """The first row."""
        return self.rows[0] if self.rows else None


class _Hot:
    """One connection in pipeline mode, with its reader registered once."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._owner = connection
        self._link: PGconn = connection.pgconn
        self._link.nonblocking = 1
        self._link.enter_pipeline_mode()
        self._loop = asyncio.get_running_loop()
        self._socket = self._link.socket
        self._loop.add_reader(self._socket, self._readable)
        self._names: dict[bytes, bytes] = {}
        self._named = 0
        self._expected: list[bytes | None] = []  # of each result: what it prepares, None if its rows are wanted
        self._results: list[PGresult] = []
        self._answer: asyncio.Future[None] | None = None
        self._broken = False

    @property
    def usable(self) -> bool:
        """Whether it can be spoken to."""
        return not self._broken and self._answer is None

    @property
    def idle(self) -> bool:
        """Whether it may carry another transaction: none is open or failed on it."""
        return self.usable and self._link.transaction_status == TransactionStatus.IDLE

    @property
    def said(self) -> bytes:
        """How the server named what it did last: ``COMMIT``, or ``ROLLBACK`` where it was asked to commit a failure."""
        return self._results[-1].command_status or b""

    async def run(self, commands: Sequence[_Command]) -> list[list[Row]]:
        """Send commands, wait for all their answers: rows of each.

        Raises: DatabaseUnavailableError: the connection is lost, or the server gave up; psycopg.Error: refused.
        """
        if self._broken:
            raise DatabaseUnavailableError(part="connection")
        self._results = []
        self._expected = []
        answer = self._answer = self._loop.create_future()
        timer = self._loop.call_later(WAIT_S_MAX, self._break)
        try:
            self._send(commands)
            await answer
        except _READ_ERRORS as error:
            self._break()
            raise DatabaseUnavailableError(part="connection") from error
        except BaseException:
            self._break()  # answers still on their way would be taken for the next caller's
            raise
        finally:
            timer.cancel()
            self._answer = None
        answered = list(zip(self._results, self._expected, strict=True))
        failed = [result for result, _ in answered if _failed(result)]
        if failed:
            for result, prepared in answered:
                if prepared is not None and _failed(result):
                    del self._names[prepared]  # refused, or skipped after a refusal: its name means nothing there
            raise _error_of(failed[0])
        return [_rows(result) for result, prepared in answered if prepared is None]

    def close(self) -> None:
        """Give the connection back to the system."""
        self._break()
        self._link.finish()

    def _send(self, commands: Sequence[_Command]) -> None:
        link = self._link
        for command in commands:
            if not command.prepared:
                link.send_query_params(command.sql, None)
                self._expected.append(None)
                continue
            name = self._names.get(command.sql)
            if name is None:
                name = self._names[command.sql] = b"h%d" % self._named
                self._named += 1
                link.send_prepare(name, command.sql, command.types)
                self._expected.append(command.sql)
            link.send_query_prepared(name, command.parameters, command.formats, pq.Format.BINARY)
            self._expected.append(None)
        link.pipeline_sync()
        if link.flush():
            self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        try:
            if not self._link.flush():
                self._loop.remove_writer(self._socket)
        except _READ_ERRORS:
            self._break()

    def _readable(self) -> None:
        link = self._link
        try:
            link.consume_input()
            while self._answer is not None and not link.is_busy():
                result = link.get_result()
                if result is None:
                    continue
                if result.status == ExecStatus.PIPELINE_SYNC:
                    if not self._answer.done():
                        self._answer.set_result(None)
                    return
                self._results.append(result)
        except _READ_ERRORS:
            self._break()

    def _break(self) -> None:
        if not self._broken:
            self._broken = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(psycopg.OperationalError("connection lost"))


def _failed(result: PGresult) -> bool:
    return result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


def _error_of(result: PGresult) -> Exception:
    """The error of a refused statement, without the server's text: it may quote values."""
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    if not state or state[:2] in {"08", "40", "53", "55", "57", "58"}:
        return DatabaseUnavailableError(part=state or "aborted")
    return psycopg.errors.lookup(state)(state)


def _dollar(sql: str) -> bytes:
    """The statement with ``$1`` for ``%s``, in order."""
    found = _SQL.get(sql)
    if found is None:
        head, *tail = sql.split("%s")
        found = "".join([head, *(f"${n}{part}" for n, part in enumerate(tail, 1))]).encode()
        if len(_SQL) < 10_000:
            _SQL[sql] = found
    return found


def _encode(values: Sequence[Any]) -> tuple[list[int], list[bytes | None]]:
    types: list[int] = []
    parameters: list[bytes | None] = []
    for value in values:
        oid, raw = _encode_one(value)
        types.append(oid)
        parameters.append(raw)
    return types, parameters


def _encode_one(value: Any) -> tuple[int, bytes | None]:
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value)
    if not value:
        return _UNSAID, b"{}"  # of what, only the statement knows
    if isinstance(value[0], bytes):
        return _BYTEA_ARRAY, _array(_BYTEA, value)
    return _INT8_ARRAY, _array(_INT8_OID, [_INT8.pack(item) for item in value])


_ENCODERS: dict[type, Callable[[Any], tuple[int, bytes | None]]] = {
    bytes: lambda value: (_BYTEA, value),
    bool: lambda value: (_BOOL, bytes((value,))),
    int: lambda value: (_INT8_OID, _INT8.pack(value)),
    str: lambda value: (_TEXT, value.encode()),
    type(None): lambda value: (_UNSAID, value),
}


def _array(oid: int, items: Sequence[bytes]) -> bytes:
    parts = [_ARRAY.pack(1, 0, oid, len(items), 1)]
    for item in items:
        parts.append(len(item).to_bytes(4, "big"))
        parts.append(item)
    return b"".join(parts)


def _integer(raw: bytes) -> int:
    return int.from_bytes(raw, "big", signed=True)


_DECODERS: dict[int, Callable[[bytes], Any]] = {
    _BYTEA: bytes,
    20: _integer,
    21: _integer,
    23: _integer,
    _BOOL: lambda raw: raw == b"\x01",
    _TEXT: bytes.decode,
}


def _rows(result: PGresult) -> list[Row]:
    count = result.ntuples
    if not count:
        return []
    decoders = [_DECODERS[result.ftype(column)] for column in range(result.nfields)]
    value = result.get_value
    return [
        tuple(None if (raw := value(row, column)) is None else decode(raw) for column, decode in enumerate(decoders))
        for row in range(count)
    ]


_COMMIT = _Command(b"COMMIT")
_ROLLBACK = _Command(b"ROLLBACK")
