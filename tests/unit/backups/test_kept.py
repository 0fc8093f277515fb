"""What is gone of a backup is told from what is listed; what retention lets go is not."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from hygie.backups.check import purge_target
from hygie.backups.kept import Holdings, look_at_target
from hygie.backups.retention import RetentionPolicy
from hygie.backups.snapshot import created_ms, key_refs, lasting_refs
from tests.unit.backups.stage import DAY_MS, NOON_MS, Bench

POLICY = RetentionPolicy(daily=2, weekly=0, monthly=0)


def look(bench: Bench, before: Holdings | None = None, *, now_ms: int = NOON_MS) -> Holdings:
    names = before.snapshots if before is not None else ()
    keys = [bench.signer.public_key]
    return look_at_target(bench.target, public_keys=keys, policy=POLICY, before=names, now_ms=now_ms)


def lost(one: Holdings) -> tuple[int, int]:
    return one.lost_snapshots, one.lost_objects


async def taken(folder: Path, days: int) -> Bench:
    bench = Bench(folder)
    for day in range(days):
        await bench.backup(1, at_ms=NOON_MS + day * DAY_MS)
    return bench


def test_objects_that_are_deleted_or_cut_are_told_until_they_are_back(tmp_path: Path) -> None:
    async def main() -> None:
        bench = await taken(tmp_path, 2)
        assert lost(look(bench)) == (0, 0)
        newest = bench.taken[-1].snapshot
        bench.object_path(key_refs(newest)[0].sha256).unlink()
        pack = bench.object_path(lasting_refs(newest)[0].sha256)
        os.truncate(pack, 3)
        assert lost(look(bench)) == (0, 2)
        assert lost(look(bench)) == (0, 2)
        await bench.backup(0, at_ms=NOON_MS + 2 * DAY_MS)  # sends again what is missing, but the older ledger
        assert lost(look(bench)) == (0, 0)
        await bench.sites.close()

    asyncio.run(main())


def test_a_snapshot_that_is_deleted_or_altered_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        bench = await taken(tmp_path, 3)
        now_ms = NOON_MS + 2 * DAY_MS
        before = look(bench, now_ms=now_ms)
        assert [created_ms(name) for name in before.snapshots] == [NOON_MS + day * DAY_MS for day in range(3)]
        bench.manifest_path(2).unlink()
        after = look(bench, before, now_ms=now_ms)
        assert lost(after) == (1, 0)
        assert lost(look(bench, after, now_ms=now_ms)) == (0, 0), "told once: it does not come back"
        newest = bench.manifest_path(3)
        newest.write_bytes(newest.read_bytes().replace(b'"number":3', b'"number":9'))
        assert lost(look(bench, after, now_ms=now_ms)) == (1, 0)
        for one in (1, 3):
            bench.manifest_path(one).unlink()
        assert look(bench, before, now_ms=now_ms).lost_snapshots == 2, "the first one was beyond its retention"
        await bench.sites.close()

    asyncio.run(main())


def test_a_purge_and_names_that_say_no_instant_are_no_loss(tmp_path: Path) -> None:
    async def main() -> None:
        bench = await taken(tmp_path, 4)
        now_ms = NOON_MS + 3 * DAY_MS
        before = look(bench, now_ms=now_ms)
        gone = await purge_target(bench.target, public_keys=[bench.signer.public_key], policy=POLICY, now_ms=now_ms)
        assert len(gone[0]) == 2
        assert lost(look(bench, before, now_ms=now_ms)) == (0, 0)
        assert created_ms("no-manifest.json") is None
        await bench.sites.close()

    asyncio.run(main())
