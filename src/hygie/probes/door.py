"""The FHIR door, knocked at without any right: refusals must be alike, and must leave their trace."""

from __future__ import annotations

import http.client
import secrets
import ssl
import time
from pathlib import Path

from hygie.base.settings import Settings
from hygie.proof.facts import DoorFacts

TIMEOUT_S = 5.0
HIDDEN = "/probe/probe/fhir/Patient/probe"  # a place that exists nowhere


def probe_door(settings: Settings, authority: Path | None) -> DoorFacts:
    """Ask without a token, with an unknown one, and for what is public. Blocks.

    Args: authority: PEM to trust; None: the system's own. Raises: OSError: nobody answers.
    """
    agent = f"hygie-status/{secrets.token_hex(6)}"
    context = ssl.create_default_context(cafile=str(authority) if authority else None)
    host = "127.0.0.1" if settings.host.address in {"0.0.0.0", "::"} else settings.host.address  # noqa: S104
    connection = http.client.HTTPSConnection(host, settings.host.port, timeout=TIMEOUT_S, context=context)
    sent_at_ms = time.time_ns() // 1_000_000
    try:
        nobody, first = _ask(connection, HIDDEN, agent, "")
        stranger, second = _ask(connection, HIDDEN, agent, f"hyg_{secrets.token_urlsafe(32)}")
        began = time.perf_counter()
        public, _ = _ask(connection, "/probe/probe/fhir/metadata", agent, "")
        spent_ms = (time.perf_counter() - began) * 1000
    finally:
        connection.close()
    return DoorFacts(agent, 2, sent_at_ms, nobody, stranger, first == second, public, spent_ms)


def _ask(connection: http.client.HTTPSConnection, path: str, agent: str, token: str) -> tuple[int, bytes]:
    headers = {"User-Agent": agent, "Accept": "application/fhir+json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()
