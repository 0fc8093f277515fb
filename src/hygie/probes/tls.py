"""Handshakes really tried on the served port: a good client's, then the offers that must be refused.

The weak offers are written by hand, byte by byte (RFC 5246, 7.4.1.2): this machine's own OpenSSL may refuse to make
them, and its refusal would be taken for the server's.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hygie.proof.facts import TlsFacts

TIMEOUT_S = 5.0
_TLS10, _TLS11, _TLS12 = 0x0301, 0x0302, 0x0303
_ALERT, _HANDSHAKE = 0x15, 0x16  # kinds of records
_FATAL, _SERVER_HELLO = 0x02, 0x02  # what their first byte says
_ECDHE_CBC = (0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028)
_STATIC_RSA = (0x009C, 0x009D, 0x002F, 0x0035, 0x003C, 0x003D)
WEAK_OFFERS: dict[str, tuple[int, Sequence[int]]] = {
    "TLS 1.0": (_TLS10, (*_ECDHE_CBC[:4], *_STATIC_RSA[2:4])),
    "TLS 1.1": (_TLS11, (*_ECDHE_CBC[:4], *_STATIC_RSA[2:4])),
    "TLS 1.2, RSA key exchange": (_TLS12, _STATIC_RSA),
    "TLS 1.2, CBC": (_TLS12, _ECDHE_CBC),
}
_GROUPS = (29, 23, 24, 25)
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)


def probe_tls(address: str, port: int, authority: Path | None) -> TlsFacts:
    """Try the handshakes. Blocks. Args: authority: PEM to trust; None: the system's own.

    Raises: OSError: nobody answers.
    """
    host = "127.0.0.1" if address in {"0.0.0.0", "::", ""} else address  # noqa: S104 (compared, not bound)
    own = authority is not None
    trusting = ssl.create_default_context(cafile=str(authority) if authority else None)
    try:
        found, trusted = _handshake(host, port, trusting), True
    except ssl.SSLCertVerificationError:
        found, trusted = _handshake(host, port, _without_trust()), False
    version, cipher, certificate = found
    return TlsFacts(
        address=f"{host}:{port}",
        version=version,
        cipher=cipher,
        forward_secret=version == "TLSv1.3" or cipher.startswith(("ECDHE-", "DHE-")),
        trusted=trusted,
        own=own,
        ends_ms=_ends_ms(certificate),
        offers={name: offer(host, port, *how) for name, how in WEAK_OFFERS.items()},
    )


def offer(host: str, port: int, version: int, suites: Sequence[int]) -> str:
    """What the server does with one ClientHello: ``accepted``, ``refused`` (an alert, or it hangs up), ``unclear``."""
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(client_hello(version, suites))
        try:
            head = exactly(connection, 5)
            body = exactly(connection, min(int.from_bytes(head[3:5], "big"), 4))
        except ConnectionError:
            return "refused"  # no hello came back: nothing can be said on such a connection
        except OSError:
            return "unclear"
    kind = body[0] if body else 0  # a record may be empty
    if head[0] == _ALERT and kind == _FATAL:
        return "refused"
    if head[0] == _HANDSHAKE and kind == _SERVER_HELLO:
        return "accepted"
    return "unclear"


def client_hello(version: int, suites: Sequence[int], more: bytes = b"") -> bytes:
    """A ClientHello of at most ``version``, with what a willing server needs to accept these suites. Args: more: its
    other extensions, encoded."""
    extensions = b"".join(
        (
            extension(0xFF01, b"\x00"),
            extension(10, _vector(_GROUPS)),
            extension(11, b"\x01\x00"),
            extension(13, _vector(_SIGNATURES)),
            more,
        )
    )
    body = b"".join(
        (
            version.to_bytes(2, "big"),
            os.urandom(32),
            b"\x00",
            _vector(suites),
            b"\x01\x00",
            len(extensions).to_bytes(2, "big"),
            extensions,
        )
    )
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake


def _handshake(host: str, port: int, context: ssl.SSLContext) -> tuple[str, str, dict[str, Any]]:
    with (
        socket.create_connection((host, port), timeout=TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        cipher = connection.cipher()
        certificate: dict[str, Any] = connection.getpeercert() or {}
        return connection.version() or "", cipher[0] if cipher else "", certificate


def _without_trust() -> ssl.SSLContext:
    """To see what an untrusted server would negotiate; nothing is sent on it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _ends_ms(certificate: dict[str, Any]) -> int:
    ends = certificate.get("notAfter")
    if not isinstance(ends, str):
        return 0
    return int(datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC).timestamp() * 1000)


def exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes. Raises: ConnectionError: it hung up before; OSError."""
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def _vector(values: Sequence[int]) -> bytes:
    return (2 * len(values)).to_bytes(2, "big") + b"".join(value.to_bytes(2, "big") for value in values)


def extension(kind: int, data: bytes) -> bytes:
    """One extension of a hello (RFC 8446, 4.2)."""
    return kind.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data
