"""One probe of one environment, through its public door, as a client would: TLS checked, bounded in time and size."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

from hygie.availability.errors import ProbeTargetError
from hygie.availability.minutes import DOWN, SLOW, UP

DEADLINE_S = 10.0  # of the whole probe
SLOW_MS = 2_000.0
TARGETS_BYTES_MAX = 1024 * 1024
ANSWER_BYTES_MAX = 256 * 1024
PLACE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}")
RESOURCE = re.compile(r"[A-Z][A-Za-z]{1,40}/[A-Za-z0-9.-]{1,64}")
TOKEN = re.compile(r"[!-~]{8,4096}")


@dataclass(frozen=True, slots=True)
class Door:
    """Where the platform is. authority: PEM to trust instead of the system's own."""

    host: str
    port: int
    authority: Path | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked. place: ``client/environment``; token, resource (``Patient/probe-1``): of a probe's account, empty
    where there is none: then the door alone is asked, for what is public."""

    place: str
    token: str = ""
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a probe saw. reason: ``200``, ``http-503``, ``read-404``, ``search-500``, ``timeout``, ``tls``,
    ``unreachable``, ``answer``."""

    state: str
    reason: str
    ms: int


def read_url(url: str, authority: Path | None) -> Door:
    """``https://host[:port]``. Raises: ProbeTargetError."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise ProbeTargetError(reason="url") from None
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.path.strip("/") or parts.query:
        raise ProbeTargetError(reason="url")
    return Door(parts.hostname, port, authority)


def read_target(text: str) -> Target:
    """``client/environment [token Type/id]``, as a line of a file. Raises: ProbeTargetError."""
    words = text.split()
    target = Target(*words) if len(words) in (1, 3) else None
    if target is None or not PLACE.fullmatch(target.place):
        raise ProbeTargetError(reason="place")
    if target.token and not (TOKEN.fullmatch(target.token) and RESOURCE.fullmatch(target.resource)):
        raise ProbeTargetError(reason="token, resource")
    return target


def read_targets(path: Path) -> list[Target]:
    """Every line of a file. Raises: ProbeTargetError; OSError."""
    with path.open("rb") as file:
        text = file.read(TARGETS_BYTES_MAX).decode("ascii", "replace")
    return [read_target(line) for line in text.splitlines() if line.strip()]


def ask(door: Door, target: Target, *, deadline_s: float = DEADLINE_S) -> Seen:
    """Ask once. Blocks, ``deadline_s`` at most. Raises nothing: whatever goes wrong is what a client would meet.

    With an account: the resource is read, then found by a search; both must succeed.
    """
    began = time.perf_counter()
    over = threading.Event()
    try:
        connection = _connect(door, deadline_s)
        watchdog = threading.Timer(deadline_s, _cut, (connection, over))
        watchdog.daemon = True
        watchdog.start()
        try:
            reason = _asked(connection, target)
        finally:
            watchdog.cancel()
            connection.close()
    except TimeoutError:
        reason = "timeout"
    except ssl.SSLError:
        reason = "tls"
    except (OSError, UnicodeError):
        reason = "unreachable"
    except (http.client.HTTPException, ValueError, AttributeError):  # the last: cut between two requests
        reason = "answer"
    spent_ms = (time.perf_counter() - began) * 1000
    if over.is_set():
        reason = "timeout"
    if reason != "200":
        return Seen(DOWN, reason, int(spent_ms))
    return Seen(SLOW if spent_ms > SLOW_MS else UP, reason, int(spent_ms))


def _connect(door: Door, deadline_s: float) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(door.authority) if door.authority else None)
    return http.client.HTTPSConnection(door.host, door.port, timeout=deadline_s, context=context)


def _cut(connection: http.client.HTTPSConnection, over: threading.Event) -> None:
    """A limit on each read would let an answer that comes byte by byte last for ever."""
    over.set()
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _asked(connection: http.client.HTTPSConnection, target: Target) -> str:
    if not target.token:
        status, _ = _get(connection, f"/{target.place}/fhir/metadata", "")
        return "200" if status == HTTPStatus.OK else f"http-{status}"
    base = f"/{target.place}/fhir"
    status, body = _get(connection, f"{base}/{target.resource}", target.token)
    kind, _, id_ = target.resource.partition("/")
    if status != HTTPStatus.OK or json.loads(body).get("id") != id_:
        return f"read-{status}"
    status, body = _get(connection, f"{base}/{kind}?_id={quote(id_)}", target.token)
    if status != HTTPStatus.OK or not json.loads(body).get("entry"):
        return f"search-{status}"
    return "200"


def _get(connection: http.client.HTTPSConnection, path: str, token: str) -> tuple[int, bytes]:
    headers = {"User-Agent": "hygie-availability", "Accept": "application/fhir+json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read(ANSWER_BYTES_MAX + 1) if token else b""
    if token and len(body) > ANSWER_BYTES_MAX:
        raise ValueError("size")
    return answer.status, body
