"""Every limit of a connection, with its unit and its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask of the server before it is told no.

    header_bytes: request line and headers, or trailers; a bearer token and a long search fit in 32 KiB.
    header_timeout_s, keep_alive_s, handshake_timeout_s: how long a connection may hold a place while saying nothing.
    body_bytes: the largest body of any face (a binary content of 1 GiB, and its envelope).
    body_bytes_per_s, body_grace_s: a body slower than this after the grace holds memory for nothing: closed with 408.
    stalled_write_s: a client that stops reading its answer is dropped.
    drain_bytes: how much of a refused body is read and thrown away, so that the client gets to read the refusal.
    connections, requests: at once in this process; above, 503 with Retry-After: a queue that grows answers nobody.
    handshakes: TLS handshakes under way at once in this process; one more, and the oldest goes: an honest one lasts
    milliseconds, and who says nothing must not use up the descriptors of those who speak.
    pipelined: requests that wait on one connection for the one before; 20 bytes sent are 2 kB held.
    """

    header_bytes: int = 32 * KIB
    header_timeout_s: float = 10.0
    keep_alive_s: float = 75.0
    handshake_timeout_s: float = 10.0
    body_bytes: int = GIB + 16 * MIB
    body_bytes_per_s: int = 2 * KIB
    body_grace_s: float = 15.0
    stalled_write_s: float = 30.0
    drain_bytes: int = 64 * MIB
    connections: int = 2_000
    requests: int = 256
    handshakes: int = 500
    pipelined: int = 64
    stop_grace_s: float = 20.0
    sweep_interval_s: float = 1.0


Refusal = Callable[[int, bytes], tuple[bytes, bytes]]
"""Makes the body of an answer given before any application runs: (status, accept-language) -> (content type, body)."""


def plain_refusal(status: int, _language: bytes) -> tuple[bytes, bytes]:
    """The refusal of a server without a face: the status and nothing else."""
    return b"text/plain; charset=utf-8", str(status).encode()
