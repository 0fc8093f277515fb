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
IN_FLIGHT_MAX = 200  # under the server's limit per connection
_CALLS = 2**32


class KmsClient(KmsCalls):
    """The Kms protocol over the unix socket. One per process and event loop; safe for concurrent callers.

    A question that was sent before its connection broke is not sent again: its outcome is unknown to the client,
    which raises KmsUnavailableError; every mutation of the KMS may be asked again safely (a second epoch may open).
    """

    def __init__(self, socket: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._call = 0
        self._closed = False

    async def ask(self, question: Question, kind: Any) -> Any:
        """See KmsCalls.ask. Raises: KmsUnavailableError: no KMS, a broken connection, or TIMEOUT_S passed."""
        call = self._call = (self._call + 1) % _CALLS
        frame = question_frame(call, question)
        try:
            async with asyncio.timeout(self._timeout_s), self._room:
                body = await self._carry(call, frame)
        except TimeoutError as error:
            raise KmsUnavailableError(part="kms, no answer in time") from error
        except (OSError, EOFError) as error:
            raise KmsUnavailableError(part="kms") from error
        return read_answer(body, kind)

    async def close(self) -> None:
        """Close the connection; what waits is refused."""
        self._closed = True
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    async def _carry(self, call: int, frame: bytes) -> bytes:
        writer = await self._connection()
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[call] = future
        try:
            writer.write(frame)
            await writer.drain()
            return await future
        finally:
            self._waiting.pop(call, None)

    async def _connection(self) -> asyncio.StreamWriter:
        async with self._opening:
            if self._closed:
                raise KmsUnavailableError(part="kms client closed")
            if self._writer is None:
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                self._writer = writer
                self._reader = asyncio.create_task(self._read(reader, writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand each answer to who waits for it, until the connection ends."""
        try:
            while True:
                size = HEAD.unpack(await reader.readexactly(HEAD.size))[0]
                if not CALL.size < size <= ANSWER_BYTES_MAX:
                    break
                body = await reader.readexactly(size)
                future = self._waiting.get(CALL.unpack_from(body)[0])
                if future is not None and not future.done():
                    future.set_result(body[CALL.size :])
        except (OSError, EOFError):
            pass  # the KMS went away: those who wait are told below
        finally:
            self._writer = None
            writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(KmsUnavailableError(part="kms, connection lost"))
            with contextlib.suppress(OSError):
                await writer.wait_closed()
