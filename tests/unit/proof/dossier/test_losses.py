"""A dossier of logs out of which a database's loss took some: told, never proof, and never what somebody removed."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.database.cluster import Dsns
from hygie.journal.entry import Entry
from hygie.proof.errors import EvidenceTamperedError
from hygie.registers.errors import RegisterTamperedError
from hygie.verify.dossier import DossierReport, DossierVerifier, Keys
from hygie.verify.errors import DossierTamperedError
from hygie.verify.main import main
from hygie.verify.source import Source
from tests.attack.dossier_forger import MemorySource, own
from tests.unit.proof.dossier.stage import CHECKS, MINUTE_MS, Place, opened, person, story

Scene = Callable[[Callable[[Place], Awaitable[None]]], None]
TABLES = {"batches": ("batch", "seq"), "records": ("record", "seq")}


@pytest.fixture
def scene(database: Dsns, tmp_path: Path) -> Scene:
    """Runs a test's coroutine over an installation on which the story was played: 12 evaluations, 5 writes."""

    def play(act: Callable[[Place], Awaitable[None]]) -> None:
        async def run() -> None:
            async with opened(database, tmp_path) as place:
                await story(place)
                await act(place)

        asyncio.run(run())

    return play


def verify(path: Path) -> DossierReport:
    return DossierVerifier(Source(path), Keys()).run()


async def lose(place: Place, log: str, first: int, last: int) -> None:
    """Numbers that no site holds, noted as a rebuild notes them."""
    table, number = TABLES[log]
    await place.sql(
        f"INSERT INTO hygie_proof.hole SELECT '{log}', {first}, {number}, digest FROM hygie_proof.{table}"
        f" WHERE {number} = {last}"
    )
    if log == "batches":
        await place.sql(f"DELETE FROM hygie_proof.run WHERE batch BETWEEN {first} AND {last}")
    await place.sql(f"DELETE FROM hygie_proof.{table} WHERE {number} BETWEEN {first} AND {last}")


async def declare(place: Place, **lacking: str) -> None:
    """The entry of a rebuild."""
    detail = {"site": "paris", "whole": "false", **lacking}
    await place.writer.append_now(
        [
            Entry(
                Action.VAULT_REBUILD,
                "done",
                "administration",
                place.clock.now_ms(),
                account="local:anne",
                detail=detail,
            )
        ]
    )
    await place.seal()


def told(report: DossierReport) -> list[tuple[str, int, int]]:
    return [(one["log"], one["first"], one["last"]) for one in report.lost]


def test_a_declared_loss_is_told_and_the_log_goes_on(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(place: Place) -> None:
        await lose(place, "batches", 11, 12)
        await lose(place, "records", 5, 5)
        await declare(place, lacking_batches="11-12", lacking_records="5-5")
        await place.evaluate(2, first=20)
        await place.write([person(9)])
        await place.seal()
        written = await place.dossier()
        report = verify(written.path)
        assert told(report) == [("batches", 11, 12), ("writes", 5, 5)]
        assert (report.held["batches"], report.held["writes"]) == (12, 5)
        assert report.counts["hds@2.0"] == {"satisfied": 3}  # said anew since
        assert verify((await place.dossier("part.zip", whole=False)).path).lost == report.lost
        with pytest.raises(SystemExit) as left:
            main([str(written.path)])
        assert left.value.code == 0
        out = capsys.readouterr().out
        assert out.startswith("LOST: batches 11 to 12")
        assert "NOT COMPLETE" in out
        assert "nothing altered, removed, added" not in out

    scene(act)


def test_between_a_loss_and_the_next_evaluation_nothing_is_known(scene: Scene) -> None:
    async def act(place: Place) -> None:
        at_ms = place.clock.ms - MINUTE_MS  # after the twelfth
        before_ms = at_ms - 6 * MINUTE_MS
        whole = (await place.dossier("before.zip", at_ms=before_ms)).path.read_bytes()
        await lose(place, "batches", 11, 12)
        await declare(place, lacking_batches="11-12")
        report = verify((await place.dossier("then.zip", at_ms=at_ms)).path)
        assert told(report) == [("batches", 11, 12)]
        assert report.counts["hds@2.0"] == {"unknown": 3}
        assert (await place.dossier("again.zip", at_ms=before_ms)).path.read_bytes() == whole

    scene(act)


def test_writes_lost_later_are_not_lost_at_an_earlier_date(scene: Scene) -> None:
    async def act(place: Place) -> None:
        written_ms = place.clock.ms
        place.clock.ms += 60 * MINUTE_MS
        await place.write([person(7)])
        await place.seal()
        await lose(place, "records", 6, 6)
        await declare(place, lacking_records="6-6")
        assert told(verify((await place.dossier("early.zip", at_ms=written_ms)).path)) == []
        assert told(verify((await place.dossier("late.zip")).path)) == [("writes", 6, 6)]

    scene(act)


def test_a_loss_that_a_site_brings_back_leaves_no_trace_but_in_the_journal(scene: Scene) -> None:
    async def act(place: Place) -> None:
        held = "SELECT * FROM hygie_proof"
        for table in ("batch", "run"):
            await place.sql(f"CREATE TABLE hygie_proof.kept_{table} AS {held}.{table}")
        await lose(place, "batches", 9, 12)
        await declare(place, lacking_batches="9-12")
        await place.evaluate(2, first=20)
        for table, number in (("batch", "seq"), ("run", "batch")):
            await place.sql(f"INSERT INTO hygie_proof.{table} {held}.kept_{table} WHERE {number} BETWEEN 9 AND 12")
        await place.sql("DELETE FROM hygie_proof.hole")
        await place.seal()
        report = verify((await place.dossier()).path)
        assert (told(report), report.held["batches"]) == ([], 14)

    scene(act)


@pytest.mark.parametrize("log", ["batches", "records"])
def test_what_was_removed_and_called_lost_gives_no_dossier(scene: Scene, log: str) -> None:
    """The database's owner takes a red evaluation, or a write, out, and notes a hole: no rebuild declared it."""

    async def act(place: Place) -> None:
        await declare(place)
        await lose(place, log, 3, 3)
        with pytest.raises(EvidenceTamperedError if log == "batches" else RegisterTamperedError) as caught:
            await place.dossier()
        assert 3 in caught.value.facts.values()
        await declare(place, **{f"lacking_{log}": "4-9"})
        with pytest.raises(EvidenceTamperedError if log == "batches" else RegisterTamperedError):
            await place.dossier()
        assert list(place.folder.glob("*.zip")) + list(place.folder.glob(".tmp*")) == []

    scene(act)


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"entry": 0}, {"part": "batch", "name": 11, "reason": "lost"}),  # another entry declares nothing
        ({"first": 10}, {"part": "batch", "name": 10, "reason": "lost"}),
        ({"last": 13}, {"part": "batch", "name": 11, "reason": "lost"}),
        ({"digest": "00" * 32}, {"part": "batch", "name": 13, "reason": "altered"}),
        (None, {"part": "batch", "name": 11, "reason": "missing"}),
    ],
)
def test_a_manifest_that_says_another_loss_is_refused(
    scene: Scene, change: dict[str, Any] | None, facts: dict[str, Any]
) -> None:
    async def act(place: Place) -> None:
        await lose(place, "batches", 11, 12)
        await declare(place, lacking_batches="11-12")
        await place.evaluate(1, first=20)
        await place.seal()
        with zipfile.ZipFile((await place.dossier()).path) as file:
            files = {name: file.read(name) for name in file.namelist()}
        manifest = json.loads(files["manifest.json"])
        manifest["lost"] = [] if change is None else [manifest["lost"][0] | change]
        files["manifest.json"] = json.dumps(manifest).encode()
        own(files)
        with pytest.raises(DossierTamperedError) as caught:
            DossierVerifier(MemorySource(files), Keys()).run()
        assert caught.value.facts == facts

    scene(act)


def test_every_check_of_a_batch_after_a_loss_begins_again(scene: Scene) -> None:
    async def act(place: Place) -> None:
        await lose(place, "batches", 12, 12)
        await declare(place, lacking_batches="12-12")
        await place.evaluate(1, first=20)
        await place.seal()
        posture = json.loads(Source((await place.dossier()).path).read("posture.json", bytes_max=1 << 20))
        assert posture["lost"] == [[12, 12]]
        assert {row["since_ms"] == row["ran_ms"] for row in posture["checks"]} == {True}
        assert len(posture["checks"]) == len(CHECKS)

    scene(act)
