"""A lean HTTPS client, so that what is measured is the server: one connection, one process, blocking sockets."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Target:
    """What ``connection.json`` says."""

    base_url: str
    ca_file: str
    token: str

    @classmethod
    def load(cls, path: Path) -> Target:
        return cls(**{k: v for k, v in json.loads(path.read_text()).items() if k in ("base_url", "ca_file", "token")})


class Connection:
    """One kept-alive HTTPS connection."""

    def __init__(self, target: Target) -> None:
        url = urlsplit(target.base_url)
        raw = socket.create_connection((url.hostname, url.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = _context(target.ca_file).wrap_socket(raw, server_hostname=url.hostname)
        self._path = url.path
        self._head = f"Host: {url.netloc}\r\nAuthorization: Bearer {target.token}\r\nAccept: application/fhir+json\r\n"
        self._buffer = b""

    def request(self, path: str) -> bytes:
        """The bytes of a GET below the base."""
        return f"GET {self._path}{path} HTTP/1.1\r\n{self._head}\r\n".encode()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET."""
        self.socket.sendall(self.request(path))
        return self._answer()

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of a POST."""
        head = (
            f"POST {self._path}{path} HTTP/1.1\r\n{self._head}Content-Type: application/fhir+json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)
        return self._answer()

    def close(self) -> None:
        """Give the connection back."""
        self.socket.close()

    def _answer(self) -> tuple[int, bytes]:
        data = self._buffer
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed")
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        status = int(head[9:12])
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        parts = [body]
        have = len(body)
        while have < length:
            more = self.socket.recv(min(262_144, length - have))
            if not more:
                raise ConnectionError("closed")
            parts.append(more)
            have += len(more)
        whole = b"".join(parts)
        self._buffer = whole[length:]
        return status, whole[:length]


_contexts: dict[str, ssl.SSLContext] = {}


def _context(ca_file: str) -> ssl.SSLContext:
    """One for each authority: reading it takes longer than a handshake."""
    if ca_file not in _contexts:
        _contexts[ca_file] = ssl.create_default_context(cafile=ca_file)
    return _contexts[ca_file]


def percentile(values: Sequence[float], share: float) -> float:
    """The value under which ``share`` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
