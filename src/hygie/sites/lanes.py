"""A lane: threads that make one site's blocking calls. Each site has its own, so a hung one starves nobody else."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Lane:
    """Up to ``threads`` daemon threads behind one queue; with one thread, calls are made in order.

    Daemon threads: a write that hangs in the system must not keep the process from ending.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._threads_max = threads
        self._threads = 0
        self._idle = 0
        self._calls: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._began: dict[int, float] = {}  # when each thread began the call it is in

    def busy_s(self) -> float:
        """For how long the oldest call under way has been waiting for its medium."""
        with self._lock:
            began = min(self._began.values(), default=None)
        return time.monotonic() - began if began is not None else 0.0

    def run(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Make ``call`` in a thread; the future belongs to the running loop."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((future, call))
        with self._lock:
            if self._idle < self._calls.qsize() and self._threads < self._threads_max:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        return future

    def close(self) -> None:
        """Let the threads end after the calls already queued."""
        for _ in range(self._threads_max):
            self._calls.put(None)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            item = self._calls.get()
            with self._lock:
                self._idle -= 1
                if item is not None:
                    self._began[threading.get_ident()] = time.monotonic()
            if item is None:
                return
            future, call = item
            del item
            try:
                answer, error = call(), None
            except BaseException as raised:  # handed to the waiter, whatever it is
                answer, error = None, raised
            with self._lock:
                del self._began[threading.get_ident()]
            _settle(future, answer, error)
            del future, call, answer, error


def _settle(future: asyncio.Future[Any], answer: object, error: BaseException | None) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)

    loop = future.get_loop()
    if not loop.is_closed():
        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:
            return  # the loop closed in between: nobody waits any more
