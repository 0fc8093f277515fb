"""A count is an answer: it tells of nobody who was erased, and the journal says that it was told."""

from __future__ import annotations

from typing import Any

import psycopg

from hygie.base.actions import Action
from hygie.journal.entry import Entry, open_entry
from hygie.journal.leaf import month_at, read_head
from hygie.vault.model import Query
from tests.unit.vault.lifecycle_stage import erase, observation, patient, run, write

EVERYBODY = Query(("Patient",), [["Patient|all"]], count=0, total=True)


async def count(house: Any, query: Query) -> int | None:
    page = await house.vault.search(house.permit(Action.OBJECT_SEARCH), query)
    assert page.items == []
    return page.total


async def searches(house: Any) -> list[Entry]:
    """The entries of searches, as the journal got them."""
    with psycopg.connect(house.dsns.owner) as connection:
        leaves = [row[0] for row in connection.execute("SELECT leaf FROM hygie.journal_pending ORDER BY id")]
    entries = []
    for leaf in leaves:
        head = read_head(leaf)
        key = await house.kms.month_key(head.tenant_id, head.kind, month_at(head.at_ms))
        entries.append(open_entry(leaf, month_key=key))
    return [entry for entry in entries if entry.action is Action.OBJECT_SEARCH]


def test_an_erased_patient_is_not_counted_before_nor_after_the_purge(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"), patient("p3", "c"))
            whole_type = Query(("Patient",), count=0)
            either = Query(("Patient",), [["Patient|name|a", "Patient|name|b"]], count=0)
            assert [await count(house, query) for query in (EVERYBODY, whole_type, either)] == [3, 3, 2]
            await erase(house, "p1")
            assert [await count(house, query) for query in (EVERYBODY, whole_type, either)] == [2, 2, 1]
            await erase(house, "p2", purge=True)
            assert [await count(house, query) for query in (EVERYBODY, whole_type, either)] == [1, 1, 0]

    run(main)


def test_a_count_that_was_told_is_journaled_as_told(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "a"), patient("p2", "b"), observation("o1", ["p1"], "c1"))
            await count(house, EVERYBODY)
            await count(house, Query(("Patient",), [["Patient|name|nobody"]], count=0))
            seen = house.permit(Action.OBJECT_SEARCH)
            await house.vault.search(seen, Query(("Patient",), [["Patient|name|a"]], total=True))
            await house.vault.search(seen, Query(("Patient",), [["Patient|name|nobody"]]))
            told, none, shown, nothing = await searches(house)
            assert (told.outcome, told.count, told.items, told.detail) == ("done", 0, (), {"total": "2"})
            assert (none.outcome, none.detail) == ("absent", {"total": "0"})
            assert (shown.outcome, shown.count, shown.detail) == ("done", 1, {"total": "1"})
            assert (nothing.outcome, nothing.detail) == ("absent", {})

    run(main)
