"""The working process ends epochs on their date, spreads ledgers, and finishes what erasures left open."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hygie.app import House
from hygie.backups.target import FolderTarget
from hygie.base.errors import HygieError
from hygie.base.layout import DataFolder
from hygie.base.permit import Place
from hygie.base.settings import default_settings
from hygie.custody import finish_erasures, keep_ledgers, oldest_copy_ms, open_custody
from hygie.vault.ledger import ledger_prefix
from tests.unit.backups.restore_stage import back_up
from tests.unit.vault.conftest import open_house
from tests.unit.vault.lifecycle_stage import erase, eraser, patient, read, write

__all__ = ["open_house"]
DAY_MS = 86_400_000


@dataclass
class ShiftedClock:
    """The system's clock, days ahead."""

    inner: Any
    days: float = 0.0

    def now_ms(self) -> int:
        return int(self.inner.now_ms() + self.days * DAY_MS)


def assembled(stage: Any, data: Path) -> House:
    """The stage's parts as one installation whose clock a test moves, its backup target marked."""
    FolderTarget.initialise(data / "backup")
    return House(
        settings=default_settings(),
        folder=DataFolder.at(data),
        dsns=stage.dsns,
        kms=stage.kms,
        sites=stage.sites,
        clock=ShiftedClock(stage.clock),  # type: ignore[arg-type]
        month_keys=stage.kms,
    )


async def live_epochs(stage: Any) -> list[int]:
    status = await stage.kms.status()
    (found,) = [one for one in status.environments if one.environment_id == stage.place.environment_id]
    return [epoch.epoch for epoch in found.epochs]


def test_epochs_end_and_die_on_their_date_and_close_what_waited(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as stage:
            house = assembled(stage, tmp_path / "data")
            places = [stage.place]
            await write(stage, patient("p1", "a"), patient("p2", "b"))
            await erase(stage, "p1", purge=True)

            async def keep(days: float, backup: float | None) -> list[Any]:
                house.clock.days = days  # type: ignore[attr-defined]
                last_ms = None if backup is None else int(stage.clock.now_ms() + backup * DAY_MS)
                return await keep_ledgers(house, places, "system:work", last_backup_ms=last_ms)

            assert await keep(6.9, None) == []
            (turn,) = await keep(7.1, None)
            assert (turn.epoch, turn.moved, turn.destroyed) == (2, 1, [])
            assert await live_epochs(stage) == [1, 2]
            assert await keep(0.5, 0.4) == []  # a day has not passed
            assert await keep(1.5, None) == []  # no backup holds the new wraps yet
            (turn,) = await keep(1.5, 1.4)
            assert turn.destroyed == [1]
            assert len(turn.closed) == 1
            assert await live_epochs(stage) == [2]
            assert await keep(1.6, 1.4) == []
            async with eraser(stage) as acts:
                (certificate,) = await acts.certificates()
                assert certificate.final
            assert '"b"' in await read(stage, "Patient", "p2")
            # a site that came back without the ledger has it again
            lost = stage.folders / "lyon" / ledger_prefix(stage.place.environment_id)
            shutil.rmtree(lost)
            await keep(1.7, 1.4)
            assert [path.name for path in lost.iterdir()] == ["00000002"]

    asyncio.run(main())


def test_what_the_backup_target_cannot_tell_closes_nothing(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as stage:
            house = assembled(stage, tmp_path / "data")
            target = tmp_path / "data" / "backup"
            assert await oldest_copy_ms(house) is None
            shutil.rmtree(target)
            assert await oldest_copy_ms(house) == 0
            target.mkdir()
            assert await oldest_copy_ms(house) == 0
            assert list(target.iterdir()) == []
            (target / "something else").write_text("an unmounted volume")
            assert await oldest_copy_ms(house) == 0

    asyncio.run(main())


def test_an_empty_mount_point_in_the_place_of_the_target_closes_nothing(open_house, tmp_path) -> None:
    """The volume with its copies of keys is away: what is at its path now does not speak for it."""

    async def main() -> None:
        async with open_house() as stage:
            house = assembled(stage, tmp_path / "data")
            target = tmp_path / "data" / "backup"
            FolderTarget.initialise(target)
            await write(stage, patient("p1", "a"))
            backups = FolderTarget(target, administrator="other")
            await back_up(stage, backups)
            backups.close()
            await erase(stage, "p1", purge=True)
            away = target.rename(tmp_path / "away")
            for mounted in (False, True):
                if mounted:
                    shutil.rmtree(target)
                    away.rename(target)
                else:
                    target.mkdir()
                async with open_custody(house, "local:test") as custody:
                    turn = await custody.turn(stage.place, destroy_older=True)
                    await custody.close(stage.place)
                assert turn.closed == []
                async with eraser(stage) as acts:
                    (certificate,) = await acts.certificates()
                    assert certificate.unreadable_in_every_copy_at_ms is None
                    assert (certificate.last_epoch_destroyed_at_ms is not None) == mounted

    asyncio.run(main())


def test_an_environment_that_fails_puts_off_no_other(open_house, tmp_path) -> None:
    """The first lacks its keys, then its catalogue: the second's erasure is finished, and its epoch ends."""

    async def main() -> None:
        async with open_house() as stage:
            house = assembled(stage, tmp_path / "data")
            broken = Place(stage.place.tenant_id, bytes(16), "env_gone")
            await write(stage, patient("p1", "a"))
            await erase(stage, "p1")
            with pytest.raises(HygieError):
                await finish_erasures(house, [broken, stage.place], "system:work")
            async with eraser(stage) as acts:
                (certificate,) = await acts.certificates()
                assert certificate.tokens_vacuumed_at_ms is not None
            await stage.kms.create_environment(broken.tenant_id, broken.environment_id)
            house.clock.days = 7.1  # type: ignore[attr-defined]
            with pytest.raises(psycopg.Error):
                await keep_ledgers(house, [broken, stage.place], "system:work", last_backup_ms=None)
            assert await live_epochs(stage) == [1, 2]

    asyncio.run(main())


def test_an_interrupted_erasure_is_finished_by_the_working_process(open_house, tmp_path, monkeypatch) -> None:
    async def main() -> None:
        async with open_house() as stage:
            house = assembled(stage, tmp_path / "data")
            await write(stage, patient("p1", "a"))
            await erase(stage, "p1")
            (changed,) = await finish_erasures(house, [stage.place], "system:work")
            assert changed.tokens_vacuumed_at_ms is not None
            assert await finish_erasures(house, [stage.place], "system:work") == []
            async with open_custody(house, "local:test") as custody:
                turn = await custody.turn(stage.place, destroy_older=True)
            assert (turn.destroyed, turn.closed, turn.waiting) == ([1], [changed.erasure_id], [])

    asyncio.run(main())
