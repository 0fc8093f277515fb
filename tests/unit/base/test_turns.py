"""Turns: a flood of one environment leaves the others theirs, and nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest

from hygie.base import turns
from hygie.base.turns import CrowdedError, OneAtATime, Turn, Turns


async def taken(all_: Turns, who: str, count: int) -> tuple[list[Turn], list[asyncio.Task[Turn]]]:
    """Ask ``count`` times. Returns: the turns it got, and the requests that wait."""
    tasks = [asyncio.create_task(all_.take(who)) for _ in range(count)]
    await asyncio.sleep(0.01)
    return [task.result() for task in tasks if task.done()], [task for task in tasks if not task.done()]


def test_alone_an_environment_has_many_turns_and_beside_another_few() -> None:
    async def main() -> None:
        all_ = Turns(alone=8, shared=2, held_max=100)
        have, wait = await taken(all_, "a", 20)
        assert (len(have), len(wait)) == (8, 12)
        calm, none = await taken(all_, "b", 1)
        assert (len(calm), none) == (1, [])  # nobody waits for another's turn
        for turn in have[:6]:
            turn.end()
        await asyncio.sleep(0.01)
        assert [task.done() for task in wait].count(True) == 0  # two of it still run
        have[6].end()
        await asyncio.sleep(0.01)
        assert [task.done() for task in wait].count(True) == 1

    asyncio.run(main())


def test_when_the_other_is_silent_for_some_seconds_all_turns_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(turns, "RECENT_S", 0.05)
        all_ = Turns(alone=8, shared=1, held_max=100)
        (await taken(all_, "b", 1))[0][0].end()
        have, wait = await taken(all_, "a", 6)
        assert (len(have), len(wait)) == (1, 5)
        await asyncio.sleep(0.06)
        have[0].end()
        await asyncio.sleep(0.01)
        assert all(task.done() for task in wait)

    asyncio.run(main())


def test_a_flood_holds_no_more_than_it_leaves_to_others() -> None:
    async def main() -> None:
        all_ = Turns(alone=4, shared=2, held_max=30)
        floods = [asyncio.create_task(all_.take("a")) for _ in range(100)]
        await asyncio.sleep(0.01)
        refused = [task for task in floods if task.done() and isinstance(task.exception(), CrowdedError)]
        assert len(refused) == 85
        have, wait = await taken(all_, "b", 5)
        assert len(have) + len(wait) == 5
        for task in floods:
            task.cancel()
        await asyncio.sleep(0.01)
        for turn in have:
            turn.end()

    asyncio.run(main())


def test_who_goes_away_while_waiting_leaves_no_place_taken() -> None:
    async def main() -> None:
        all_ = Turns(alone=1, shared=1, held_max=10)
        have, wait = await taken(all_, "a", 4)
        wait[0].cancel()
        have[0].end()  # the turn of the second: cancelled at the same moment, it goes on to the third
        wait[1].cancel()
        await asyncio.sleep(0.01)
        assert wait[2].done()
        wait[2].result().end()
        wait[2].result().end()  # given back once
        assert (await taken(all_, "a", 1))[1] == []
        assert all_._held == 1

    asyncio.run(main())


def test_what_is_remembered_is_what_asked_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(turns, "RECENT_S", 0.0)
        all_ = Turns()
        for number in range(5_000):
            (await all_.take(f"environment {number}")).end()
        assert len(all_._lines) <= 2

    asyncio.run(main())


def test_what_asks_of_other_processes_counts_too() -> None:
    async def main() -> None:
        all_ = Turns(alone=8, shared=2, held_max=100)
        all_.elsewhere = frozenset({"a"})
        assert len((await taken(all_, "a", 8))[0]) == 8
        all_.elsewhere = frozenset({"a", "b"})
        assert len((await taken(all_, "c", 8))[0]) == 2
        assert set(all_.recent()) == {"a", "c"}

    asyncio.run(main())


def test_one_turn_goes_round_the_environments() -> None:
    async def main() -> None:
        whole = OneAtATime()
        first = await whole.take("a")
        order: list[str] = []

        async def ask(who: str) -> None:
            turn = await whole.take(who)
            order.append(who)
            turn.end()

        tasks = [asyncio.create_task(ask(who)) for who in "aaaabc"]
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        first.end()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == list("abcaa")
        assert (await whole.take("z")) is not None

    asyncio.run(main())
