"""A small body, read by a face whose callers nobody knows yet: few bytes, in a short time.

The connection's own deadline is for large bodies of known clients.  Here each one who sends nothing of what he
announced holds a place of the process for nobody: some hundred would shut the door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

SMALL_BODY_S_MAX = 3.0  # a form comes in the packet after its headers; the slowest of networks takes a second

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class SmallBodyError(Exception):
    """It is none; the text names why: ``size`` or ``time``."""


async def read_small(receive: Receive, bytes_max: int) -> bytes:
    """The body of a request. Raises: SmallBodyError; ConnectionResetError: the client went away."""
    try:
        async with asyncio.timeout(SMALL_BODY_S_MAX):
            return await _read(receive, bytes_max)
    except TimeoutError as error:
        raise SmallBodyError("time") from error


async def _read(receive: Receive, bytes_max: int) -> bytes:
    raw, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        raw += message.get("body", b"")
        more = message.get("more_body", False)
        if len(raw) > bytes_max:
            raise SmallBodyError("size")
    return raw
