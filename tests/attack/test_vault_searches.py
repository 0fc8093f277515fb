"""A search whose exact filter refuses nearly everything does not hold the process: short pages, each bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.vault import reading, search
from hygie.vault.model import Query
from hygie.vault.reading import OPEN_BATCH
from tests.unit.vault.lifecycle_stage import patient, run, write

PEOPLE = 700
BUDGET = 200  # candidates of one page, lowered so that few people are enough


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("of_patient", [False, True])
def test_what_an_exact_filter_refuses_is_opened_by_bounded_pages(
    open_house, monkeypatch, ascending: bool, of_patient: bool
) -> None:
    wanted = {"p3", f"p{PEOPLE - 3}", f"p{PEOPLE // 2}"}
    opened: list[bytes] = []

    def matches(body: bytes, _: str) -> bool:
        opened.append(body)
        return any(f'"{id_}"'.encode() in body for id_ in wanted)

    async def main() -> None:
        async with open_house() as house:
            monkeypatch.setattr(search, "OPENED_ROWS_MAX", BUDGET)
            people = [patient(f"p{number}", "x", new=True) for number in range(PEOPLE)]
            if of_patient:
                for one in people:
                    one.patients = ("p0",)
            await write(house, *people)
            query = Query(
                ("Patient",), patient="p0" if of_patient else None, matches=matches, count=50, ascending=ascending
            )
            found: list[str] = []
            pages = 0
            while pages == 0 or query.cursor is not None:
                opened.clear()
                page = await house.vault.search(house.permit(Action.OBJECT_SEARCH), query)
                assert len(opened) < BUDGET + 50 + 2 * OPEN_BATCH
                found += [item.id for item in page.items]
                query.cursor = page.next
                pages += 1
            assert sorted(found) == sorted(wanted)
            assert pages > PEOPLE // (2 * BUDGET)

    run(main)


def test_others_have_their_turn_while_many_are_opened(open_house, monkeypatch) -> None:
    """A history, a count and what a page includes open up to two thousand objects, all of them in memory."""
    real = reading._open
    at_once = most = 0

    def opening(*asked: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        return real(*asked)

    async def main() -> None:
        async with open_house() as house:
            await write(house, *(patient(f"p{number}", "x", new=True) for number in range(PEOPLE)))
            done = asyncio.Event()

            async def others() -> None:
                nonlocal at_once
                while not done.is_set():
                    at_once = 0
                    await asyncio.sleep(0)

            async def asked() -> None:
                nonlocal most
                for _ in range(2):  # the first time, keys are asked for and files opened
                    most = 0
                    page = await house.vault.history(house.permit(Action.OBJECT_HISTORY), "Patient", None, count=PEOPLE)
                    assert len(page.items) == PEOPLE
                done.set()

            monkeypatch.setattr(reading, "_open", opening)
            await asyncio.gather(asked(), others())
            assert 0 < most <= OPEN_BATCH

    run(main)
