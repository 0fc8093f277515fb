"""Sets of patients in the vault: what a limited permit reads and writes, and what becomes of the rows of members."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.actions import Action
from hygie.base.errors import HygieError, NotFoundError, RefusedError
from hygie.base.permit import PatientScope, Permit
from hygie.vault import search as search_room
from hygie.vault import set_rows
from hygie.vault.model import Condition, NewObject, Query, SetMember, WriteRequest
from hygie.vault.patient_sets import MARK_BYTES, Opened, is_open, member_mac, member_rows, pack_members
from hygie.vault.tokens import BlindIndex
from tests.unit.vault.lifecycle_stage import SlowSites, erase, observation, patient, rebuild, rows, run, write

FOREVER = 1 << 62
WARD = PatientScope(frozenset({"ward"}))
MEMBERS = "SELECT subject, group_id, from_ms, until_ms, mac FROM group_member ORDER BY 1, 2"


def group(*members: str | SetMember, id_: str = "ward", **more: Any) -> NewObject:
    listed = [one if isinstance(one, SetMember) else SetMember(one, 0, FOREVER) for one in members]
    body = json.dumps({"resourceType": "Group", "id": id_}).encode()
    owners = tuple(sorted({one.patient for one in listed}))
    return NewObject("Group", id_, body, ["Group|all"], owners, members=listed, **more)


def limited(house: Any, *actions: Action, scope: PatientScope = WARD) -> Permit:
    return dataclasses.replace(house.permit(*actions), patients=scope)


WRITES = (Action.OBJECT_CREATE, Action.OBJECT_UPDATE, Action.OBJECT_DELETE)


async def seen(house: Any, type_: str, *terms: str, scope: PatientScope = WARD, **how: Any) -> list[str]:
    """Ids of all pages."""
    found: list[str] = []
    query = Query((type_,), [[term] for term in terms], **how)
    while True:
        page = await house.vault.search(limited(house, Action.OBJECT_SEARCH, scope=scope), query)
        found += [item.id for item in page.items]
        if page.next is None:
            assert len(found) == len(set(found))
            return sorted(found)
        query.cursor = page.next


async def reads(house: Any, type_: str, id_: str, scope: PatientScope = WARD) -> bool:
    try:
        await house.vault.read(limited(house, Action.OBJECT_READ, scope=scope), type_, id_)
    except NotFoundError as error:
        return type(error) is not NotFoundError  # told as erased or deleted, it would not be as absent
    return True


async def fill(house: Any) -> None:
    await write(house, *(patient(f"p{n}", f"n{n}") for n in range(1, 5)))
    await write(
        house,
        *(observation(f"o{n}", [f"p{n}"], "c1") for n in range(1, 5)),
        observation("o12", ["p1", "p2"], "c1"),
        observation("o13", ["p1", "p3"], "c1"),
        observation("o0", [], "c1"),
    )
    await write(house, group("p1", "p2"), group("p3", id_="other"))


def test_one_patient_more_is_opened_beside_the_set(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            mine = ["o0", "o1", "o12", "o2"]
            assert await seen(house, "Observation", "Observation|code|c1") == mine
            assert not await reads(house, "Patient", "p3")
            wider = WARD | PatientScope(patients=frozenset({"p3"}))
            assert await reads(house, "Patient", "p3", wider)
            assert await seen(house, "Observation", "Observation|code|c1", scope=wider) == sorted([*mine, "o13", "o3"])
            alone = PatientScope(patients=frozenset({"p4"}))
            assert await seen(house, "Observation", "Observation|code|c1", scope=alone) == ["o0", "o4"]
            assert await seen(house, "Observation", "Observation|code|c1", scope=PatientScope()) == ["o0"]
            both = WARD | PatientScope(frozenset({"other"}))
            assert len(await seen(house, "Observation", "Observation|code|c1", scope=both)) == 6

    run(main)


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("ascending", [True, False])
def test_pages_are_whole_whichever_way_they_are_found(open_house, monkeypatch, small: bool, ascending: bool) -> None:
    """A small set is looked at patient by patient, a large one by walking its environment under a budget."""

    async def main() -> None:
        async with open_house() as house:
            people = [f"p{n}" for n in range(60)]
            await write(house, *(patient(one, "x", new=True) for one in people))
            of = [observation(f"o{n}", [people[n % 60]], "c1", new=True) for n in range(300)]
            await write(house, *of, observation("nobody", [], "c1"), group(*people[::7]))
            if not small:
                monkeypatch.setattr(set_rows, "HELD_PATIENTS_MAX", 0)
            monkeypatch.setattr(search_room, "PROBE_ROWS_MAX", 5)  # so that no term is rare
            monkeypatch.setattr(search_room, "WALK_ROWS_MAX", 1_000 if small else 40)
            monkeypatch.setattr(search_room, "GLANCE_ROWS", 80)  # less than all, more than a page asks for
            wanted = sorted([f"o{n}" for n in range(300) if n % 60 % 7 == 0] + ["nobody"])
            how: dict[str, Any] = {"count": 4, "ascending": ascending}
            assert await seen(house, "Observation", "Observation|all", **how) == wanted
            assert await seen(house, "Observation", **how) == wanted
            page = await house.vault.search(
                limited(house, Action.OBJECT_SEARCH), Query(("Observation",), [["Observation|all"]], total=True)
            )
            assert page.total == len(wanted)
            past: list[str] = []
            cursor = None
            while True:
                page = await house.vault.history(
                    limited(house, Action.OBJECT_HISTORY), "Observation", None, count=5, cursor=cursor
                )
                past += [item.id for item in page.items]
                cursor = page.next
                if cursor is None:
                    break
            assert sorted(past) == wanted

    run(main)


def test_a_group_of_readers_is_answered_each_by_its_own_limits(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            other = PatientScope(frozenset({"other"}))
            asked = [(f"p{n}", scope) for n in range(1, 5) for scope in (WARD, other, None)] * 4
            permits = [dataclasses.replace(house.permit(Action.OBJECT_READ), patients=scope) for _, scope in asked]
            answers = await asyncio.gather(
                *(house.vault.read(p, "Patient", id_) for (id_, _), p in zip(asked, permits, strict=True)),
                return_exceptions=True,
            )
            opens = {"p1": (WARD, None), "p2": (WARD, None), "p3": (other, None), "p4": (None,)}
            for (id_, scope), answer in zip(asked, answers, strict=True):
                assert isinstance(answer, NotFoundError) == (scope not in opens[id_]), (id_, scope, answer)

    run(main)


def test_members_count_in_their_time(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            now_ms = house.clock.now_ms()
            for from_ms, until_ms, counts in (
                (0, now_ms - 1, False),
                (now_ms + 60_000, FOREVER, False),
                (now_ms - 1, now_ms + 60_000, True),
            ):
                await write(house, group(SetMember("p1", from_ms, until_ms)))
                assert await reads(house, "Patient", "p1") is counts
            await write(house, group(SetMember("p1", 0, 5), SetMember("p1", 7, FOREVER)))
            assert await reads(house, "Patient", "p1")

    run(main)


def test_an_erased_patient_leaves_every_set_and_a_rebuild_does_not_bring_him_back(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            await write(house, group(id_="other", delete=True))
            before = rows(house, MEMBERS)
            assert len(before) == 2
            again, _ = await rebuild(house, "lyon")
            assert rows(again, MEMBERS) == before
            assert await reads(again, "Patient", "p1")
            assert not await reads(again, "Patient", "p3")
            await erase(house, "p1")
            left = rows(house, MEMBERS)
            assert len(left) == 1
            assert not await reads(house, "Patient", "p1")
            again, _ = await rebuild(house, "paris")
            assert rows(again, MEMBERS) == left

    run(main)


def test_a_member_taken_out_is_refused_from_the_commit_on(open_house) -> None:
    """A write that the set still allows ends before the set changes; one that comes after is refused."""

    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            await house.vault.close()
            writer = house.new_vault()
            slow = SlowSites(house)
            changing = dataclasses.replace(house, sites=slow).new_vault()
            removing = asyncio.create_task(changing.write(house.writing(), WriteRequest([group("p2")])))
            await slow.reached.wait()
            late = asyncio.create_task(
                writer.write(limited(house, *WRITES), WriteRequest([observation("late", ["p1"], "c", new=True)]))
            )
            await asyncio.sleep(0.2)
            assert not late.done()  # it waits to know
            assert await reads(house, "Patient", "p1")  # not committed
            slow.go.set()
            await removing
            with pytest.raises(RefusedError):
                await late
            assert not await reads(house, "Patient", "p1")
            await changing.close()
            await writer.close()

    run(main)


def test_an_object_moved_in_the_same_commit_is_not_written_over(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            moving = house.vault.write(house.writing(), WriteRequest([observation("o1", ["p3"], "moved")]))
            over = house.vault.write(limited(house, *WRITES), WriteRequest([observation("o1", ["p1"], "over")]))
            moved, answer = await asyncio.gather(moving, over, return_exceptions=True)
            assert not isinstance(moved, BaseException)
            assert isinstance(answer, HygieError)
            page = await house.vault.history(house.permit(Action.OBJECT_HISTORY), "Observation", "o1", count=9)
            assert len(page.items) == 2

    run(main)


def test_a_set_of_more_patients_than_there_are_locks(open_house) -> None:
    """And an erasure waits for whoever writes it."""

    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            await write(house, group(*(f"p{n}" for n in range(1, 12_000))))
            assert await reads(house, "Patient", "p4")
            slow = SlowSites(house)
            changing = dataclasses.replace(house, sites=slow).new_vault()
            many = group(*(f"p{n}" for n in range(1, 300)))
            writing = asyncio.create_task(changing.write(house.writing(), WriteRequest([many])))
            await slow.reached.wait()
            erasing = asyncio.create_task(erase(house, "p1"))
            await asyncio.sleep(0.5)
            assert not erasing.done()
            slow.go.set()
            await writing
            await erasing
            assert not await reads(house, "Patient", "p1")
            await changing.close()

    run(main)


def test_a_condition_is_not_made_ambiguous_by_what_is_hidden(open_house) -> None:
    """Many objects of others under the searched terms must not change what a condition answers."""

    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            await write(house, *(observation(f"h{n}", ["p4"], "same", new=True) for n in range(30)))
            condition = Condition("one", "Observation", [["Observation|code|same"]])
            for expected in ([], ["mine"]):
                found: list[str] = []

                def build(ids: Mapping[str, Sequence[str]], found: list[str] = found) -> list[NewObject]:
                    found += ids["one"]
                    return [] if found else [observation("mine", ["p1"], "same", new=True)]

                await house.vault.write(limited(house, *WRITES), WriteRequest(build, [condition]))
                assert found == expected

    run(main)


def test_an_export_is_of_everybody(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await fill(house)
            with pytest.raises(RefusedError):
                await house.vault.export_bound(limited(house, Action.OBJECT_EXPORT))

    run(main)


INDEX = BlindIndex(id_key=bytes(32), index_key=bytes(32))
GROUP, SUBJECT = bytes(range(16)), bytes(range(16, 32))
OPENED = Opened([GROUP], [], 0)


def mark(group_id: bytes = GROUP, subject: bytes = SUBJECT, from_ms: int = 1, until_ms: int = 9) -> bytes:
    times = from_ms.to_bytes(8, "big") + until_ms.to_bytes(8, "big")
    return group_id + subject + times + member_mac(INDEX, group_id, subject, from_ms, until_ms)


@given(st.integers(0, MARK_BYTES - 1), st.integers(1, 255), st.booleans())
def test_an_altered_mark_opens_nothing(at: int, change: int, second: bool) -> None:
    true = mark()
    altered = true[:at] + bytes([true[at] ^ change]) + true[at + 1 :]
    assert is_open(INDEX, OPENED, true)
    assert not is_open(INDEX, OPENED, true + altered if second else altered)


def test_marks_of_others_and_parts_of_marks_open_nothing() -> None:
    for marks in (None, mark()[:-1], mark() + b"x", mark(bytes(16)), mark(b"\xff" * 16)):
        assert not is_open(INDEX, OPENED, marks)
    assert is_open(INDEX, OPENED, b"")  # of nobody
    assert is_open(INDEX, None, None)  # a permit without limits
    assert is_open(INDEX, Opened([], [SUBJECT], 0), bytes(16) + SUBJECT + bytes(32))
    assert not is_open(INDEX, Opened([], [GROUP], 0), bytes(16) + SUBJECT + bytes(32))


def test_what_travels_with_a_group_is_what_its_rows_say() -> None:
    members = [SetMember("a", 0, FOREVER), SetMember("b", 5, 9), SetMember("a", 0, FOREVER)]
    made = member_rows(INDEX, GROUP, pack_members(INDEX, members))
    assert sorted((one.subject, one.from_ms, one.until_ms) for one in made) == sorted(
        {(INDEX.subject("patient", (one.patient,)), one.from_ms, one.until_ms) for one in members}
    )
