"""The turns of a loop of ``hygie work``: again after its period, after a failure, or as soon as somebody wakes it.

A loop takes a bounded share of the time: a larger installation is compared less often, not more heavily.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

import psycopg

from hygie.base.errors import HygieError

PAUSE_MAX = 120  # times a loop's period: what waited for a hung medium was no work, and must not put it off for hours
SHARE_MAX = 0.05  # of the time spent in one loop: a larger installation is compared less often, not more heavily
WOKEN_SHARE_MAX = 0.25  # likewise of one that is woken: what it does is awaited, and nobody may keep it busy by that

log = logging.getLogger("hygie.upkeep")


async def every(
    stop: asyncio.Event,
    period_s: float,
    act: Callable[[], Awaitable[object]],
    *,
    after_s: float = 0.0,
    share_max: float = SHARE_MAX,
    woken: asyncio.Event | None = None,
) -> None:
    """Act again and again until ``stop`` is set; a turn that fails is logged by its code, and the next one comes.

    Args: after_s: before the first turn; share_max: of the time spent acting; woken: set by whoever wants a turn now
    (at most ``WOKEN_SHARE_MAX`` of the time), cleared before each: what happens during a turn is for the next.
    """
    await _pause(stop, after_s)
    while not stop.is_set():
        if woken is not None:
            woken.clear()
        began_s = monotonic()
        try:
            await act()
        except (HygieError, OSError, psycopg.Error) as error:
            log.warning("upkeep: %s", error.code if isinstance(error, HygieError) else type(error).__name__)
        except Exception as error:  # a mistake of ours in one loop must not end those that seal and back up
            frame = traceback.extract_tb(error.__traceback__)[-1]
            log.error("upkeep: %s, %s:%d", type(error).__name__, Path(frame.filename).name, frame.lineno or 0)
        spent_s = monotonic() - began_s
        pause_s = max(period_s, min(spent_s / share_max - spent_s, period_s * PAUSE_MAX))
        if woken is None:
            await _pause(stop, pause_s)
            continue
        rest_s = min(spent_s / WOKEN_SHARE_MAX - spent_s, pause_s)
        await _pause(stop, rest_s)
        await _pause(stop, pause_s - rest_s, woken)


def or_stop(stop: asyncio.Event, act: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
    """The same act, given up between two objects when ``stop`` is set: it may last hours, and whoever stops a process
    kills it after seconds. Only for acts that begin again from what they find; those on keys are awaited."""

    async def interruptible() -> None:
        acting, stopping = asyncio.ensure_future(act()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((acting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if acting.done() or not acting.cancel():
                acting.result()
                return
            with contextlib.suppress(asyncio.CancelledError):
                await acting
        finally:
            acting.cancel()
            stopping.cancel()

    return interruptible


async def _pause(stop: asyncio.Event, seconds: float, *others: asyncio.Event) -> None:
    """Until the time is over or one of these is set; not at all for no time."""
    if seconds <= 0:
        return
    waiting = [asyncio.ensure_future(event.wait()) for event in (stop, *others)]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
