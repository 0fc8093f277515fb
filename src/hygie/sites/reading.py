"""Ask sites one after the other, and the next one early when one is slow, until one gives a good answer."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from hygie.base.errors import HygieError
from hygie.sites.errors import ObjectAbsentError, ObjectDamagedError, SiteUnavailableError
from hygie.sites.link import SiteLimits, SiteLink
from hygie.sites.site import Site

T = TypeVar("T")


async def first_answer(
    links: Sequence[SiteLink], call: Callable[[Site], T], name: str, limits: SiteLimits
) -> tuple[T, SiteLink]:
    """The first good answer, and who gave it.

    Args: links: in order of preference; call: blocks, runs in the site's read threads.
    Raises: SiteUnavailableError: no good answer, and a site did not answer; ObjectDamagedError: no good answer, and a
    copy is damaged; ObjectAbsentError: every site answered that it has no such object.
    """
    queue = deque(links)
    asked: dict[asyncio.Future[T], SiteLink] = {}
    errors: list[HygieError] = []
    deadline = time.monotonic() + limits.read_timeout_s
    while queue or asked:
        if queue:
            link = queue.popleft()
            asked[link.read(call)] = link
        patience_s = limits.hedge_after_s if queue else deadline - time.monotonic()
        done, _ = await asyncio.wait(asked, timeout=max(patience_s, 0.0), return_when=asyncio.FIRST_COMPLETED)
        for future in done:
            link = asked.pop(future)
            error = future.exception()
            if error is None:
                link.note_success()
                _abandon(asked)
                return future.result(), link
            link.tell_failure(error)
            if not isinstance(error, HygieError):
                raise error
            errors.append(error)
        if not done and not queue:
            break
    for link in asked.values():
        link.note_timeout()
        errors.append(SiteUnavailableError(site=link.name, reason="timeout"))
    _abandon(asked)
    raise _verdict(errors, name)


def _abandon(asked: dict[asyncio.Future[T], SiteLink]) -> None:
    """Nobody waits for these any more: their outcome still tells how the site fares."""
    for future, link in asked.items():
        future.add_done_callback(lambda late, link=link: _late(late, link))  # type: ignore[misc]


def _late(future: asyncio.Future[T], link: SiteLink) -> None:
    error = future.exception()
    if error is not None:
        link.tell_failure(error)


def _verdict(errors: list[HygieError], name: str) -> HygieError:
    for error in errors:
        if isinstance(error, SiteUnavailableError):
            return error
    if all(isinstance(error, ObjectAbsentError) for error in errors):
        return ObjectAbsentError(name=name, site="*")
    return ObjectDamagedError(name=name)
