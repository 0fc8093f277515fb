"""How old the oldest copy of keys on a target is: what certificates of erasure wait for."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from hygie.backups.errors import TargetUnavailableError
from hygie.backups.key_copies import newest_claim, oldest_key_copy
from hygie.backups.keys import public_keys
from hygie.backups.retention import RetentionPolicy
from hygie.backups.run import purge_backups
from tests.unit.backups.restore_stage import back_up, new_target, rooms_of
from tests.unit.vault.conftest import open_house  # noqa: F401 (a fixture)
from tests.unit.vault.lifecycle_stage import patient, turn, write


def test_the_oldest_copy_is_that_of_the_oldest_snapshot_until_its_keys_are_purged(open_house, tmp_path) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            keys = await public_keys(house.kms, "backup")
            assert await oldest_key_copy(target, public_keys=keys) is None
            assert await newest_claim(target, public_keys=keys, recorded=None) == 0
            await write(house, patient("p1", "a"))
            first = await back_up(house, target)
            assert await turn(house) == [1]
            destroyed_ms = house.clock.now_ms()
            second = await back_up(house, target)
            assert await oldest_key_copy(target, public_keys=keys) == first.created_at_ms < destroyed_ms
            assert await newest_claim(target, public_keys=keys, recorded=None) == second.created_at_ms
            async with rooms_of(house, target) as rooms:
                await purge_backups(rooms, RetentionPolicy(keys_days=0))
            assert first.snapshot in target.manifests()
            assert await oldest_key_copy(target, public_keys=keys) == second.created_at_ms >= destroyed_ms

    asyncio.run(main())


def test_what_no_manifest_names_may_be_a_copy_of_keys(open_house, tmp_path, monkeypatch) -> None:  # noqa: F811
    monkeypatch.setattr("hygie.backups.target.HOLD_S", 0.2)

    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            keys = await public_keys(house.kms, "backup")
            await back_up(house, target)
            left = b"a key state that a cut backup left"
            target.put_object(hashlib.sha256(left).hexdigest(), left)
            assert await oldest_key_copy(target, public_keys=keys) == 0
            with target.exclusive(), pytest.raises(TargetUnavailableError):
                await oldest_key_copy(target, public_keys=keys)

    asyncio.run(main())
