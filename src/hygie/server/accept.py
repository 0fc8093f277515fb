"""Take connections from a socket that several processes share, so that the least busy process takes the next one.

Every process sees a waiting connection at once; one that already serves some waits a moment before it reaches for it,
longer the more it has.  A connection is kept alive for thousands of requests, so who takes it matters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

MODESTY_S = 0.002  # wait for each connection already open: above the time a free process needs to wake up
MODESTY_S_MAX = 0.02  # a client never waits longer for its handshake because everybody is busy

TELL_S = 60.0  # between two warnings of dropped handshakes

log = logging.getLogger("hygie.server")


class Acceptor:
    """Accepts on one listener until closed; has what uvicorn asks of an ``asyncio.Server``.

    Args: protocol: makes the protocol of a connection; open_connections: how many this process serves now;
    handshakes_max: under way at once, see ``Limits``; options: ``ssl`` and its timeouts, as
    ``loop.connect_accepted_socket`` takes them.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        *,
        open_connections: Callable[[], int],
        handshakes_max: int,
        options: dict[str, Any],
    ) -> None:
        self.sockets = (listener,)
        self._descriptor = listener.fileno()
        self._protocol = protocol
        self._open_connections = open_connections
        self._options = options
        self._handshakes: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._handshakes_max = handshakes_max
        self._told_s = -TELL_S
        self._task = asyncio.create_task(self._run(listener))

    def close(self) -> None:
        """Take no more connections. The listener may be closed right after."""
        self._task.cancel()
        asyncio.get_running_loop().remove_reader(self._descriptor)

    async def wait_closed(self) -> None:
        """Until the loop has ended."""
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self, listener: socket.socket) -> None:
        while True:
            await _readable(self._descriptor)
            await asyncio.sleep(min(self._open_connections() * MODESTY_S, MODESTY_S_MAX))
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # another process took it, or its client went away
            except OSError as error:
                log.warning("accept: %s", type(error).__name__)
                await asyncio.sleep(MODESTY_S_MAX)  # no descriptor left: let some connections end
                continue
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if len(self._handshakes) >= self._handshakes_max:
                self._drop_oldest()
            task = asyncio.create_task(self._connect(connection))
            self._handshakes[task] = None
            task.add_done_callback(self._ended)

    def _drop_oldest(self) -> None:
        """Its connection is closed by the end of its task."""
        oldest = next(iter(self._handshakes))
        del self._handshakes[oldest]
        oldest.cancel()
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            log.warning("over %d handshakes under way: the oldest are dropped", self._handshakes_max)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection, **self._options)
        except (OSError, TimeoutError):
            connection.close()  # a handshake that failed is the client's affair


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    waiting = loop.create_future()

    def wake() -> None:
        loop.remove_reader(descriptor)
        if not waiting.done():
            waiting.set_result(None)

    loop.add_reader(descriptor, wake)
    await waiting
