"""Backups as they are run: numbered, on record, incremental; a target that went back is seen."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from hygie.backups.check import Head
from hygie.backups.errors import ManifestReplayedError, TargetUnavailableError
from hygie.backups.retention import RetentionPolicy
from hygie.backups.run import check_backups, recorded_head, refuse_replayed, run_backup
from hygie.journal.newest import Asked, newest
from tests.unit.backups.restore_stage import back_up, new_target, rooms_of, seal_journal
from tests.unit.vault.conftest import open_house  # noqa: F401 (a fixture)
from tests.unit.vault.lifecycle_stage import patient, write


def test_a_second_backup_copies_what_is_new_only(open_house, tmp_path) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, *(patient(f"p{n}", "a") for n in range(5)))
            first = await back_up(house, target)
            await write(house, patient("p9", "b"))
            second = await back_up(house, target)
            assert (first.number, second.number) == (1, 2)
            assert (first.packs, second.packs) == (1, 2)
            assert second.copy.already >= 1
            async with rooms_of(house, target) as rooms:
                report = await check_backups(rooms, RetentionPolicy())
                assert report.faults == []
                assert set(report.snapshots) == {first.snapshot, second.snapshot}

    asyncio.run(main())


def test_the_journal_knows_the_newest_snapshot(open_house, tmp_path) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            async with rooms_of(house, target) as rooms:
                await seal_journal(rooms)
                assert await recorded_head(rooms.source.reader, house.clock.now_ms()) is None
            report = await back_up(house, target)
            async with rooms_of(house, target) as rooms:
                head = await recorded_head(rooms.source.reader, house.clock.now_ms())
                assert head == Head(report.number, report.sha256)

    asyncio.run(main())


def test_a_target_that_went_back_is_seen_and_backups_go_on(open_house, tmp_path) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await back_up(house, target)
            gone = await back_up(house, target)
            target.delete_manifest(gone.snapshot)
            async with rooms_of(house, target) as rooms:
                with pytest.raises(ManifestReplayedError):
                    await check_backups(rooms, RetentionPolicy())
            after = await back_up(house, target)
            assert after.replayed
            with pytest.raises(ManifestReplayedError) as told:
                refuse_replayed(after)
            assert told.value.facts == {"found": gone.number - 1, "expected": gone.number}
            assert after.number == gone.number + 1
            assert not (await back_up(house, target)).replayed

    asyncio.run(main())


def test_one_backup_at_a_time(open_house, tmp_path, monkeypatch) -> None:  # noqa: F811
    monkeypatch.setattr("hygie.backups.target.HOLD_S", 0.2)

    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            async with rooms_of(house, target) as rooms:
                with target.exclusive(), pytest.raises(TargetUnavailableError) as caught:
                    await run_backup(rooms, rpo_s=60)
                assert caught.value.facts["reason"] == "busy"
                await seal_journal(rooms)
                async with rooms.source.records.transaction() as connection:
                    rows = await (
                        await connection.execute("SELECT passed, facts->>'code' FROM hygie.measurement")
                    ).fetchall()
                assert rows == [(False, "HYG-480")]

    asyncio.run(main())


def test_who_only_looks_at_the_target_is_waited_for(open_house, tmp_path) -> None:  # noqa: F811
    """The age of its copies of keys is looked at while a backup begins: that one is taken all the same."""

    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            look = ExitStack()
            look.enter_context(target.exclusive())
            asyncio.get_running_loop().call_later(0.5, look.close)
            assert (await back_up(house, target)).number == 1

    asyncio.run(main())


def test_a_purge_that_fails_takes_nothing_from_the_snapshot_before_it(
    open_house,  # noqa: F811
    tmp_path,
    monkeypatch,
) -> None:
    """The target lets nothing be removed: the new snapshot is on record all the same."""

    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await asyncio.to_thread(target.put_object, "ab" * 32, b"left by a snapshot that was cut")

            def refused(*_: object) -> None:
                raise TargetUnavailableError(target="backup", reason="locked")

            monkeypatch.setattr(type(target), "delete_object", refused)
            async with rooms_of(house, target) as rooms:
                with pytest.raises(TargetUnavailableError) as caught:
                    await run_backup(rooms, rpo_s=60, purge=RetentionPolicy())
                await seal_journal(rooms)
                head = await recorded_head(rooms.source.reader, house.clock.now_ms())
                assert head is not None
                assert head.number == 1
                told = await newest(rooms.source.reader, Asked(actions=("backup:run",)), 3)
                assert [one.entry.outcome for one in told if one.entry] == ["intent", "done", "unknown"]
                assert [one.entry.detail.get("step") for one in told if one.entry] == [None, None, "purge"]
                async with rooms.source.records.transaction() as connection:
                    cursor = await connection.execute(
                        "SELECT passed, facts->>'number', facts->>'purge' FROM hygie.measurement ORDER BY at_ms"
                    )
                    assert (await cursor.fetchall())[-1] == (True, "1", caught.value.code)

    asyncio.run(main())


def test_a_backup_that_is_given_up_has_an_outcome_and_the_next_one_is_whole(open_house, tmp_path) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, *(patient(f"p{n}", "a") for n in range(5)))
            async with rooms_of(house, target) as rooms:
                begun = asyncio.Event()
                running = asyncio.create_task(run_backup(rooms, rpo_s=60, progress=lambda _: begun.set()))
                await begun.wait()
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
                assert target.manifests() == []
                await seal_journal(rooms)
                told = await newest(rooms.source.reader, Asked(actions=("backup:run",)), 3)
                assert [one.entry.outcome for one in told if one.entry] == ["intent", "unknown"]
            report = await back_up(house, target)
            assert report.number == 1
            async with rooms_of(house, target) as rooms:
                assert (await check_backups(rooms, RetentionPolicy())).faults == []

    asyncio.run(main())
