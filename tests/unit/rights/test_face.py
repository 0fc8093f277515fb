"""What the door of rights says of itself in headers, and what it reads of strangers: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, cast

import pytest

from hygie.base.errors import HygieError, UnavailableError
from hygie.gate.errors import AuthenticationError, RateLimitedError, TooManyRefusalsError
from hygie.gate.rights_desk import RightsDesk
from hygie.rights.face import RightsFace


class Desk:
    """Refuses whatever is asked."""

    def __init__(self, error: HygieError) -> None:
        self.error = error

    async def requests(self, _: object) -> object:
        raise self.error

    async def recognise(self, _: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (RateLimitedError(limit="account", retry_after_s=7), 429, b"7"),
        (TooManyRefusalsError(part="gate", retry_after_s=60), 429, b"60"),
        (UnavailableError(part="gate"), 503, b"60"),
    ],
)
def test_who_is_to_wait_is_told_how_long(error: HygieError, status: int, retry_after: bytes) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    scope = {"method": "GET", "path": "/chu/prod/rights/requests", "headers": [], "client": ("127.0.0.1", 1)}
    asyncio.run(RightsFace(cast("RightsDesk", Desk(error)))(scope, receive, send))
    assert sent[0]["status"] == status
    assert dict(sent[0]["headers"])[b"retry-after"] == retry_after


def test_what_a_stranger_sends_is_not_read() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("read")

    headers = [(b"content-type", b"application/json")]
    scope = {"method": "POST", "path": "/chu/prod/rights/requests", "headers": headers, "client": ("127.0.0.1", 1)}
    asyncio.run(RightsFace(cast("RightsDesk", Desk(AuthenticationError())))(scope, receive, send))
    assert sent[0]["status"] == 401
