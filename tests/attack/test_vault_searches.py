"""A search whose exact filter refuses nearly everything does not hold the process: short pages, each bounded."""

from __future__ import annotations

import pytest

from hygie.base.actions import Action
from hygie.vault import search
from hygie.vault.model import Query
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
                assert len(opened) < BUDGET + 50 + 2 * search.OPEN_BATCH
                found += [item.id for item in page.items]
                query.cursor = page.next
                pages += 1
            assert sorted(found) == sorted(wanted)
            assert pages > PEOPLE // (2 * BUDGET)

    run(main)
