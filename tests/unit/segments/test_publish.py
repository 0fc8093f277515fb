"""What is new in the logs reaches the sites, once, whoever dies or works beside; and comes back from one of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from hygie.base.errors import HygieError
from hygie.registers.holes import Hole
from hygie.segments import rows
from hygie.segments.errors import LogWentBackError, SegmentBrokenError
from hygie.segments.publish import KEPT_MS, MERGE_FROM
from hygie.sites.catch_up import catch_up
from hygie.sites.errors import SiteQuorumError
from tests.unit.segments.stage import BATCHES, RECORDS, Logs, logs_of

Play = Callable[[Callable[[Logs], Awaitable[None]]], None]


@pytest.fixture
def play(open_house: Any) -> Play:
    """Runs one test's acts on both logs of a fresh installation."""

    def run(acts: Callable[[Logs], Awaitable[None]]) -> None:
        async def main() -> None:
            async with open_house() as house, logs_of(house) as logs:
                await acts(logs)

        asyncio.run(main())

    return run


def test_what_is_new_is_on_every_site_once(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        publisher = logs.publisher()
        await logs.write("A", "B")
        await logs.evaluate()
        assert await publisher.publish() == 3  # a catalogue, a segment of each log
        assert await publisher.publish() == 0
        await logs.write("C")
        assert await publisher.publish() == 1
        await logs.house.sites.drain(5)
        for site in ("paris", "lyon", "lille"):
            assert await logs.names(site, RECORDS) == [
                "000000000001-000000000002",
                "000000000003-000000000003",
            ]
            assert len(await logs.names(site)) == 4
        raw = b"".join(path.read_bytes() for path in logs.path("paris", "proof").rglob("*") if path.is_file())
        assert b"a.one" not in raw
        assert b"maker" not in raw

    play(acts)


def test_both_logs_come_back_from_one_site_and_go_on(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        digest = await logs.on_logs(lambda registers, _: registers.put_document("p.pdf", "application/pdf", b"%PDF"))
        await logs.write("A", f"B {digest}"[:40])
        await logs.evaluate(3)
        await logs.publisher().publish()
        await logs.house.sites.drain(5)
        before, named = await logs.dump(), await logs.named()
        await logs.lose()
        report = await logs.take_back("lille", named=named)
        assert report.whole
        assert (report.rows, report.files, report.damaged) == ({RECORDS: 2, BATCHES: 3}, 2, [])
        assert await logs.dump() == before
        await logs.write("D")
        await logs.evaluate()
        assert await logs.publisher().publish() == 2
        assert (await logs.end(RECORDS), await logs.end(BATCHES)) == (3, 4)
        await logs.on_logs(lambda registers, evidence: (registers.verify(), evidence.verify()))
        assert (await logs.take_back(named=await logs.named())).rows == {RECORDS: 0, BATCHES: 0}

    play(acts)


def test_a_document_that_records_name_and_no_site_has_is_said(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        digest = await logs.on_logs(lambda registers, _: registers.put_document("p.pdf", "application/pdf", b"%PDF"))
        changes = {"name": "A", "note": f"see {digest}"}
        await logs.on_logs(lambda registers, _: registers.write([_change(changes)]))
        await logs.publisher().publish()
        await logs.house.sites.drain(5)
        logs.path("lyon", f"proof/documents/{digest}").unlink()
        await logs.lose()
        report = await logs.take_back("lyon", named=await logs.named())
        assert (report.whole, report.documents) == (False, [digest])
        assert (await logs.take_back("lyon", "paris", named=await logs.named())).whole

    play(acts)


def test_a_writer_that_died_before_its_row_is_taken_over(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        await logs.write("A")
        await logs.publisher().publish()
        await logs.write("B")
        await logs.publisher().publish()
        await logs.sql("DELETE FROM hygie.proof_object WHERE first = 2")
        await logs.write("C")
        assert await logs.publisher().publish() == 1
        found = await logs.sql("SELECT first, last FROM hygie.proof_object WHERE log = 'records' ORDER BY first")
        assert found == [(1, 1), (2, 2), (3, 3)]

    play(acts)


def test_two_processes_at_once_write_one_chain(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        one, other = logs.publisher(), logs.publisher()
        for number in range(6):
            await logs.write(f"N{number}")
            await logs.evaluate()
            await asyncio.gather(one.publish(), other.publish())
        await asyncio.gather(one.publish(), other.publish())
        await logs.house.sites.drain(5)
        before, named = await logs.dump(), await logs.named()
        expected = {name: sha256 async for name, sha256, _ in rows.published_objects(logs.records)}
        for site in ("paris", "lyon", "lille"):
            for name, sha256 in expected.items():
                held = logs.path(site, name).read_bytes()
                assert hashlib.sha256(held).digest() == sha256, "what a site holds is what the database says it holds"
        await logs.lose()
        assert (await logs.take_back("lyon", named=named)).whole
        assert await logs.dump() == before

    play(acts)


def test_a_quorum_that_is_away_delays_and_loses_nothing(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        publisher = logs.publisher()
        await logs.write("A")
        away = [logs.path(site, "proof").parent for site in ("paris", "lyon")]
        for path in away:
            path.rename(path.with_name(path.name + "-away"))
        with pytest.raises((SiteQuorumError, HygieError)):
            await publisher.publish()
        assert await logs.end(RECORDS) == 0
        for path in away:
            path.with_name(path.name + "-away").rename(path)
        await logs.write("B")
        await publisher.publish()
        assert await logs.end(RECORDS) == 2

    play(acts)


def test_a_site_that_was_away_is_brought_the_segments(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        site = logs.path("lille", "proof").parent
        site.rename(site.with_name("lille-away"))
        await logs.write("A")
        await logs.publisher().publish()
        await logs.house.sites.drain(5)
        site.with_name("lille-away").rename(site)
        report = await catch_up(logs.house.sites, rows.published_objects(logs.records), prefixes=("proof/",))
        assert report.sites["lille"].copied == 1
        assert await logs.names("lille", RECORDS) == ["000000000001-000000000001"]

    play(acts)


def test_small_segments_become_one_and_go_a_day_later(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        publisher = logs.publisher()
        for number in range(MERGE_FROM):
            await logs.write(f"N{number}")
            await publisher.publish()
        assert await publisher.merge() == 1
        assert await publisher.merge() == 0
        merged = f"000000000001-{MERGE_FROM:012d}"
        assert await logs.sql("SELECT name FROM hygie.proof_object") == [(f"proof/records/{merged}",)]
        await logs.house.sites.drain(5)
        assert await publisher.tidy() == 0
        assert len(await logs.names("paris", RECORDS)) == MERGE_FROM + 1
        logs.clock.ms += KEPT_MS
        logs.path("lille", f"proof/records/{merged}").unlink()  # only where the merged one stands
        assert await publisher.tidy() == 2 * MERGE_FROM
        assert await logs.names("paris", RECORDS) == [merged]
        assert len(await logs.names("lille", RECORDS)) == MERGE_FROM
        before, named = await logs.dump(), await logs.named()
        for site in ("paris", "lille"):
            await logs.lose()
            assert (await logs.take_back(site, named=named)).whole
            assert await logs.dump() == before
        await logs.write("later")
        assert await logs.publisher().publish() == 1

    play(acts)


def test_what_is_merged_comes_from_the_sites_and_not_from_the_database(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        publisher = logs.publisher()
        for number in range(MERGE_FROM):
            await logs.write(f"N{number}")
            await publisher.publish()
        before, named = await logs.dump(), await logs.named()
        await logs.sql("UPDATE hygie_proof.record SET author = 'local:nobody' WHERE seq = 3")
        assert await publisher.merge() == 1
        await logs.lose()
        assert (await logs.take_back(named=named)).whole
        assert await logs.dump() == before

    play(acts)


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("DELETE FROM hygie_proof.record WHERE seq > 2; UPDATE hygie_proof.head SET seq = 2 WHERE log = 'records'", 3),
        ("UPDATE hygie_proof.record SET digest = decode(repeat('ab', 32), 'hex') WHERE seq = 4", 4),
        ("UPDATE hygie_proof.record SET reason = 'other' WHERE seq = 5", 5),
        ("DELETE FROM hygie_proof.record WHERE seq = 5", 5),
    ],
)
@pytest.mark.parametrize("anew", [True, False])
def test_a_database_that_went_back_is_not_published_over_the_sites(
    play: Play, statement: str, seq: int, anew: bool
) -> None:
    async def acts(logs: Logs) -> None:
        publisher = logs.publisher()
        await logs.write("A", "B", "C", "D")
        await publisher.publish()
        await logs.write("E", "F")
        for one in statement.split("; "):
            await logs.sql(one)
        with pytest.raises(LogWentBackError) as refused:
            await (logs.publisher() if anew else publisher).publish()
        assert (refused.value.facts["log"], refused.value.facts["seq"]) == (RECORDS, seq)

    play(acts)


def test_a_document_that_is_not_what_its_digest_says_is_named_and_stops_nothing_else(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        false = "00" * 32
        with psycopg.connect(logs.house.dsns.console) as console:  # all that a hostile session of that role can do
            console.execute(
                f"INSERT INTO hygie_proof.document VALUES (decode('{false}', 'hex'), 'n', 'm', 0, 'x')".encode()
            )
        await logs.write("A")
        publisher = logs.publisher()
        for _ in range(2):
            with pytest.raises(SegmentBrokenError) as refused:
                await publisher.publish()
            assert refused.value.facts["name"] == f"proof/documents/{false}"
        assert await logs.end(RECORDS) == 1
        assert await logs.names("paris", "documents") == []

    play(acts)


def test_an_older_database_is_brought_up_to_what_was_published(play: Play) -> None:
    """Yesterday's copy, put back with its own idea of what is published: it goes on where it was, without a fork."""

    async def acts(logs: Logs) -> None:
        await logs.write("A", "B")
        await logs.publisher().publish()
        await logs.write("C", "D")
        await logs.publisher().publish()
        before = await logs.dump()
        digest = (await logs.sql("SELECT digest FROM hygie_proof.record WHERE seq = 2"))[0][0]
        await logs.sql("DELETE FROM hygie_proof.record WHERE seq > 2")
        await logs.sql("DELETE FROM hygie.proof_object WHERE first > 2")
        await logs.sql(
            f"UPDATE hygie_proof.head SET seq = 2, digest = decode('{digest.hex()}', 'hex') WHERE log = 'records'"
        )
        report = await logs.take_back()
        assert report.rows[RECORDS] == 2
        after = await logs.dump()
        assert after == before
        await logs.write("E")
        assert await logs.publisher().publish() == 1

    play(acts)


def test_numbers_that_nobody_holds_are_said_and_never_given_again(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        await logs.write("A")
        await logs.evaluate(2)
        await logs.publisher().publish()
        await logs.house.sites.drain(5)
        await logs.write("lost", "lost too")
        await logs.evaluate()
        named = await logs.named()
        await logs.lose()
        report = await logs.take_back("paris", named=named)
        assert not report.whole
        assert report.lacking == {RECORDS: [(2, 3)], BATCHES: [(3, 3)]}
        assert report.shown() == ["records 2-3", "batches 3"]
        await logs.write("after")
        await logs.evaluate()
        assert await logs.publisher().publish() == 2
        assert [row[0] for row in await logs.sql("SELECT seq FROM hygie_proof.record ORDER BY seq")] == [1, 4]
        lost = named.writes[RECORDS][3].digest
        await logs.on_logs(lambda registers, _: registers.verify([Hole(2, 3, lost)]))
        # again, from the sites alone: the same numbers lack, the others are there
        again = await logs.named()
        await logs.lose()
        report = await logs.take_back("lyon", named=again)
        assert report.lacking == {RECORDS: [(2, 3)], BATCHES: [(3, 3)]}
        assert report.rows == {RECORDS: 2, BATCHES: 3}

    play(acts)


def test_a_site_that_comes_back_fills_the_hole(play: Play) -> None:
    """But for a record whose name another one took meanwhile: that one stays on the sites, and is said."""

    async def acts(logs: Logs) -> None:
        await logs.write("A")
        await logs.evaluate()
        await logs.publisher().publish()
        await logs.write("B")
        await logs.evaluate()
        await logs.publisher().publish()
        await logs.house.sites.drain(5)
        named = await logs.named()
        for site in ("paris", "lyon"):  # as they were before
            for name in (RECORDS, BATCHES):
                logs.path(site, f"proof/{name}/000000000002-000000000002").unlink()
        await logs.lose()
        lacking = (await logs.take_back("paris", "lyon", named=named)).lacking
        assert lacking == {RECORDS: [(2, 2)], BATCHES: [(2, 2)]}
        await logs.evaluate()
        await logs.write("C")
        await logs.publisher().publish()
        report = await logs.take_back("paris", "lyon", "lille", named=await logs.named())
        assert report.rows == {RECORDS: 0, BATCHES: 1}
        assert report.lacking == {RECORDS: [(2, 2)], BATCHES: []}
        assert report.passed_over == ["proof/records/000000000002-000000000002"]
        await logs.on_logs(lambda _, evidence: evidence.verify())
        await logs.write("D")
        await logs.evaluate()
        assert await logs.publisher().publish() == 2

    play(acts)


def _change(fields: dict[str, object]) -> Any:
    from hygie.registers.rules import Change

    return Change("maker", fields)
