"""Backups in a real folder: incremental, read back, checked, purged; each tampering is found and named."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from hygie.backups.check import BackupFault, Head, TargetReport, check_target, purge_target
from hygie.backups.copy import copy_objects, newest_snapshot, read_object
from hygie.backups.errors import (
    BackupDamagedError,
    BackupRefusedError,
    ManifestBrokenError,
    ManifestReplayedError,
    SnapshotAbsentError,
    TargetUnavailableError,
)
from hygie.backups.retention import RetentionPolicy
from hygie.backups.snapshot import manifest_name
from hygie.backups.target import FolderTarget
from hygie.sites.errors import ObjectDamagedError
from tests.unit.backups.stage import DAY_MS, NOON_MS, Bench, TestSigner, snapshot


async def check(bench: Bench, *, recorded: bool = True, now_ms: int = NOON_MS) -> TargetReport:
    last = bench.taken[-1]
    return await check_target(
        bench.target,
        public_keys=[bench.signer.public_key],
        policy=RetentionPolicy(),
        now_ms=now_ms,
        recorded=Head(last.snapshot.number, last.sha256) if recorded else None,
    )


def test_a_backup_is_whole_and_the_next_sends_only_what_is_new(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        await bench.backup(3)
        assert (bench.report.copied, bench.report.already) == (4, 0)
        await bench.backup(2, kms=b"state")
        assert (bench.report.copied, bench.report.already) == (4, 3)
        report = await check(bench)
        assert report.faults == []
        assert (len(report.snapshots), report.objects) == (2, 5 + 2 + 1)
        newest = await newest_snapshot(bench.target, [bench.signer.public_key])
        assert newest == bench.taken[-1]
        for ref in newest.snapshot.environments[0].packs:
            assert await read_object(bench.target, ref) == bench.packs[ref.name]
        await bench.sites.close()

    asyncio.run(main())


def test_a_folder_says_that_it_cannot_be_locked(tmp_path: Path) -> None:
    properties = Bench(tmp_path).target.properties
    assert not properties.locked
    assert "root" in properties.note_fr
    assert "root" in properties.note_en
    assert properties.administrator == "Somebody else"


def test_a_damaged_copy_on_one_site_is_not_backed_up_the_good_one_is(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        await bench.backup(1)
        name = f"packs/{'bb' * 16}/000000000001.pack"
        bench.packs[name] = b"pack 1 " * 200
        await bench.sites.place(name, bench.packs[name])
        (tmp_path / "paris" / name).write_bytes(b"PACK 1 " * 200)
        await bench.backup(0)
        assert (await check(bench)).faults == []
        await bench.sites.close()

    asyncio.run(main())


def test_without_an_intact_copy_there_is_no_snapshot(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        await bench.backup(1)
        draft = snapshot(2, {**bench.packs, "packs/e/x": b"expected"}, previous=bench.taken[-1].sha256, ledger=b"")
        await bench.sites.place("packs/e/x", b"not that")
        with pytest.raises(ObjectDamagedError):
            await bench.take(draft)
        assert bench.target.manifests() == [manifest_name(bench.taken[0].snapshot)]
        await bench.sites.close()

    asyncio.run(main())


def test_an_altered_manifest_is_found_and_named(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        await bench.backup(1)
        await bench.backup(1)
        path = bench.manifest_path(1)
        path.write_bytes(path.read_bytes().replace(b'"rpo_s":3600', b'"rpo_s":7200'))
        report = await check(bench)
        assert report.faults == [BackupFault(path.name, "", "signature")]
        assert list(report.snapshots) == [bench.manifest_path(2).name]
        with pytest.raises(ManifestBrokenError):
            await newest_snapshot(bench.target, [bench.signer.public_key])
        with pytest.raises(BackupRefusedError):
            await purge_target(
                bench.target, public_keys=[bench.signer.public_key], policy=RetentionPolicy(), now_ms=NOON_MS
            )
        await bench.sites.close()

    asyncio.run(main())


def test_a_manifest_signed_by_somebody_else_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        await bench.backup(1)
        draft = snapshot(2, bench.packs, previous=bench.taken[-1].sha256, ledger=b"")
        await bench.take(draft, signer=TestSigner())
        report = await check(bench)
        assert report.faults == [BackupFault(manifest_name(draft), "", "unknown-key")]
        await bench.sites.close()

    asyncio.run(main())


def test_a_missing_a_flipped_a_swapped_and_a_foreign_pack_are_found_and_named_and_sent_again(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        signed = await bench.backup(6)
        packs = signed.snapshot.environments[0].packs
        paths = [bench.object_path(ref.sha256) for ref in packs]
        paths[0].unlink()
        data = bytearray(paths[1].read_bytes())
        data[100] ^= 1
        paths[1].write_bytes(data)
        kept = paths[2].read_bytes()
        paths[2].write_bytes(paths[3].read_bytes())
        paths[3].write_bytes(kept)
        target = tmp_path / "elsewhere"
        target.write_bytes(paths[4].read_bytes())
        paths[4].unlink()
        paths[4].symlink_to(target)
        report = await check(bench)
        reasons = ["missing", "altered", "altered", "altered", "foreign"]
        expected = [
            BackupFault(manifest_name(signed.snapshot), ref.name, reason, ref.sha256)
            for ref, reason in zip(packs[:5], reasons, strict=True)
        ]
        assert report.faults == expected
        assert report.snapshots == {}
        for ref in packs[:5]:
            with pytest.raises(BackupDamagedError) as caught:
                await read_object(bench.target, ref)
            assert caught.value.facts["name"] == ref.name
        suspect = {fault.sha256 for fault in report.faults}
        again = await copy_objects(bench.sites, bench.target, packs, suspect=suspect)
        assert again.copied == 5
        assert (await check(bench)).faults == []
        await bench.sites.close()

    asyncio.run(main())


def test_an_old_manifest_replayed_as_the_newest_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        for _ in range(3):
            await bench.backup(1)
        first, last = bench.manifest_path(1), bench.manifest_path(3)
        raw = last.read_bytes()
        last.write_bytes(first.read_bytes())
        with pytest.raises(ManifestReplayedError) as caught:
            await check(bench)
        assert caught.value.facts == {"found": 2, "expected": 3}
        assert [(fault.snapshot, fault.reason) for fault in (await check(bench, recorded=False)).faults] == [
            (last.name, "renamed")
        ]
        last.unlink()
        with pytest.raises(ManifestReplayedError):
            await check(bench)
        assert (await check(bench, recorded=False)).faults == [], "the target alone cannot know: the journal does"
        last.write_bytes(raw)
        assert (await check(bench)).faults == []
        await bench.sites.close()

    asyncio.run(main())


def test_another_snapshot_under_the_recorded_number_and_a_broken_chain_are_found(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        await bench.backup(1)
        await bench.backup(1)
        other = snapshot(2, {}, previous="cc" * 32, at_ms=NOON_MS + 1, ledger=b"")
        bench.manifest_path(2).unlink()
        await bench.take(other)
        with pytest.raises(ManifestReplayedError):
            await check(bench)
        report = await check(bench, recorded=False)
        assert report.faults == [BackupFault(manifest_name(other), "", "chain")]
        await bench.sites.close()

    asyncio.run(main())


def test_purge_removes_old_snapshots_their_packs_and_old_keys_and_nothing_needed(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        days = [40, 39, 20, 3, 0]
        for day in days:
            await bench.backup(1, at_ms=NOON_MS - day * DAY_MS, kms=f"state of day {day}".encode())
        policy = RetentionPolicy(daily=3, weekly=0, monthly=0)
        manifests, objects = await purge_target(
            bench.target, public_keys=[bench.signer.public_key], policy=policy, now_ms=NOON_MS
        )
        assert sorted(manifests) == [manifest_name(bench.taken[index].snapshot) for index in (0, 1)]
        assert len(objects) == 3 * 2, "the ledgers and KMS states of days 40, 39 and 20; packs are still named"
        report = await check(bench)
        assert report.faults == []
        assert report.keys_expired == [manifest_name(bench.taken[2].snapshot)]
        for number, signed in enumerate(bench.taken):
            ledger = signed.snapshot.environments[0].ledger
            assert ledger is not None
            assert bench.object_path(ledger.sha256).exists() is (number >= 3)
        await bench.sites.close()

    asyncio.run(main())


def test_a_ledger_that_lacks_before_its_time_is_a_fault(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        signed = await bench.backup(1)
        ledger = signed.snapshot.environments[0].ledger
        assert ledger is not None
        bench.object_path(ledger.sha256).unlink()
        report = await check(bench)
        assert [(fault.name, fault.reason) for fault in report.faults] == [(ledger.name, "missing")]
        await bench.sites.close()

    asyncio.run(main())


def test_what_is_purged_during_a_check_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a large target lasts hours, and the working process purges after each backup."""

    async def main() -> None:
        bench = Bench(tmp_path)
        first = await bench.backup(1, at_ms=NOON_MS - 3 * DAY_MS)
        second = await bench.backup(1, at_ms=NOON_MS - 3 * DAY_MS + 60_000)
        keys, loop = [bench.signer.public_key], asyncio.get_running_loop()
        digest = bench.target.digest_object
        gone: list[str] = []

        def digest_after_purge(sha256: str) -> str:
            if not gone:
                policy = RetentionPolicy()
                purging = purge_target(bench.target, public_keys=keys, policy=policy, now_ms=NOON_MS)
                gone.extend(asyncio.run_coroutine_threadsafe(purging, loop).result(20)[0])
            return digest(sha256)

        monkeypatch.setattr(bench.target, "digest_object", digest_after_purge)
        report = await check(bench)
        assert gone == [manifest_name(first.snapshot)]
        assert report.faults == []
        assert list(report.snapshots) == [manifest_name(second.snapshot)]
        # what a snapshot that stands has lost is a fault all the same
        bench.object_path(second.snapshot.environments[0].packs[0].sha256).unlink()
        assert [fault.reason for fault in (await check(bench)).faults] == ["missing"]
        await bench.sites.close()

    asyncio.run(main())


def test_nobody_purges_while_a_snapshot_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hygie.backups.target.HOLD_S", 0.2)

    async def main() -> None:
        bench = Bench(tmp_path)
        await bench.backup(1)
        other = FolderTarget(tmp_path / "backup", administrator="x")
        with other.exclusive():
            with pytest.raises(TargetUnavailableError):
                await purge_target(
                    bench.target, public_keys=[bench.signer.public_key], policy=RetentionPolicy(), now_ms=NOON_MS
                )
            with pytest.raises(TargetUnavailableError):
                await bench.backup(1)
        await bench.sites.close()

    asyncio.run(main())


def test_an_absent_target_is_unavailable_and_an_empty_one_has_no_snapshot(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        with pytest.raises(SnapshotAbsentError):
            await newest_snapshot(bench.target, [bench.signer.public_key])
        with pytest.raises(BackupRefusedError):
            await purge_target(
                bench.target, public_keys=[bench.signer.public_key], policy=RetentionPolicy(), now_ms=NOON_MS
            )
        shutil.rmtree(tmp_path / "backup")
        with pytest.raises(TargetUnavailableError):
            await bench.backup(1)
        (tmp_path / "backup").mkdir()
        with pytest.raises(TargetUnavailableError):
            await bench.backup(1)
        await bench.sites.close()

    asyncio.run(main())
