"""The hosting processes' way to the KMS: pipelined questions on one connection, opened again when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from hygie.keys.calls import KmsCalls
from hygie.keys.errors import KmsUnavailableError
from hygie.keys.messages import ANSWER_BYTES_MAX, CALL, HEAD, Question, question_frame, read_answer

TIMEOUT_S = 10.0  # a slow disk's fsync behind a full group takes under 1 s; scrypt in production under 2 s
IN_FLIGHT_MAX = 48  # under the server's limit per connection
_CALLS = 2**32


class KmsClient(KmsCalls):
    """The Kms protocol over the unix socket. One per process and event loop; safe for concurrent callers.

    A question that was sent before its connection broke is not sent again: its outcome is unknown to the client,
    which raises KmsUnavailableError; every mutation of the KMS may be asked again safely (a second epoch may open).
    """

    def __init__(self, socket: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._link: _Link | None = None
        self._opening = asyncio.Lock()
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._call = 0
        self._closed = False

    async def ask(self, question: Question, kind: Any) -> Any:
        """See KmsCalls.ask. Raises: KmsUnavailableError: no KMS, a broken connection, or no answer in time."""
        call = self._call = (self._call + 1) % _CALLS
        frame = question_frame(call, question)
        try:
            async with asyncio.timeout(self._timeout_s), self._room:
                link = await self._connected()
                body = await link.carry(call, frame)
        except TimeoutError as error:
            raise KmsUnavailableError(part="kms, no answer in time") from error
        except (OSError, EOFError) as error:
            raise KmsUnavailableError(part="kms") from error
        return read_answer(body, kind)

    async def close(self) -> None:
        """Close the connection; what waits is refused."""
        self._closed = True
        if self._link is not None:
            await self._link.close()

    async def _connected(self) -> _Link:
        async with self._opening:
            if self._closed:
                raise KmsUnavailableError(part="kms client closed")
            if self._link is None or self._link.broken:
                self._link = _Link(*await asyncio.open_unix_connection(str(self._socket)))
            return self._link


class _Link:
    """One connection: questions out, answers handed to who waits for them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._ended = False
        self._task = asyncio.create_task(self._read(reader))

    @property
    def broken(self) -> bool:
        """Nothing more can be asked here: the end was read, or a write failed."""
        return self._ended or self._writer.is_closing()

    async def carry(self, call: int, frame: bytes) -> bytes:
        """Send one question and wait for its answer. Raises: OSError, EOFError: the connection broke."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[call] = future
        try:
            self._writer.write(frame)
            await self._writer.drain()
            return await future
        finally:
            self._waiting.pop(call, None)
            if future.done() and not future.cancelled():
                future.exception()  # told by drain already; looked at, so that the loop does not report it again

    async def close(self) -> None:
        """End the connection."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                size = HEAD.unpack(await reader.readexactly(HEAD.size))[0]
                if not CALL.size < size <= ANSWER_BYTES_MAX:
                    return
                body = await reader.readexactly(size)
                future = self._waiting.get(CALL.unpack_from(body)[0])
                if future is not None and not future.done():
                    future.set_result(body[CALL.size :])
        except (OSError, EOFError):
            return  # the KMS went away: those who wait are told below
        finally:
            self._ended = True
            self._writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionResetError())
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
