"""Small bodies of callers whom nobody knows yet: few bytes, in a short time."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from hygie.server import bodies
from hygie.server.bodies import SmallBodyError, read_small


def read(*messages: dict[str, Any], bytes_max: int = 10) -> bytes:
    """What is read of these messages, after which nothing comes any more."""
    waiting = list(messages)

    async def receive() -> MutableMapping[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return asyncio.run(read_small(receive, bytes_max))


def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_is_read_to_its_end() -> None:
    assert read(piece(b"a=1"), piece(b"&b=2", more=False)) == b"a=1&b=2"
    assert read({"type": "http.request"}) == b""


def test_one_that_is_too_large_or_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SmallBodyError, match="size"):
        read(piece(b"x" * 11))
    monkeypatch.setattr(bodies, "SMALL_BODY_S_MAX", 0.05)
    with pytest.raises(SmallBodyError, match="time"):
        read(piece(b"a="))
    with pytest.raises(ConnectionResetError):
        read(piece(b"a="), {"type": "http.disconnect"})
