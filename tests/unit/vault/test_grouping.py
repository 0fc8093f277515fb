"""Requests that share a transaction: each has its answer, or its error, whatever happens to the group."""

from __future__ import annotations

import asyncio

import pytest

from hygie.base.errors import HygieError, UnavailableError
from hygie.vault import grouping
from hygie.vault.errors import CursorError
from hygie.vault.grouping import GROUPS_IN_FLIGHT, Grouping


def test_those_behind_an_accident_are_served_without_another_request() -> None:
    accidents: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, facts: accidents.append(facts["exception"]))

        async def serve(group: list[str]) -> list[str | HygieError]:
            await asyncio.sleep(0)
            if "poison" in group:
                raise RuntimeError("a mistake of ours")
            return [item.upper() for item in group]

        group: Grouping[str, str] = Grouping(serve, size=1)
        asked = [group.submit("poison") for _ in range(GROUPS_IN_FLIGHT)] + [group.submit("a"), group.submit("b")]
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers[:GROUPS_IN_FLIGHT]] == [UnavailableError] * GROUPS_IN_FLIGHT
        assert answers[GROUPS_IN_FLIGHT:] == ["A", "B"]

    asyncio.run(main())
    assert [type(error) for error in accidents] == [RuntimeError] * GROUPS_IN_FLIGHT


def test_an_error_of_one_is_its_own_and_an_error_of_the_group_is_everybodys() -> None:
    async def main() -> None:
        async def serve(group: list[int]) -> list[int | HygieError]:
            if 9 in group:
                raise UnavailableError(part="database")
            return [CursorError() if item == 2 else item for item in group]

        group: Grouping[int, int] = Grouping(serve, size=3)
        one, two, three = await asyncio.gather(*map(group.submit, (1, 2, 3)), return_exceptions=True)
        assert (one, type(two), three) == (1, CursorError, 3)
        answers = await asyncio.gather(*map(group.submit, (8, 9)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [UnavailableError] * 2

    asyncio.run(main())


def test_too_many_that_wait_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "QUEUE_MAX", 3)

    async def main() -> None:
        async def serve(group: list[int]) -> list[int | HygieError]:
            return list(group)

        group: Grouping[int, int] = Grouping(serve, size=1)
        answers = await asyncio.gather(*map(group.submit, range(5)), return_exceptions=True)
        assert answers[:3] == [0, 1, 2]
        assert [type(answer) for answer in answers[3:]] == [UnavailableError] * 2

    asyncio.run(main())
