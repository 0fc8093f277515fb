"""Public keys that an application publishes at an address of its own: fetched over HTTPS, kept, asked again seldom.

The address is one that an operator registered, never one that a request names.  No redirection is followed, little is
read, and an address that does not answer leaves the keys it gave before in use until they are an hour old.  An answer
that crawls is given up after some seconds, and nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic

from hygie.gate.clients import JWKS_BYTES_MAX, PublicJwk, parse_jwks
from hygie.gate.errors import ClientKeyError
from hygie.gate.fetching import fetch

FRESH_S = 300.0  # a key that was withdrawn there is out of use here after this
KEPT_S = 3_600.0
AGAIN_S = 30.0  # between two fetches of an address, whatever came of the first: nobody makes us a hammer
FETCH_S_MAX = 3.0  # for all of a fetch

Fetch = Callable[[str], Awaitable[bytes]]

log = logging.getLogger("hygie.gate")


@dataclass(slots=True)
class _Kept:
    keys: Sequence[PublicJwk]
    fetched_s: float


class JwksSource:
    """One per process. Args: asks: gets the bytes at an address, in bounded time, and raises OSError or
    ClientKeyError; over HTTPS, from a server that the system's authorities vouch for, by default."""

    def __init__(self, asks: Fetch | None = None) -> None:
        self._fetch = asks or _https()
        self._kept: dict[str, _Kept] = {}
        self._asked_s: dict[str, float] = {}  # addresses that never answered too
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def keys(self, url: str, kid: str) -> Sequence[PublicJwk]:
        """The keys published there; asked again when they are old or lack ``kid``.

        Raises: ClientKeyError: no answer that is a set of keys, now nor lately.
        """
        kept, now_s = self._kept.get(url), monotonic()
        lacks = kept is None or not any(one.kid == kid for one in kept.keys)
        old = kept is None or now_s - kept.fetched_s > FRESH_S
        due = url not in self._asked_s or now_s - self._asked_s[url] > AGAIN_S
        if ((lacks or old) and due) or (kept is None and url in self._asking):
            await self._ask(url)
        kept = self._kept.get(url)
        if kept is None or monotonic() - kept.fetched_s > KEPT_S:
            raise ClientKeyError(reason="address does not answer")
        return kept.keys

    async def _ask(self, url: str) -> None:
        """One fetch at a time for an address; those that wait share it."""
        task = self._asking.get(url)
        if task is None:
            task = self._asking[url] = asyncio.create_task(self._renew(url))
            task.add_done_callback(lambda _: self._asking.pop(url, None))
        await asyncio.shield(task)

    async def _renew(self, url: str) -> None:
        self._asked_s[url] = monotonic()
        try:
            keys = parse_jwks(await self._fetch(url), published=True)
        except (OSError, ClientKeyError) as error:
            log.warning("a key set was not fetched: %s", type(error).__name__)
            return
        self._kept[url] = _Kept(keys, monotonic())


def _https() -> Fetch:
    tls = ssl.create_default_context()

    async def ask(url: str) -> bytes:
        found = await fetch(url, tls=tls, within_s=FETCH_S_MAX, bytes_max=JWKS_BYTES_MAX)
        if found.status != HTTPStatus.OK:
            raise ClientKeyError(reason="address does not answer")
        return found.body

    return ask
