"""Attacks on the published logs of the proof plane: a site's holder alters, removes, replays or plants segments."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hygie.registers.orm import setup
from hygie.segments import rows
from hygie.segments.errors import LogWentBackError, SegmentBrokenError
from hygie.segments.format import open_segment
from hygie.segments.named import compare
from hygie.segments.publish import proof_keys
from hygie.sites.scrub import scrub
from tests.unit.segments.stage import BATCHES, RECORDS, Logs, logs_of
from tests.unit.vault.conftest import new_kms

setup()
Play = Callable[[Callable[[Logs], Awaitable[None]]], None]
FIRST = "proof/records/000000000001-000000000002"
SECOND = "proof/records/000000000003-000000000003"


@pytest.fixture
def play(open_house: Any) -> Play:
    """Runs one attack on the logs of a fresh installation: two segments of registers, one of evidence."""

    def run(acts: Callable[[Logs], Awaitable[None]]) -> None:
        async def main() -> None:
            async with open_house() as house, logs_of(house) as logs:
                await logs.write("A", "B")
                await logs.evaluate(2)
                await logs.publisher().publish()
                await logs.write("C")
                await logs.publisher().publish()
                await house.sites.drain(5)
                await acts(logs)

        asyncio.run(main())

    return run


def altered(path: Path, how: str) -> None:
    """Damage one copy."""
    data = bytearray(path.read_bytes())
    path.chmod(0o600)
    if how == "removed":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(data[:-1])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        data[int(how)] ^= 1
        path.write_bytes(bytes(data))


HOW = ["0", "12", "30", "60", "100", "-70", "-1", "removed", "truncated", "emptied"]


@pytest.mark.parametrize("how", HOW)
def test_a_damaged_copy_is_named_by_scrub_and_mended(play: Play, how: str) -> None:
    async def acts(logs: Logs) -> None:
        path = logs.path("lyon", FIRST)
        held = path.read_bytes()
        altered(path, how)
        report = await scrub(logs.house.sites, rows.published_objects(logs.records))
        assert [(one.site, one.name) for one in (*report.damaged, *report.missing)] == [("lyon", FIRST)]
        assert len(report.mended) == 1
        assert path.read_bytes() == held
        assert (await scrub(logs.house.sites, rows.published_objects(logs.records))).clean

    play(acts)


@pytest.mark.parametrize("how", HOW)
def test_a_rebuild_from_one_damaged_site_says_what_lacks_and_another_site_gives_it(play: Play, how: str) -> None:
    async def acts(logs: Logs) -> None:
        before, named = await logs.dump(), await logs.named()
        altered(logs.path("lyon", FIRST), how)
        await logs.lose()
        report = await logs.take_back("lyon", named=named)
        assert not report.whole
        assert report.lacking == {RECORDS: [(1, 2)], BATCHES: []}
        assert [one.split(" (")[0] for one in report.damaged] == ([] if how == "removed" else [f"lyon: {FIRST}"])
        report = await logs.take_back("lyon", "paris", named=named)
        assert report.whole
        assert await logs.dump() == before

    play(acts)


def test_a_segment_under_another_name_is_refused(play: Play) -> None:
    """Replayed: an old segment in the place of a newer one, or numbered further."""

    async def acts(logs: Logs) -> None:
        before, named = await logs.dump(), await logs.named()
        first = logs.path("paris", FIRST)
        shutil.copy(first, logs.path("paris", SECOND))
        shutil.copy(first, logs.path("paris", "proof/records/000000000004-000000000005"))
        shutil.copy(first, logs.path("paris", "proof/batches/000000000003-000000000004"))
        await logs.lose()
        report = await logs.take_back("paris", named=named)
        assert report.lacking[RECORDS] == [(3, 3)]
        assert len(report.damaged) == 3
        assert all("(renamed)" in one for one in report.damaged)
        assert (await logs.take_back("paris", "lyon", named=named)).whole
        assert await logs.dump() == before

    play(acts)


def test_a_segment_of_another_installation_is_refused(play: Play, tmp_path: Path) -> None:
    async def acts(logs: Logs) -> None:
        named = await logs.named()
        stranger = new_kms(tmp_path / "stranger")
        try:
            with pytest.raises(SegmentBrokenError) as refused:
                open_segment(logs.path("paris", FIRST).read_bytes(), await proof_keys(stranger), name=FIRST)
            assert refused.value.facts["reason"] == "signature"
        finally:
            await stranger.close()
        # planted beyond the end: neither believed by who publishes, nor in the way
        planted = logs.path("paris", "proof/records/000000000004-000000000009")
        planted.write_bytes(bytes(200))
        await logs.write("D")
        assert await logs.publisher().publish() == 1
        assert await logs.end(RECORDS) == 4
        await logs.lose()
        report = await logs.take_back("lyon", "paris", named=await logs.named())
        assert report.whole
        assert report.damaged == ["paris: proof/records/000000000004-000000000009 (signature)"]
        assert named.writes[RECORDS].keys() == {2, 3}

    play(acts)


def test_a_segment_of_a_place_restored_aside_does_not_take_the_place_of_what_the_journal_names(play: Play) -> None:
    """The same keys signed both: the journal tells which one is ours."""

    async def acts(logs: Logs) -> None:
        ours = logs.path("lyon", SECOND).read_bytes()
        before, named = await logs.dump(), await logs.named()
        # what a drill's place would write after the same beginning
        await logs.sql("DELETE FROM hygie_proof.record WHERE seq = 3")
        await logs.sql(
            "UPDATE hygie_proof.head SET seq = 2, digest = (SELECT digest FROM hygie_proof.record WHERE seq = 2)"
            " WHERE log = 'records'"
        )
        await logs.sql("DELETE FROM hygie.proof_object WHERE first = 3")
        for site in ("paris", "lyon", "lille"):
            logs.path(site, SECOND).unlink()
        await logs.write("other")
        await logs.publisher().publish()
        await logs.house.sites.drain(5)
        assert logs.path("paris", SECOND).read_bytes() != ours
        logs.path("lyon", SECOND).write_bytes(ours)
        await logs.lose()
        report = await logs.take_back("paris", named=named)
        assert report.passed_over == [SECOND]
        assert report.lacking[RECORDS] == [(3, 3)]
        report = await logs.take_back("lyon", named=named)
        assert report.whole
        assert await logs.dump() == before

    play(acts)


def test_another_history_under_a_published_name_is_never_written_over(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        await logs.sql("DELETE FROM hygie_proof.record WHERE seq = 3")
        await logs.sql(
            "UPDATE hygie_proof.head SET seq = 2, digest = (SELECT digest FROM hygie_proof.record WHERE seq = 2)"
            " WHERE log = 'records'"
        )
        await logs.sql("DELETE FROM hygie.proof_object WHERE first = 3")
        await logs.write("other")
        held = {site: logs.path(site, SECOND).read_bytes() for site in ("paris", "lyon", "lille")}
        with pytest.raises(LogWentBackError):
            await logs.publisher().publish()
        assert {site: logs.path(site, SECOND).read_bytes() for site in held} == held

    play(acts)


def test_both_tables_of_yesterday_are_found_by_the_journal(play: Play) -> None:
    """Whoever owns the database makes both logs whole again as they were: their chains hold, the journal does not."""

    async def acts(logs: Logs) -> None:
        await logs.sql("DELETE FROM hygie_proof.record WHERE seq = 3")
        await logs.sql("DELETE FROM hygie_proof.run WHERE batch = 2")
        await logs.sql("DELETE FROM hygie_proof.batch WHERE seq = 2")
        for log, table in ((RECORDS, "record"), (BATCHES, "batch")):
            await logs.sql(
                "UPDATE hygie_proof.head h SET (seq, at_ms, digest) = (SELECT seq, at_ms, digest FROM"
                f" hygie_proof.{table} ORDER BY seq DESC LIMIT 1) WHERE log = '{log}'"
            )
        await logs.on_logs(lambda registers, evidence: (registers.verify(), evidence.verify()))
        named = await logs.named()
        async with logs.records.transaction() as connection:
            assert (await compare(connection, named, RECORDS)).shown() == "3"
            assert (await compare(connection, named, BATCHES)).shown() == "2"
        # what is written next would be a second history: the journal names both
        await logs.write("other")
        named = await logs.named()
        async with logs.records.transaction() as connection:
            assert (await compare(connection, named, RECORDS)).shown() == "≠ 3"

    play(acts)


def test_a_hole_that_no_rebuild_declared_excuses_nothing(play: Play) -> None:
    async def acts(logs: Logs) -> None:
        await logs.sql("DELETE FROM hygie_proof.record WHERE seq = 3")
        await logs.sql("INSERT INTO hygie_proof.hole VALUES ('records', 3, 3, decode(repeat('00', 32), 'hex'))")
        async with logs.records.transaction() as connection:
            assert (await compare(connection, await logs.named(), RECORDS)).lacking == [(3, 3)]

    play(acts)
