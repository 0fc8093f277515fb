"""One HTTP/1.1 connection, with deadlines: uvicorn's protocol bounds nothing but the keep-alive.

A single sweep per second looks at every connection, so that a request costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from enum import IntEnum
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from hygie.server.limits import Limits, Refusal

CERTIFICATE_KEY = "hygie.certificate"  # in the scope: SHA-256 of the certificate that the client showed
_CONTINUE = b"HTTP/1.1 100 "  # the client waits for it before it sends its body


class Phase(IntEnum):
    """What a connection is doing."""

    IDLE = 0
    HEADERS = 1
    BODY = 2
    ANSWER = 3
    CLOSING = 4


class _Joined:
    """A transport that keeps the head of one answer until its body comes: one TLS record and one packet, not two.

    Measured: a small read costs 10 to 15 % less CPU.
    """

    __slots__ = ("_head", "_passing", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._passing = False

    def write(self, data: bytes) -> None:
        """Keep the first write, join it to the second, pass the others; an invitation to send the body goes at once."""
        if self._passing or data.startswith(_CONTINUE):
            self._transport.write(data)
        elif self._head:
            self._passing = True
            self._transport.write(self._head + data)
        else:
            self._head = data

    def flush(self) -> None:
        """Send a head that no body followed."""
        if not self._passing and self._head:
            self._passing = True
            self._transport.write(self._head)

    def close(self) -> None:
        """Close once what is kept was sent."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self._transport.is_closing()


class BoundedProtocol(HttpToolsProtocol):
    """A connection that cannot hold its place for ever, nor send more than it may.

    ``limits`` and ``refusal`` are given by the server that makes the class (see ``bounded``).
    """

    limits: Limits
    refusal: Refusal

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.access_log = False  # uvicorn's own would print paths and query strings
        self._phase = Phase.IDLE
        self._since = self.loop.time()
        self._bytes = 0  # of the body of the request under way
        self._unheard_bytes = 0  # since the parser last told of a body or of whole headers: it keeps them to itself
        self._drained_bytes = 0
        self._body_s = 0.0  # time spent waiting for the client's body, not time we made it wait
        self._close_after = False
        self._running: RequestResponseCycle | None = None  # ``cycle`` is the last one that came: it may wait its turn
        self._certificate = b""
        self._unsent_bytes = 0
        self._sent_at = 0.0  # when the client last took something of what waits for it

    # -- what asyncio calls ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection, after its handshake; over the cap it is told so and closed."""
        super().connection_made(transport)
        shown = transport.get_extra_info("ssl_object")
        der = shown.getpeercert(binary_form=True) if shown is not None else None
        self._certificate = hashlib.sha256(der).digest() if der else b""
        self._enter(Phase.HEADERS)  # a connection that says nothing at all is held to the same deadline
        if len(self.connections) > self.limits.connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def data_received(self, data: bytes) -> None:
        """Bytes: what is no body is bounded, headers, trailers, and headers sent while an answer is awaited."""
        if self._phase is Phase.CLOSING:
            return
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEADERS)
        self._unheard_bytes += len(data)
        super().data_received(data)
        if self._unheard_bytes > self.limits.header_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection: whoever works on an answer is told."""
        self._abandon()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        del msg
        self._refuse(HTTPStatus.BAD_REQUEST)

    # -- what the parser calls ------------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        """A request line and its headers: refused here when they, the announced body or the queue are too large."""
        if self._phase is Phase.CLOSING:
            return  # it came behind what was refused
        waits = self.cycle is not None and not self.cycle.response_complete
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        lengths = [value for name, value in self.headers if name == b"content-length"]
        self._enter(Phase.BODY)
        self._body_s = 0.0
        if size > self.limits.header_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif lengths and int(lengths[0]) > self.limits.body_bytes:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif len(self.pipeline) >= self.limits.pipelined if waits else len(self.tasks) >= self.limits.requests:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            if self._certificate:
                self.scope[CERTIFICATE_KEY] = self._certificate  # type: ignore[literal-required]
            super().on_headers_complete()
            self.headers = []  # what comes behind the body is no header (RFC 9110, section 6.5.1)
            if not waits:
                self._running = self.cycle
            joined = _Joined(self.transport)
            self.cycle.transport = cast(asyncio.Transport, joined)
            self.cycle.on_response = partial(self._answered, joined)
            self._linger(has_body=bool(lengths) or any(name == b"transfer-encoding" for name, _ in self.headers))

    def _linger(self, *, has_body: bool) -> None:
        """Keep a connection that was to close after its answer until the body has come.

        Closing with bytes unread makes the kernel reset the connection, and the client never reads its refusal.
        """
        self._close_after = has_body and not self.cycle.keep_alive
        if self._close_after:
            self.cycle.keep_alive = True

    def on_body(self, body: bytes) -> None:
        """A piece of body: bounded, and thrown away once the answer was given."""
        if self._phase is Phase.CLOSING:
            return
        self._unheard_bytes = 0
        self._bytes += len(body)
        if self._bytes > self.limits.body_bytes:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        if self.cycle.response_complete:
            self._drained_bytes += len(body)
            if self._drained_bytes > self.limits.drain_bytes:
                self._close()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request has come."""
        if self._phase is Phase.CLOSING:
            return
        super().on_message_complete()
        self._enter(Phase.IDLE if self.cycle.response_complete else Phase.ANSWER)
        if self._close_after and self.cycle.response_complete:
            self._close()

    def _answered(self, joined: _Joined) -> None:
        joined.flush()  # an answer without a body (HEAD, 304)
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """The whole answer was given; the body may still be on its way."""
        another_waits = bool(self.pipeline)
        self._running = self.pipeline[-1][0] if another_waits else None
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the sweep does it, and also after a body that outlived its answer
        if self._phase is Phase.ANSWER and not another_waits:
            self._enter(Phase.IDLE)
            if self._close_after:
                self._close()

    # -- deadlines ------------------------------------------------------------------------------------------------

    def sweep(self, now: float, elapsed_s: float) -> None:
        """Look at this connection once: close it when it is over a deadline.

        Args: now: the loop's time; elapsed_s: since the sweep before.
        """
        waited_s = now - self._since
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._sent_at = unsent_bytes, now
        if unsent_bytes:
            self._since = now  # the answer is still on its way: nothing else is due before it has arrived
            if now - self._sent_at > self.limits.stalled_write_s:
                self.transport.abort()
        elif self._phase is Phase.CLOSING:
            if waited_s > 1.0:
                self.transport.abort()
        elif self._phase is Phase.IDLE and waited_s > self.limits.keep_alive_s:
            self._close()
        elif self._phase is Phase.HEADERS and waited_s > self.limits.header_timeout_s:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self._phase is Phase.BODY and not self.flow.read_paused and not self.pipeline:
            self._body_s += elapsed_s
            slowest_bytes = self._body_s * self.limits.body_bytes_per_s
            if self._body_s > self.limits.body_grace_s and self._bytes < slowest_bytes:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self.loop.time()
        self._bytes = self._unheard_bytes = 0
        self._drained_bytes = 0

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer without an application, when the answer cannot be taken for another request's, and close."""
        if not self.transport.is_closing() and self._may_answer():
            headers = dict(self.scope["headers"]) if self.scope else {}
            kind, body = self.refusal(int(status), headers.get(b"accept-language", b""))
            lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), b"content-type: " + kind]
            lines += [b"content-length: %d" % len(body), b"connection: close"]
            if status is HTTPStatus.SERVICE_UNAVAILABLE:
                lines.append(b"retry-after: 1")
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self._close()

    def _may_answer(self) -> bool:
        """Whether what is refused comes next: a request before it that is not answered may have been stored."""
        cycle = self.cycle
        if cycle is None:
            return True
        if self._phase is Phase.BODY and cycle.scope is self.scope:  # refused for its body
            return not cycle.response_started and not self.pipeline
        return cycle.response_complete

    def _close(self) -> None:
        self._enter(Phase.CLOSING)
        self._abandon()
        self.transport.close()

    def _abandon(self) -> None:
        for cycle in (self._running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()


def bounded(limits: Limits, refusal: Refusal) -> type[BoundedProtocol]:
    """A protocol class with these limits: uvicorn wants a class, not an instance."""
    return cast(
        type[BoundedProtocol],
        type("LimitedProtocol", (BoundedProtocol,), {"limits": limits, "refusal": staticmethod(refusal)}),
    )
