"""Requests that wait share one transaction: the more come at once, the less each costs; nobody waits for a timer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from hygie.base.errors import HygieError, UnavailableError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

GROUPS_IN_FLIGHT = 2  # while one commits, the next is looked up
QUEUE_MAX = 2_000


class Grouping(Generic[Item, Answer]):
    """Serves what waits in groups of at most ``size``.

    serve: answers a whole group, with an error for those that fail alone; a HygieError that it raises goes to all.
    """

    def __init__(self, serve: Callable[[list[Item]], Awaitable[list[Answer | HygieError]]], *, size: int) -> None:
        self._serve = serve
        self._size = size
        self._queue: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Answer:
        """The answer to one item. Raises: UnavailableError: too many wait; whatever ``serve`` answered."""
        if len(self._queue) >= QUEUE_MAX:
            raise UnavailableError(part="vault")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((item, answer))
        self._start()
        return await answer

    def _start(self) -> None:
        if self._running < GROUPS_IN_FLIGHT:
            self._running += 1
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whoever waits behind a group that ended by an accident must not wait for the next request."""
        self._tasks.discard(task)
        if self._queue and not task.cancelled():
            self._start()

    async def _drain(self) -> None:
        try:
            while self._queue:
                group, self._queue = self._queue[: self._size], self._queue[self._size :]
                await self._answer(group)
        finally:
            self._running -= 1

    async def _answer(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        results: list[Answer | HygieError] = [UnavailableError(part="vault")] * len(group)
        try:
            results = await self._serve([item for item, _ in group])
        except HygieError as error:
            results = [error] * len(group)
        finally:
            for (_, answer), result in zip(group, results, strict=True):
                if answer.done():
                    continue
                if isinstance(result, HygieError):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)
