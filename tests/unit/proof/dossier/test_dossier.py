"""A dossier stands alone: what was known at a date, whole, the same bytes each time, and nobody else's traces."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.base.settings import default_settings
from hygie.database.cluster import Dsns
from hygie.dossiers import run_stamp
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.errors import EntryNotFoundError, JournalTamperedError, TimestampUnavailableError
from hygie.journal.stamps import last_stamp
from hygie.proof.dossier.logs import document_fields
from hygie.proof.errors import EvidenceTamperedError, NothingKnownError, ScopeUnknownError, TrialEvidenceError
from hygie.registers.schema import shipped_schemas
from hygie.verify.dossier import DossierReport, DossierVerifier, Keys
from hygie.verify.errors import DossierTamperedError
from hygie.verify.main import run
from hygie.verify.source import Source
from tests.unit.proof.dossier.stage import (
    CHU,
    MINUTE_MS,
    OTHER,
    REFERENTIAL,
    START_MS,
    Place,
    opened,
    person,
    policy,
    story,
)

Scene = Callable[[Callable[[Place], Awaitable[None]]], None]


@pytest.fixture
def scene(database: Dsns, tmp_path: Path) -> Scene:
    """Runs a test's coroutine over an installation on which the story was played."""

    def play(act: Callable[[Place], Awaitable[None]]) -> None:
        async def main() -> None:
            async with opened(database, tmp_path) as place:
                await story(place)
                await act(place)

        asyncio.run(main())

    return play


def verify(path: Path, **keys: Any) -> DossierReport:
    return DossierVerifier(Source(path), Keys(**keys)).run()


def options(path: Path, **given: Any) -> argparse.Namespace:
    """What the command line gives the verifier."""
    without = dict.fromkeys(("key", "witness", "dossier_key", "tsa"))
    return argparse.Namespace(export=path, json=False, show=False, strict=False, **{**without, **given})


def read(path: Path, name: str) -> Any:
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read(name))


def test_a_dossier_verifies_with_the_keys_of_its_installation(scene: Scene) -> None:
    async def act(place: Place) -> None:
        written = await place.dossier()
        house = place.house
        witness = house.witness()
        assert witness is not None
        report = verify(written.path, log=await house.log_key(), witness=witness.key)
        held = {name: report.held[name] for name in ("runs", "batches", "writes", "documents", "absent")}
        assert held == {"runs": 48, "batches": 12, "writes": 5, "documents": 1, "absent": 0}
        assert (report.what, report.lost, report.stamped_s) == ("dossier", [], None)
        assert report.journal.witness_key_trusted
        assert not report.dossier_key_trusted
        assert report.counts[REFERENTIAL] == {"satisfied": 3}
        assert report.counts[OTHER] == {"satisfied": 1, "unknown": 1}
        assert written.path.stat().st_mode & 0o777 == 0o600

    scene(act)


def test_the_same_state_and_date_give_the_same_bytes_whatever_comes_after(scene: Scene) -> None:
    async def act(place: Place) -> None:
        at_ms = START_MS + 8 * MINUTE_MS
        one = await place.dossier("one.zip", at_ms=at_ms)
        await place.evaluate(3, first=20)
        await place.write([person(4)])
        await place.trace(300)  # past a whole tile of the journal
        await place.seal()
        two = await place.dossier("two.zip", at_ms=at_ms)
        assert one.path.read_bytes() == two.path.read_bytes()
        report = verify(two.path)
        assert (report.held["batches"], report.held["writes"], report.at_ms) == (7, 4, at_ms)
        assert verify((await place.dossier("now.zip")).path).held["batches"] == 15

    scene(act)


def test_a_trial_is_refused_but_as_a_demonstration_that_says_so(scene: Scene) -> None:
    async def act(place: Place) -> None:
        await place.evaluate(1, mode="trial", first=30)
        await place.seal()
        with pytest.raises(TrialEvidenceError) as caught:
            await place.dossier()
        assert caught.value.facts == {"batch": 13}
        assert list(place.folder.glob("*.zip")) + list(place.folder.glob(".tmp*")) == []
        written = await place.dossier(demonstration=True)
        assert verify(written.path).what == "demonstration"
        with zipfile.ZipFile(written.path) as file:
            files = {name: file.read(name) for name in file.namelist()}
        files["manifest.json"] = files["manifest.json"].replace(b'"what":"demonstration"', b'"what":"dossier"')
        with zipfile.ZipFile(place.folder / "passed-off.zip", "w") as file:
            for name, data in files.items():
                file.writestr(name, data)
        with pytest.raises(DossierTamperedError) as refused:
            verify(place.folder / "passed-off.zip")
        assert refused.value.facts == {"part": "batch", "name": 13, "reason": "trial"}

    scene(act)


def test_a_scope_keeps_its_requirements_and_all_the_evidence(scene: Scene) -> None:
    async def act(place: Place) -> None:
        written = await place.dossier(scope=["hds"])
        report = verify(written.path)
        assert list(report.counts) == [REFERENTIAL]
        assert report.held["batches"] == 12
        with pytest.raises(ScopeUnknownError):
            await place.dossier("x.zip", scope=["pci"])

    scene(act)


def test_traces_are_one_clients_or_the_platforms(scene: Scene) -> None:
    async def act(place: Place) -> None:
        shown: list[dict[str, Any]] = []

        async def sampled(name: str, **wanted: Any) -> set[str]:
            written = await place.dossier(name, **wanted)
            shown.clear()
            report = DossierVerifier(Source(written.path), Keys(), lambda _, entry: shown.append(entry)).run()
            assert report.held["sampled"] == min(wanted.get("sample", 100), len(shown))
            return {one["tenant"] for one in shown if one["kind"] != "evidence"}

        assert await sampled("p.zip", sample=4) == {PLATFORM.hex()}
        assert await sampled("c.zip", sample=10, tenant_id=CHU) == {CHU.hex()}
        first = {one["account"] for one in shown if one["kind"] == "access"}
        assert len(first) == 10
        await sampled("d.zip", sample=10, tenant_id=CHU, seed=bytes(32))
        assert first != {one["account"] for one in shown if one["kind"] == "access"}
        assert verify(place.folder / "c.zip").sample == {"tenant": CHU.hex(), "seed": ""}
        assert verify(place.folder / "d.zip").sample == {"tenant": CHU.hex(), "seed": bytes(32).hex()}

    scene(act)


def test_without_the_other_entries_of_the_journal_it_says_what_is_not_proven(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(place: Place) -> None:
        await place.trace(400)
        await place.seal()
        whole = await place.dossier("w.zip")
        part = await place.dossier("p.zip", whole=False)
        report = verify(part.path)
        assert (report.journal.selected, report.held["batches"]) == (True, 12)
        assert part.entries < whole.entries / 2
        for path, first in ((whole.path, "WHOLE: dossier"), (part.path, "IN PART: dossier")):
            assert run(options(path), "en") == 0
            assert capsys.readouterr().out.startswith(first)

    scene(act)


def test_a_quiet_journal_is_waited_for_until_the_witness_has_seen_it_at_the_date(scene: Scene) -> None:
    """What the witness cosigned long before the date says nothing of what came in between."""

    async def act(place: Place) -> None:
        place.clock.ms += 20 * MINUTE_MS
        writing = asyncio.create_task(place.dossier())
        await asyncio.sleep(2)
        assert not writing.done()
        await place.trace(1)
        await place.seal()
        report = verify((await writing).path)
        assert report.journal.cosigned_s is not None
        assert report.journal.cosigned_s * 1000 > report.at_ms

    scene(act)


def test_a_log_that_was_begun_again_is_told_first(scene: Scene) -> None:
    async def act(place: Place) -> None:
        await place.sql("TRUNCATE hygie_proof.run, hygie_proof.batch, hygie_proof.record")
        await place.sql("UPDATE hygie_proof.head SET seq = 0, at_ms = 0, digest = decode(repeat('00', 32), 'hex')")
        with pytest.raises(NothingKnownError):
            await place.dossier()
        await place.evaluate(2)
        await place.write([person(9)])
        await place.seal()
        report = verify((await place.dossier()).path)
        assert [(one["log"], one["first"], one["last"]) for one in report.lost] == [
            ("batches", 1, 12),
            ("writes", 1, 5),
        ]
        assert report.held["batches"] == 2

    scene(act)


def test_a_hole_that_no_entry_declares_gives_none_of_a_date_after_it_and_is_named(scene: Scene) -> None:
    async def act(place: Place) -> None:
        await place.sql(
            "INSERT INTO hygie_proof.hole SELECT 'batches', 5, 5, digest FROM hygie_proof.batch WHERE seq = 5"
        )
        await place.sql("DELETE FROM hygie_proof.run WHERE batch = 5")
        await place.sql("DELETE FROM hygie_proof.batch WHERE seq = 5")
        with pytest.raises(EvidenceTamperedError) as caught:
            await place.dossier()
        assert caught.value.facts == {"batch": 5, "reason": "missing"}
        assert verify((await place.dossier(at_ms=START_MS + 3 * MINUTE_MS)).path).held["batches"] == 3

    scene(act)


def test_a_store_that_does_not_hold_gives_no_dossier(scene: Scene) -> None:
    async def act(place: Place) -> None:
        await place.sql("UPDATE hygie_proof.run SET body = replace(body, 'unsatisfied', 'satisfied') WHERE batch = 5")
        with pytest.raises(EvidenceTamperedError) as caught:
            await place.dossier()
        assert caught.value.facts["batch"] == 5
        assert list(place.folder.glob("*.zip")) + list(place.folder.glob(".tmp*")) == []

    scene(act)


def test_an_entry_of_evidence_that_names_nothing_is_named(scene: Scene) -> None:
    async def act(place: Place) -> None:
        forged = Entry(Action.CHECK_RUN, "done", "evidence", place.clock.now_ms(), account="system:work")
        await place.writer.append_now([forged])
        await place.seal()
        with pytest.raises(JournalTamperedError):
            await place.dossier()

    scene(act)


def test_a_file_that_is_lost_is_said_to_be(scene: Scene) -> None:
    async def act(place: Place) -> None:
        await place.write([policy("ab" * 32)])
        await place.seal()
        written = await place.dossier()
        assert read(written.path, "manifest.json")["documents"]["absent"] == ["ab" * 32]
        held = verify(written.path).held
        assert (held["documents"], held["absent"]) == (1, 1)

    scene(act)


def test_drills_and_certificates_up_to_the_date_are_in(scene: Scene) -> None:
    async def act(place: Place) -> None:
        data = place.house.folder.path
        for name, ended_ms in (("early", START_MS), ("late", START_MS * 2)):
            folder = data / "drills" / name
            folder.mkdir(parents=True)
            (folder / "report.json").write_text(json.dumps({"report": {"ended_at_ms": ended_ms}}))
        place.house.folder.erasures.mkdir()
        (place.house.folder.erasures / "e1.json").write_text(json.dumps({"certificate": {"issued_at_ms": START_MS}}))
        (place.house.folder.erasures / "e2.json").write_text("{")
        files = read((await place.dossier()).path, "manifest.json")["files"]
        assert [one for one in files if one.startswith(("drills/", "erasures/"))] == [
            "drills/early.json",
            "erasures/e1.json",
        ]

    scene(act)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the authority")
def test_the_working_process_stamps_what_has_grown_and_nothing_when_nobody_stamps(
    database: Dsns, tmp_path: Path
) -> None:
    from tests.unit.journal.authority import new_authority

    authority = new_authority(tmp_path / "tsa")

    async def main() -> None:
        async with opened(database, tmp_path) as place:
            assert await run_stamp(place.house, place.records) is None  # no authority: nothing is asked
            house = replace(place.house, settings=authority.settings(default_settings()))
            with pytest.raises(EntryNotFoundError):
                await run_stamp(house, place.records)
            await place.trace(3)
            await place.seal()
            stamp = await run_stamp(house, place.records)
            assert stamp is not None
            assert stamp.size == 3
            assert await run_stamp(house, place.records) is None
            await place.trace(1)
            await place.seal()
            again = await run_stamp(house, place.records)
            assert again is not None
            assert last_stamp(house.folder.timestamps) == again
            authority.root.unlink()
            with pytest.raises(TimestampUnavailableError):
                await run_stamp(house, place.records)

    asyncio.run(main())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the authority")
def test_a_stamped_journal_is_verified_with_the_authoritys_root(database: Dsns, tmp_path: Path) -> None:
    from tests.unit.journal.authority import new_authority

    authority = new_authority(tmp_path / "tsa")
    settings = default_settings()

    async def main() -> None:
        async with opened(database, tmp_path, authority.settings(settings)) as place:
            place.clock.ms = authority.now_ms() - 60 * MINUTE_MS  # it stamps the machine's own time
            await story(place)
            place.clock.ms = authority.now_ms()
            await place.trace(1)
            await place.seal()
            at_ms = place.clock.ms - 20 * MINUTE_MS
            written = await place.dossier(at_ms=at_ms)
            report = verify(written.path, tsa=authority.root.read_bytes())
            assert report.authority_trusted
            assert report.stamped_s is not None
            assert abs(report.stamped_s * 1000 - authority.now_ms()) < 60_000
            assert not verify(written.path).authority_trusted
            with pytest.raises(DossierTamperedError) as caught:
                verify(written.path, tsa=new_authority(tmp_path / "other").root.read_bytes())
            assert caught.value.facts["reason"] == "chain"
            again = await place.dossier("again.zip", at_ms=at_ms)
            assert again.path.read_bytes() == written.path.read_bytes()  # the stamp was kept

    asyncio.run(main())


def test_sealed_recordings_are_left_out() -> None:
    fields = document_fields(shipped_schemas())
    assert "recorded-session" not in fields
    assert fields["policy"]
