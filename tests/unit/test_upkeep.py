"""The loops of the working process: one that fails is tried again, and none is put off by what it waited for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest

from hygie import upkeep
from hygie.backups.errors import TargetUnavailableError
from hygie.base.errors import UnavailableError


@pytest.mark.parametrize(
    "error",
    [UnavailableError(part="x"), OSError(), psycopg.errors.UndefinedFunction("secret"), KeyError("secret")],
)
def test_a_loop_that_fails_is_tried_again_and_tells_no_text(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        turns = 0

        async def act() -> None:
            nonlocal turns
            turns += 1
            if turns == 3:
                stop.set()
            raise error

        await asyncio.wait_for(upkeep._every(stop, 0.001, act), 20)
        assert turns == 3

    asyncio.run(main())
    assert len(caplog.records) == 3
    assert "secret" not in caplog.text


def test_a_loop_that_waited_for_a_hung_medium_is_not_put_off_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(upkeep, "monotonic", lambda: now_s)

    async def main() -> None:
        stop = asyncio.Event()
        turns = 0

        async def act() -> None:
            nonlocal turns, now_s
            turns += 1
            now_s += 36_000  # ten hours
            if turns == 2:
                stop.set()

        await asyncio.wait_for(upkeep._every(stop, 0.001, act), 20)
        assert turns == 2

    asyncio.run(main())


def test_a_long_backup_does_not_put_off_the_next_one_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cadence of minutes, and a promise of twice that, hold when a backup takes a part of it."""
    now_s = 0.0
    waited: list[float] = []
    monkeypatch.setattr(upkeep, "monotonic", lambda: now_s)

    async def main() -> None:
        stop = asyncio.Event()

        async def wait_for(until: Any, pause_s: float) -> None:
            until.close()
            waited.append(pause_s)
            stop.set()

        async def act() -> None:
            nonlocal now_s
            now_s += 90

        monkeypatch.setattr(asyncio, "wait_for", wait_for)
        await upkeep._every(stop, upkeep.BACKUP_POLL_S, act, share_max=upkeep.BACKUP_SHARE_MAX)

    asyncio.run(main())
    assert waited == [90]


def test_a_long_act_is_given_up_when_the_process_stops() -> None:
    """A scrub of hours must not be what a supervisor kills after seconds."""
    ended: list[str] = []

    async def main() -> None:
        stop = asyncio.Event()

        async def long() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append("given up")

        running = asyncio.create_task(upkeep._every(stop, 3600, upkeep._or_stop(stop, long)))
        await asyncio.sleep(0.05)
        assert not running.done()
        stop.set()
        await asyncio.wait_for(running, 2)

    asyncio.run(main())
    assert ended == ["given up"]


def test_an_act_that_may_be_given_up_still_tells_its_error() -> None:
    async def main() -> None:
        async def fails() -> None:
            raise TargetUnavailableError(target="backup", reason="full")

        with pytest.raises(TargetUnavailableError):
            await upkeep._or_stop(asyncio.Event(), fails)()

    asyncio.run(main())


async def a_backup(house: Any) -> None:
    async with upkeep.backup_rooms(house, house, house, "system:work"):
        pass


@pytest.mark.parametrize("act", [a_backup, upkeep.run_copy_erasures])
def test_a_backup_target_that_hangs_holds_up_no_other_loop(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    answered = threading.Event()

    def hung(_house: Any) -> Any:
        answered.wait(3)
        raise TargetUnavailableError(target="backup", reason="hung")

    monkeypatch.setattr(upkeep, "new_target", hung)

    async def main() -> None:
        waiting: asyncio.Future[Any] = asyncio.ensure_future(act(None))
        await asyncio.sleep(0.05)
        assert not waiting.done()  # the loop that seals the journal goes on
        answered.set()
        with pytest.raises(TargetUnavailableError):
            await waiting

    asyncio.run(main())
