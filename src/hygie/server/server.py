"""Serve an ASGI application over HTTPS, alone or in several processes that share one port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any

from uvicorn import Config
from uvicorn import Server as UvicornServer

from hygie.server.accept import Acceptor
from hygie.server.errors import TlsFileError
from hygie.server.limits import Limits, Refusal, plain_refusal
from hygie.server.protocol import BoundedProtocol, bounded
from hygie.server.tls import LiveTls

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BACKLOG = 1024
ROUTE_KEY = "hygie.route"  # an application writes there a constant such as "Patient/{id}", the only path that is logged

_log = logging.getLogger("hygie.server")
_access = logging.getLogger("hygie.access")


def listen(host: str, port: int, *, share: bool = False) -> socket.socket:
    """A listening socket.

    Args: port: 0 takes a free one; share: let other processes listen on the same port (``SO_REUSEPORT``).
    A parent that starts several processes rather listens once and lets them inherit the socket: the process that
    is free accepts, where ``SO_REUSEPORT`` chooses by a hash of addresses, blind to who is busy.
    Raises: OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        listener.set_inheritable(True)
    except OSError:
        listener.close()
        raise
    return listener


class HttpServer:
    """An application, its TLS files and its limits, until ``stop``.

    Args: application: any ASGI 3 callable; tls: None serves clear HTTP, for tests and sockets behind a front;
    refusal: makes the body of answers given before the application runs; access_log: one line per request.
    """

    def __init__(
        self,
        application: Application,
        *,
        tls: LiveTls | None,
        limits: Limits | None = None,
        refusal: Refusal = plain_refusal,
        access_log: bool = False,
    ) -> None:
        self.limits = limits or Limits()
        self.tls = tls
        self._protocol = bounded(self.limits, refusal)
        guarded = _Guard(application, access_log=access_log)
        self._config = Config(
            guarded,
            http=self._protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(self.limits.stop_grace_s),
        )
        self._server = _Server(self._config, tls, self.limits)
        self.started = self._server.ready

    async def serve(self, listeners: Sequence[socket.socket]) -> None:
        """Serve on these sockets until ``stop``; open requests get ``stop_grace_s`` to end."""
        background = [asyncio.create_task(self._sweep())]
        if self.tls is not None:
            background.append(asyncio.create_task(self.tls.watch()))
        try:
            await self._server.serve(sockets=list(listeners))
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    async def serve_until_signal(self, listeners: Sequence[socket.socket]) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP loads the certificate again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload_certificate)
        try:
            await self.serve(listeners)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Take no new connection, let open requests end, then return from ``serve``."""
        self._server.should_exit = True

    def reload_certificate(self) -> None:
        """Load the certificate files again now; files that cannot be used leave the old ones in service."""
        if self.tls is None:
            return
        try:
            self.tls.reload_if_changed(force=True)
            _log.info("TLS certificate reloaded")
        except TlsFileError as error:
            _log.warning("%s", error)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(self.limits.sweep_interval_s)
            now = loop.time()
            for connection in list(self._server.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.sweep(now, now - before)
            before = now


class _Server(UvicornServer):
    """Uvicorn's server with our listeners: a live TLS context, a bound on handshakes, and no signal handling."""

    def __init__(self, config: Config, tls: LiveTls | None, limits: Limits) -> None:
        super().__init__(config)
        self._tls = tls
        self._limits = limits
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {
                "ssl": self._tls.context,
                "ssl_handshake_timeout": self._limits.handshake_timeout_s,
                "ssl_shutdown_timeout": 2.0,
            }
        self.servers = [
            Acceptor(  # type: ignore[misc]
                listener,
                self._connection,
                open_connections=lambda: len(self.server_state.connections),
                handshakes_max=self._limits.handshakes,
                options=tls,
            )
            for listener in sockets or ()
        ]
        self.started = True
        self.ready.set()

    def _connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


class _Guard:
    """Around the application: no exception gets further, and the access log says nothing about anybody."""

    def __init__(self, application: Application, *, access_log: bool) -> None:
        self._application = application
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status = 0
        started = time.perf_counter()

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._application(scope, receive, watched)
        except Exception as error:  # the application's last line: what it let through is told to nobody but the log
            incident = secrets.token_hex(8)
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
            # no exc_info: the exception's arguments may hold data
            _log.error("incident %s: %s at %s", incident, type(error).__name__, place)
            if status == 0:
                await watched({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
                await watched({"type": "http.response.body", "body": b""})
        if self._access_log:
            elapsed_ms = (time.perf_counter() - started) * 1000
            _access.info("%s %s %d %.1f", scope["method"], scope.get(ROUTE_KEY, "-"), status, elapsed_ms)
