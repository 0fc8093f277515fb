"""The vault through its door: what is written is read back, once, durable, by the right place only."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from hygie.base.actions import Action
from hygie.base.errors import HygieError, NotFoundError, RefusedError
from hygie.gate.reconcile import reconcile
from hygie.keys.errors import KmsUnavailableError
from hygie.vault.errors import CompartmentErasedError, CursorError, ObjectDeletedError, VersionConflictError
from hygie.vault.model import Condition, NewObject, Query, WriteRequest
from tests.unit.gate.peoples_stage import journaled
from tests.unit.vault.lifecycle_stage import SlowSites, erase, rows


def patient(id_: str, name: str, *, new: bool = False, **more: object) -> NewObject:
    body = json.dumps({"resourceType": "Patient", "id": id_, "name": name}).encode()
    return NewObject("Patient", id_, body, [f"Patient|name|{name}", "Patient|all"], (id_,), new=new, **more)  # type: ignore[arg-type]


def observation(id_: str, of: str, code: str) -> NewObject:
    body = json.dumps({"resourceType": "Observation", "id": id_, "code": code}).encode()
    terms = [f"Observation|code|{code}", f"Observation|patient|{of}", "Observation|all"]
    return NewObject("Observation", id_, body, terms, (of,), new=True)


def test_what_is_written_is_read_back(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            one = patient("p1", "Zoé")
            (written,) = await house.vault.write(house.writing(), WriteRequest([one]))
            assert (written.version, written.created) == (1, True)
            stored = await house.vault.read(house.permit(Action.OBJECT_READ), "Patient", "p1")
            assert stored.body == one.body
            assert stored.version == 1
            assert stored.at_ms == written.at_ms

    asyncio.run(main())


def test_versions_follow_and_each_is_kept(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            for name in ("a", "b", "c"):
                await house.vault.write(house.writing(), WriteRequest([patient("p1", name)]))
            reading = house.permit(Action.OBJECT_READ)
            assert b'"c"' in (await house.vault.read(reading, "Patient", "p1")).body
            assert b'"a"' in (await house.vault.read_version(reading, "Patient", "p1", 1)).body
            page = await house.vault.history(house.permit(Action.OBJECT_HISTORY), "Patient", "p1", count=2)
            assert [item.version for item in page.items] == [3, 2]
            page = await house.vault.history(
                house.permit(Action.OBJECT_HISTORY), "Patient", "p1", count=2, cursor=page.next
            )
            assert [item.version for item in page.items] == [1]
            assert page.next is None

    asyncio.run(main())


def test_two_writers_racing_on_one_version_one_wins(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await house.vault.write(house.writing(), WriteRequest([patient("p1", "a")]))
            results = await asyncio.gather(
                *(
                    house.vault.write(house.writing(), WriteRequest([patient("p1", name, if_version=1)]))
                    for name in "bcdef"
                ),
                return_exceptions=True,
            )
            assert sum(isinstance(result, list) for result in results) == 1
            assert sum(isinstance(result, VersionConflictError) for result in results) == 4

    asyncio.run(main())


def test_a_request_with_one_conflict_leaves_nothing(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            request = WriteRequest([patient("p1", "a"), patient("p2", "b", if_version=7)])
            with pytest.raises(VersionConflictError):
                await house.vault.write(house.writing(), request)
            with pytest.raises(NotFoundError):
                await house.vault.read(house.permit(Action.OBJECT_READ), "Patient", "p1")
            assert not list(house.folders.rglob("*.pack"))

    asyncio.run(main())


def test_a_deleted_object_is_gone_and_comes_back_as_a_new_version(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await house.vault.write(house.writing(), WriteRequest([patient("p1", "a")]))
            gone = NewObject("Patient", "p1", b"", (), (), delete=True)
            (written,) = await house.vault.write(house.writing(), WriteRequest([gone]))
            assert written.version == 2
            with pytest.raises(ObjectDeletedError):
                await house.vault.read(house.permit(Action.OBJECT_READ), "Patient", "p1")
            (again,) = await house.vault.write(house.writing(), WriteRequest([patient("p1", "b")]))
            assert (again.version, again.created) == (3, True)

    asyncio.run(main())


def test_what_is_written_over_an_erased_patient_is_created(open_house) -> None:
    """As over a deletion: nobody can read what was there, so there is nothing to update, expect or delete."""

    async def main() -> None:
        async with open_house() as house:
            await house.vault.write(house.writing(), WriteRequest([patient("p1", "a"), patient("p2", "b")]))
            await erase(house, "p1")
            gone = NewObject("Patient", "p1", b"", (), (), delete=True)
            (none,) = await house.vault.write(house.writing(), WriteRequest([gone]))
            assert (none.version, none.created) == (1, False)
            with pytest.raises(CompartmentErasedError):
                await house.vault.read(house.permit(Action.OBJECT_READ), "Patient", "p1")
            with pytest.raises(VersionConflictError):
                await house.vault.write(house.writing(), WriteRequest([patient("p1", "x", if_version=1)]))
            creating = house.permit(Action.OBJECT_CREATE)
            with pytest.raises(RefusedError):
                await house.vault.write(house.permit(Action.OBJECT_UPDATE), WriteRequest([patient("p1", "x")]))
            (again,) = await house.vault.write(creating, WriteRequest([patient("p1", "again", if_version=0)]))
            assert (again.version, again.created) == (2, True)
            (later,) = await house.vault.write(house.writing(), WriteRequest([patient("p1", "later")]))
            assert (later.version, later.created) == (3, False)

    asyncio.run(main())


def test_search_finds_by_terms_and_pages_without_holes(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            objects = [patient("p1", "a", new=True), patient("p2", "b", new=True)]
            objects += [observation(f"o{n}", f"p{n % 2 + 1}", f"c{n % 5}") for n in range(40)]
            await house.vault.write(house.writing(), WriteRequest(objects))
            seeing = house.permit(Action.OBJECT_SEARCH)
            query = Query(("Observation",), [["Observation|patient|p1"]], count=7)
            found: list[str] = []
            for _ in range(10):
                page = await house.vault.search(seeing, query)
                found += [item.id for item in page.items]
                if page.next is None:
                    break
                query.cursor = page.next
            assert sorted(found) == sorted(f"o{n}" for n in range(0, 40, 2))
            both = Query(
                ("Observation",),
                [["Observation|patient|p1"], ["Observation|code|c1", "Observation|code|c2"]],
                total=True,
            )
            page = await house.vault.search(seeing, both)
            assert page.total == len(page.items) == 8
            walked = await house.vault.search(seeing, Query(("Observation",), [["Observation|all"]], count=15))
            assert [item.id for item in walked.items] == [f"o{n}" for n in range(39, 24, -1)]
            everything = await house.vault.search(seeing, Query((), patient="p2", count=100))
            assert len(everything.items) == 21

    asyncio.run(main())


def test_a_cursor_serves_only_its_own_query(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await house.vault.write(house.writing(), WriteRequest([observation(f"o{n}", "p1", "c") for n in range(5)]))
            seeing = house.permit(Action.OBJECT_SEARCH)
            page = await house.vault.search(seeing, Query(("Observation",), [["Observation|patient|p1"]], count=2))
            for query in (
                Query(("Observation",), [["Observation|code|c"]], count=2, cursor=page.next),
                Query(("Observation",), [["Observation|patient|p1"]], count=2, cursor=page.next[:-2] + "AA"),
                Query(("Observation",), [["Observation|patient|p1"]], count=2, cursor="x" * 600),
            ):
                with pytest.raises(CursorError):
                    await house.vault.search(seeing, query)

    asyncio.run(main())


def test_conditional_creates_that_race_make_one(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:

            async def create(n: int) -> bool:
                condition = Condition("k", "Patient", [["Patient|name|zoé"]])

                def build(found):
                    return [] if found["k"] else [patient(f"p{n}", "zoé", new=True)]

                return bool(await house.vault.write(house.writing(), WriteRequest(build, [condition])))

            assert sum(await asyncio.gather(*(create(n) for n in range(6)))) == 1

    asyncio.run(main())


@pytest.mark.parametrize("still", [False, True])
def test_a_condition_that_was_overtaken_is_looked_at_again(open_house, still: bool) -> None:
    """It found an object that another writer was changing: what is there under the lock decides."""

    async def main() -> None:
        async with open_house() as house:
            await house.vault.write(house.writing(), WriteRequest([patient("p1", "zoé")]))
            slow = SlowSites(house)
            other = dataclasses.replace(house, sites=slow).new_vault()
            changed = patient("p1", "zoé" if still else "ada")
            first = asyncio.create_task(other.write(house.writing(), WriteRequest([changed])))
            await slow.reached.wait()

            def build(found):
                return [NewObject("Patient", id_, b"", (), (), delete=True) for id_ in found["k"]]

            condition = Condition("k", "Patient", [["Patient|name|zoé"]])
            second = asyncio.create_task(house.vault.write(house.writing(), WriteRequest(build, [condition])))
            waiting = 0
            while not waiting:
                async with house.database.transaction() as connection:
                    cursor = await connection.execute(
                        "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    )
                    waiting = len(await cursor.fetchall())
            slow.go.set()
            assert [one.version for one in await first] == [2]
            assert [one.version for one in await second] == ([3] if still else [])
            reading = house.vault.read(house.permit(Action.OBJECT_READ), "Patient", "p1")
            if still:
                with pytest.raises(ObjectDeletedError):
                    await reading
            else:
                assert b"ada" in (await reading).body
            await other.close()

    asyncio.run(main())


def test_a_permit_opens_only_what_it_was_given_for(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            with pytest.raises(RefusedError):
                await house.vault.write(house.permit(Action.OBJECT_UPDATE), WriteRequest([patient("p1", "a")]))
            await house.vault.write(house.writing(), WriteRequest([patient("p1", "a")]))
            with pytest.raises(RefusedError):
                await house.vault.read(house.permit(Action.OBJECT_SEARCH), "Patient", "p1")
            with pytest.raises(RefusedError):
                await house.vault.search(house.permit(Action.OBJECT_READ), Query(("Patient",)))

    asyncio.run(main())


def test_a_content_is_streamed_and_read_by_ranges(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            content = bytes(range(256)) * 40_000

            async def chunks():
                for start in range(0, len(content), 100_000):
                    yield content[start : start + 100_000]

            await house.vault.write_stream(
                house.writing(), "Binary", "b1", chunks(), header=b"{}", patients=("p1",), new=True
            )
            reading = house.permit(Action.OBJECT_READ)
            _, stream = await house.vault.open_stream(reading, "Binary", "b1")
            assert stream.size_bytes == len(content)
            for start, stop in ((0, len(content)), (4_194_300, 4_194_310), (len(content) - 1, len(content)), (5, 6)):
                assert b"".join([piece async for piece in stream.read(start, stop)]) == content[start:stop]

    asyncio.run(main())


def test_an_upload_that_is_cut_is_in_the_journal_as_its_key_was_given(open_house) -> None:
    """The client goes away, or the process dies: the record of keys and the journal tell the same story."""

    async def main() -> None:
        async with open_house() as house:
            await house.vault.write(house.writing(), WriteRequest([patient("p1", "Zoé", new=True)]))
            permit = house.writing()

            async def chunks():
                yield b"x" * 100_000
                raise ConnectionResetError

            with pytest.raises(ConnectionResetError):
                await house.new_vault().write_stream(
                    permit, "Binary", "b1", chunks(), header=b"{}", patients=("p1",), new=True
                )
            record = await house.kms.unwrap_record(-1, 1_000)
            lines = [line for line in record if line.permit == permit.permit_id.hex()]
            assert [line.reason for line in lines] == ["stream"]
            entries = [one for one in await journaled(house) if one.permit_id == permit.permit_id]
            assert [(one.action, one.outcome) for one in entries] == [(Action.OBJECT_CREATE, "intent")]
            assert entries[0].subject.hex() == lines[0].compartments[0]
            found = reconcile(lines, entries, now_ms=house.clock.now_ms() + 3_600_000)
            assert (found.matched, found.orphans) == (1, [])

    asyncio.run(main())


def test_a_content_whose_object_is_refused_leaves_no_row(open_house) -> None:
    """Its chunks are on the sites, named by nothing: catch-up sets them aside after a day."""

    async def main() -> None:
        async with open_house() as house:

            async def chunks():
                yield b"x" * 100_000

            with pytest.raises(VersionConflictError):
                await house.vault.write_stream(
                    house.writing(), "Binary", "b1", chunks(), header=b"{}", patients=("p1",), if_version=7
                )
            assert rows(house, "SELECT count(*) FROM blob_chunk") == [(0,)]
            assert list(house.folders.rglob("blobs/*/*/0000"))
            await house.vault.write_stream(
                house.writing(), "Binary", "b1", chunks(), header=b"{}", patients=("p1",), if_version=0
            )
            assert rows(house, "SELECT count(*) FROM blob_chunk") == [(1,)]

    asyncio.run(main())


def test_concurrent_reads_each_get_their_own_answer(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            await house.vault.write(
                house.writing(), WriteRequest([patient(f"p{n}", f"n{n}", new=True) for n in range(50)])
            )

            async def read(n: int) -> str:
                try:
                    stored = await house.vault.read(house.permit(Action.OBJECT_READ), "Patient", f"p{n}")
                except HygieError as error:
                    return error.code
                return str(json.loads(stored.body)["name"])

            answers = await asyncio.gather(*(read(n) for n in range(60)))
            assert answers == [f"n{n}" for n in range(50)] + ["HYG-300"] * 10

    asyncio.run(main())


def test_a_key_service_that_is_silent_is_waited_for_once_by_all_who_read(open_house, monkeypatch) -> None:
    """Each wait lasts seconds: a group of sixty-four readers that asked one by one would wait for minutes."""
    asked: list[int] = []

    async def silent(*_: object, **__: object) -> None:
        asked.append(1)
        raise KmsUnavailableError(part="answer")

    async def main() -> None:
        async with open_house() as house:
            await house.vault.write(
                house.writing(), WriteRequest([patient(f"p{n}", f"n{n}", new=True) for n in range(20)])
            )
            await erase(house, "p1")
            other = house.new_vault()

            async def read(n: int) -> str:
                try:
                    await other.read(house.permit(Action.OBJECT_READ), "Patient", f"p{n}")
                except HygieError as error:
                    return error.code
                return "read"

            with monkeypatch.context() as patched:
                patched.setattr(type(house.kms), "unwrap", silent)
                answers = await asyncio.gather(*(read(n) for n in range(21)))
            assert answers == ["HYG-430", "HYG-351"] + ["HYG-430"] * 18 + ["HYG-300"]
            assert len(asked) <= 2
            assert await read(0) == "read"

    asyncio.run(main())
