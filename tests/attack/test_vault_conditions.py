"""Somebody looks people up by conditional writes: what a condition tells is in the journal, and whose it is.

A conditional create that finds its patient stores nothing and answers that he is there, under which id: it is a search.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from hygie.base.actions import Action
from hygie.base.errors import HygieError
from hygie.gate.reconcile import reconcile
from hygie.journal.entry import Entry, open_entry
from hygie.journal.leaf import month_at, read_head
from hygie.vault.errors import OutcomeUnknownError, VersionConflictError
from hygie.vault.model import Condition, NewObject, WriteRequest
from tests.unit.vault.lifecycle_stage import observation, patient, rows, run, write

LATER_MS = 60_000  # a key is young for some seconds, and an entry may still come


async def journaled(house: Any, permit_id: bytes | None = None) -> list[Entry]:
    """Every entry, or those of one permit, as the journal got them."""
    with psycopg.connect(house.dsns.owner) as connection:
        leaves = [row[0] for row in connection.execute("SELECT leaf FROM hygie.journal_pending ORDER BY id")]
    entries = []
    for leaf in leaves:
        head = read_head(leaf)
        key = await house.kms.month_key(head.tenant_id, head.kind, month_at(head.at_ms))
        entries.append(open_entry(leaf, month_key=key))
    return [entry for entry in entries if permit_id in (None, entry.permit_id)]


def compartment_of(house: Any, id_: bytes) -> bytes:
    ((found,),) = [row[1:] for row in rows(house, "SELECT id, compartment FROM object WHERE current") if row[0] == id_]
    return bytes(found)


async def probe(house: Any, *names: str, then: list[NewObject] | None = None) -> list[Entry]:
    """Conditional creates of people of these names, and other objects in the same request; the entries it left."""
    permit = house.writing()

    def build(found: Any) -> list[NewObject]:
        missing = [patient(f"new-{name}", name, new=True) for name in names if not found[name]]
        return missing + (then or [])

    conditions = [Condition(name, "Patient", [[f"Patient|name|{name}"]]) for name in names]
    await house.new_vault().write(permit, WriteRequest(build, conditions))
    return await journaled(house, permit.permit_id)


def test_a_condition_that_finds_somebody_names_him_and_no_key_is_left_unexplained(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "zoé"), patient("p2", "ada"))
            (entry,) = await probe(house, "zoé")
            ((type_, id_, version),) = entry.items
            assert (entry.action, entry.outcome, entry.count) == (Action.OBJECT_SEARCH, "done", 1)
            assert (type_, version) == ("Patient", 1)
            assert entry.subject == compartment_of(house, id_)
            lines = await house.kms.unwrap_record(-1, 100)
            told = reconcile(lines, await journaled(house), now_ms=house.clock.now_ms() + LATER_MS)
            assert told.keys > 0
            assert told.orphans == []

    run(main)


def test_people_looked_up_beside_a_write_are_named_each(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "zoé"), patient("p2", "ada"))
            entries = await probe(house, "zoé", "ada", "eve", then=[observation("o1", [], "c1", new=True)])
            actions = sorted(entry.action.value for entry in entries)
            assert actions == ["object:create"] * 2 + ["object:search"] * 2
            found = [entry for entry in entries if entry.action is Action.OBJECT_SEARCH]
            assert len({entry.subject for entry in found}) == 2
            assert len(rows(house, "SELECT FROM object")) == 4

    run(main)


def test_who_is_found_and_written_to_is_named_once(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "zoé"))
            (entry,) = await probe(house, "zoé", then=[observation("o1", ["p1"], "c1", new=True)])
            assert entry.action is Action.OBJECT_CREATE

    run(main)


def test_nothing_found_and_nothing_there_are_answers_too(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "zoé"))
            permit = house.permit(Action.OBJECT_DELETE)
            condition = Condition("k", "Patient", [["Patient|name|nobody"]])
            assert await house.vault.write(permit, WriteRequest(lambda _: [], [condition])) == []
            (entry,) = await journaled(house, permit.permit_id)
            assert (entry.action, entry.outcome, entry.items, entry.count) == (Action.OBJECT_DELETE, "absent", (), 0)
            permit = house.permit(Action.OBJECT_DELETE)
            gone = NewObject("Patient", "p7", b"", (), (), delete=True)
            await house.vault.write(permit, WriteRequest([gone]))
            (entry,) = await journaled(house, permit.permit_id)
            assert (entry.outcome, entry.count) == ("absent", 0)
            assert [(type_, version) for type_, _, version in entry.items] == [("Patient", 0)]

    run(main)


def test_a_refused_condition_leaves_its_refusal_alone(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "zoé"))
            permit = house.writing()
            condition = Condition("k", "Patient", [["Patient|name|zoé"]])
            request = WriteRequest(lambda _: [patient("p1", "eve", if_version=7)], [condition])
            with pytest.raises(VersionConflictError):
                await house.vault.write(permit, request)
            (entry,) = await journaled(house, permit.permit_id)
            assert entry.outcome == "refused"

    run(main)


def test_without_a_journal_a_condition_tells_nothing(open_house, monkeypatch) -> None:
    async def main() -> None:
        async with open_house() as house:
            await write(house, patient("p1", "zoé"))

            async def broken(*_: object) -> None:
                raise OutcomeUnknownError(part="journal")

            monkeypatch.setattr(type(house.journal), "append", broken)
            with pytest.raises(HygieError):
                await probe(house, "zoé")

    run(main)
