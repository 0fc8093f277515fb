"""Starting: what is interrupted leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from hygie import start


class SlowServer:
    """A database that takes its time to start, under the lock that its stop takes too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.began, self.go_on = threading.Event(), threading.Event()
        self.runs = False

    def pid(self) -> int | None:
        return 1 if self.runs else None

    def start(self) -> None:
        with self.lock:
            self.began.set()
            self.go_on.wait(10)
            self.runs = True

    def stop(self) -> None:
        with self.lock:
            self.runs = False


@pytest.mark.parametrize("act", [start._start_server, start._keep_server])
def test_an_interrupted_start_leaves_no_database_behind(act: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "SERVER_LOOK_S", 0.01)

    async def main() -> None:
        server = SlowServer()
        starting = asyncio.create_task(act(server))
        await asyncio.to_thread(server.began.wait, 10)
        starting.cancel()
        await asyncio.sleep(0.05)
        server.go_on.set()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        assert starting.cancelled()
        await asyncio.sleep(0.05)
        assert not server.runs

    asyncio.run(main())
