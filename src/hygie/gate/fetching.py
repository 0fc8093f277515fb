"""One HTTP request to an address outside, in a time that holds for the whole of it: name, handshake, each byte.

Sources: RFC 9110, RFC 9112; the parser is Node.js's.  A time for each read would let who sends a byte now and then hold
us for ever, and a thread cannot be stopped: so no thread waits here, and the connection goes with the deadline.  No
redirection is followed, and little is read.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

HEAD_BYTES_MAX = 32 * 1024
_PIECE = 16 * 1024
_FRAMED = frozenset({b"content-length", b"transfer-encoding"})


class Fetched(NamedTuple):
    """What an address answered. content_type: as it says it, or nothing."""

    status: int
    content_type: str
    body: bytes


class _Reply:
    """What the parser tells of one answer; what comes before the last one (103 Early Hints) is forgotten."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.done = False
        self.on_message_begin()

    def on_message_begin(self) -> None:
        if self.done:
            raise ValueError("a second answer")
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.has_head = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.done = self.parser.get_status_code() >= 200

    def end(self) -> bool:
        """The other side sends no more: whether that ends the answer (RFC 9112, 6.3)."""
        return self.has_head and not self.fields.keys() & _FRAMED and self.parser.get_status_code() >= 200


async def fetch(
    url: str,
    *,
    tls: ssl.SSLContext,
    within_s: float,
    bytes_max: int,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Fetched:
    """GET an address, or POST a body to it.

    Args: url: http or https; tls: whom to trust; within_s: for all of it; bytes_max: of the answer's body.
    Raises: OSError: no answer in time, no HTTP, too large, or an address or a header that cannot be sent.
    """
    try:
        async with asyncio.timeout(within_s):
            return await _exchange(url, tls, _request(url, headers or {}, body), bytes_max)
    except (ValueError, httptools.HttpParserError) as error:
        raise OSError(type(error).__name__) from error  # ValueError: no host name can be made of it


def _request(url: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """The bytes of a request. Raises: ValueError: a part of it would end its line."""
    parts = urlsplit(url)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    fields = {"host": parts.netloc, **headers, "connection": "close"}
    if body is not None:
        fields["content-length"] = str(len(body))
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise ValueError("not a line")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (body or b"")


async def _exchange(url: str, tls: ssl.SSLContext, request: bytes, bytes_max: int) -> Fetched:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname or "", port, ssl=tls if secure else None)
    try:
        writer.write(request)
        await writer.drain()
        reply, read = _Reply(), 0
        while not reply.done:
            piece = await reader.read(_PIECE)
            if not piece:
                break
            read += len(piece)
            reply.parser.feed_data(piece)
            if read > bytes_max + HEAD_BYTES_MAX or len(reply.body) > bytes_max:
                raise OSError("too large")
        if not reply.done and not reply.end():
            raise OSError("cut short")
        content_type = reply.fields.get(b"content-type", b"").decode("latin-1")
        return Fetched(reply.parser.get_status_code(), content_type, reply.body)
    finally:
        writer.transport.abort()
