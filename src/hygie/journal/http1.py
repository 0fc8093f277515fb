"""The little HTTP/1.1 that the witness protocol needs, on asyncio streams, over TCP, with TLS or not, or a unix socket.

One request at a time, bodies with Content-Length only, everything bounded.  The witness must stay small enough to be
read whole by the administrator who runs it, so it takes no web framework.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

HEAD_BYTES_MAX = 8 * 1024
BODY_BYTES_MAX = 64 * 1024  # 63 proof lines of 45 bytes and a checkpoint with many signatures
EXCHANGE_S_MAX = 10.0  # a slow client gives its place back
CONNECTIONS_MAX = 64

_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    411: "Length Required",
    413: "Content Too Large",
    422: "Unprocessable Entity",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Request(NamedTuple):
    """Method, path without its query, body."""

    method: str
    path: str
    body: bytes


class Answer(NamedTuple):
    """Status, body, type of content."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class ProtocolError(Exception):
    """The other side does not speak the protocol; ``status`` is what it gets."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


Handler = Callable[[Request], Awaitable[Answer]]


class Url(NamedTuple):
    """Where a server answers over TCP. prefix: of its paths, without the final slash."""

    tls: bool
    host: str
    port: int
    prefix: str

    @property
    def authority(self) -> str:
        """``host:port``, as the Host field says it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_url(address: str) -> Url:
    """Read ``http://host:port/prefix``, ``https://…``, or ``host:port``. Raises: ValueError: it is none of them."""
    if "://" not in address:
        return Url(False, *split_address(address), "")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("not a URL of a server")
    tls = parts.scheme == "https"
    return Url(tls, parts.hostname, parts.port or (443 if tls else 80), parts.path.rstrip("/"))


def is_socket_path(address: str) -> bool:
    """Whether an address is a unix socket's path; else it is a URL or ``host:port``."""
    return "/" in address and "://" not in address


def split_address(address: str) -> tuple[str, int]:
    """Host and port. Raises: ValueError: not ``host:port``."""
    host, separator, port = address.rpartition(":")
    if not separator or not host:
        raise ValueError("not host:port")
    return host.strip("[]"), int(port)


async def start_server(address: str, handler: Handler, *, tls: ssl.SSLContext | None = None) -> asyncio.Server:
    """Listen on a unix socket's path or on host:port, there with TLS if asked. Raises: OSError, ValueError."""
    places = asyncio.Semaphore(CONNECTIONS_MAX)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if places.locked():
                await _send(writer, Answer(503), keep=False)
                return
            async with places:
                while await _exchange(reader, writer, handler):
                    pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return  # the client went away or is too slow: nothing was promised
        finally:
            writer.close()

    if is_socket_path(address):
        return await asyncio.start_unix_server(serve, address, limit=HEAD_BYTES_MAX)
    host, port = split_address(address)
    hurry_s = EXCHANGE_S_MAX if tls is not None else None  # a handshake that crawls is not held for a minute
    return await asyncio.start_server(serve, host, port, limit=HEAD_BYTES_MAX, ssl=tls, ssl_handshake_timeout=hurry_s)


async def request(
    address: str, method: str, path: str, body: bytes = b"", *, tls: ssl.SSLContext | None = None
) -> Answer:
    """One exchange on a connection of its own.

    Args: address: a unix socket's path, a URL, or ``host:port``; tls: for ``https``, whom to trust (the system's
    authorities by default).
    Raises: OSError, TimeoutError: no answer, or not the server of that name; ProtocolError: not HTTP, or too large.
    """
    host, prefix = "witness", ""
    async with asyncio.timeout(EXCHANGE_S_MAX):
        if is_socket_path(address):
            reader, writer = await asyncio.open_unix_connection(address, limit=HEAD_BYTES_MAX)
        else:
            url = parse_url(address)
            host, prefix = url.authority, url.prefix
            reader, writer = await asyncio.open_connection(
                url.host, url.port, limit=HEAD_BYTES_MAX, ssl=(tls or True) if url.tls else None
            )
        try:
            first = f"{method} {prefix}{path} HTTP/1.1"
            fields = f"Host: {host}\r\nContent-Length: {len(body)}\r\nConnection: close"
            writer.write(f"{first}\r\n{fields}\r\n\r\n".encode() + body)
            await writer.drain()
            status_line, answered = await _read_head(reader)
            parts = status_line.split(" ", 2)
            if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
                raise ProtocolError(400)
            content = await _read_body(reader, answered)
            return Answer(int(parts[1]), content, answered.get("content-type", ""))
        except asyncio.IncompleteReadError as error:
            raise ProtocolError(400) from error
        finally:
            writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> bool:
    """Read one request and answer it; whether the connection stays open."""
    async with asyncio.timeout(EXCHANGE_S_MAX):
        try:
            received, keep = await _read_request(reader)
        except ProtocolError as error:
            await _send(writer, Answer(error.status), keep=False)
            return False
        await _send(writer, await handler(received), keep=keep)
        return keep


async def _read_request(reader: asyncio.StreamReader) -> tuple[Request, bool]:
    first, fields = await _read_head(reader)
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise ProtocolError(400)
    body = await _read_body(reader, fields) if parts[0] == "POST" else b""
    keep = parts[2] == "HTTP/1.1" and fields.get("connection", "").lower() != "close"
    return Request(parts[0], parts[1].partition("?")[0], body), keep


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ProtocolError(413) from error
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.partition(":")
        name = name.lower()
        if not separator or not name or name != name.strip() or name in fields:
            raise ProtocolError(400)  # folded, repeated or nameless fields: ways to smuggle a second request
        fields[name] = value.strip()
    return first, fields


async def _read_body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    length = fields.get("content-length", "")
    if "transfer-encoding" in fields or not (length.isascii() and length.isdigit()):
        raise ProtocolError(411)
    if len(length) > 9 or int(length) > BODY_BYTES_MAX:
        raise ProtocolError(413)
    return await reader.readexactly(int(length))


async def _send(writer: asyncio.StreamWriter, answer: Answer, *, keep: bool) -> None:
    head = (
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}\r\n"
        f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    writer.write(head.encode() + answer.body)
    await writer.drain()
