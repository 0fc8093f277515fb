"""The loops of the working process: one that fails is tried again, and none is put off by what it waited for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest

from hygie import loops, upkeep
from hygie.app import opened
from hygie.backups.errors import TargetUnavailableError
from hygie.base.errors import UnavailableError
from hygie.database.cluster import Dsns
from hygie.effects import RegisterNews


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

        await asyncio.wait_for(loops.every(stop, 0.001, act), 20)
        assert turns == 3

    asyncio.run(main())
    assert len(caplog.records) == 3
    assert "secret" not in caplog.text


def test_a_loop_that_waited_for_a_hung_medium_is_not_put_off_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(loops, "monotonic", lambda: now_s)

    async def main() -> None:
        stop = asyncio.Event()
        turns = 0

        async def act() -> None:
            nonlocal turns, now_s
            turns += 1
            now_s += 36_000  # ten hours
            if turns == 2:
                stop.set()

        await asyncio.wait_for(loops.every(stop, 0.001, act), 20)
        assert turns == 2

    asyncio.run(main())


def test_a_long_backup_does_not_put_off_the_next_one_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cadence of minutes, and a promise of twice that, hold when a backup takes a part of it."""
    now_s = 0.0
    waited: list[float] = []
    monkeypatch.setattr(loops, "monotonic", lambda: now_s)

    async def main() -> None:
        stop = asyncio.Event()

        async def pause(_stop: asyncio.Event, seconds: float, *_: asyncio.Event) -> None:
            if seconds:
                waited.append(seconds)
                stop.set()

        async def act() -> None:
            nonlocal now_s
            now_s += 90

        monkeypatch.setattr(loops, "_pause", pause)
        await loops.every(stop, upkeep.BACKUP_POLL_S, act, share_max=upkeep.BACKUP_SHARE_MAX)

    asyncio.run(main())
    assert waited == [90]


def test_a_loop_is_woken_before_its_period_and_what_comes_during_a_turn_is_for_the_next() -> None:
    async def main() -> None:
        stop, woken = asyncio.Event(), asyncio.Event()
        turns = 0

        async def act() -> None:
            nonlocal turns
            turns += 1
            if turns == 3:
                stop.set()
            elif turns == 2:
                woken.set()  # somebody writes while this turn is under way
            else:
                asyncio.get_running_loop().call_later(0.05, woken.set)

        await asyncio.wait_for(loops.every(stop, 3600, act, woken=woken), 20)
        assert turns == 3

    asyncio.run(main())


def test_whoever_wakes_a_loop_without_end_takes_a_bounded_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(loops, "monotonic", lambda: now_s)

    async def main() -> None:
        stop, woken = asyncio.Event(), asyncio.Event()

        async def pause(_stop: asyncio.Event, seconds: float, *others: asyncio.Event) -> None:
            nonlocal now_s
            now_s += 0.0 if any(one.is_set() for one in others) else seconds

        async def act() -> None:
            nonlocal now_s
            woken.set()
            now_s += 3
            if now_s >= 1_200:
                stop.set()

        turns = 0

        async def counted() -> None:
            nonlocal turns
            turns += 1
            await act()

        monkeypatch.setattr(loops, "_pause", pause)
        await loops.every(stop, 30, counted, woken=woken)
        assert turns == 101  # three seconds in twelve

    asyncio.run(main())


def test_a_write_of_registers_is_heard_once(database: Dsns) -> None:
    async def main() -> None:
        async with opened(database.sealer, size=1) as records, opened(database.owner, size=1) as owner:
            news = RegisterNews(records)

            async def heard() -> bool:
                news.heard.clear()
                await news.look()
                return news.heard.is_set()

            async def written(log: str) -> None:
                async with owner.transaction() as connection:
                    await connection.execute("UPDATE hygie_proof.head SET seq = seq + 1 WHERE log = %s", (log,))

            assert [await heard(), await heard()] == [False, False]  # what was there at the start has had its turn
            await written("records")
            assert [await heard(), await heard()] == [True, False]
            await written("batches")  # evidence has no effect
            assert not await heard()

    asyncio.run(main())


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

        running = asyncio.create_task(loops.every(stop, 3600, loops.or_stop(stop, long)))
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
            await loops.or_stop(asyncio.Event(), fails)()

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
