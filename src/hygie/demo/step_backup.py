"""Backups: one is taken, restored elsewhere from the target and the passphrase alone, and compared."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hygie.backups.errors import TargetUnavailableError
from hygie.backups.restore import RestoreReport, RestoreRequest, require_complete, restored
from hygie.backups.run import BackupReport, run_backup
from hygie.backups.sandbox import Doors, doors
from hygie.backups.target import FolderTarget
from hygie.base.actions import Action
from hygie.base.clock import SystemClock
from hygie.base.language import say
from hygie.base.settings import Settings, read_credential
from hygie.demo.people import DEMONSTRATION, TENANT
from hygie.demo.platform import OPERATOR
from hygie.demo.stage import Stage, check
from hygie.demo.story import Proved
from hygie.gate.recorded import Environment
from hygie.keys.sealing import Passphrase
from hygie.start import CREDENTIAL_NAME
from hygie.upkeep import backup_rooms

TRIES = 20  # the working process may be taking its own backup
PAUSE_S = 1.0
READS_AT_ONCE = 16  # they share their durable journal writes


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A restored place with its doors open."""

    report: RestoreReport
    doors: Doors
    environment: Environment

    async def read(self, path: str) -> dict[str, Any]:
        """A record through the restored place's own gate and vault, without its version's metadata.

        Raises: what the vault raises: absent, erased.
        """
        type_, id_ = path.split("/")
        permit = await self.doors.admit(self.environment, Action.OBJECT_READ)
        body: dict[str, Any] = json.loads((await self.doors.vault.read(permit, type_, id_)).body)
        return without_version(body)

    async def compare(self, remembered: Mapping[str, Any]) -> None:
        """Read the same records again. Raises: DemoStepError: one differs; what the vault raises."""
        waiting = iter(remembered.items())

        async def work() -> None:
            for path, before in waiting:
                type_ = path.split("/", maxsplit=1)[0]
                check(
                    await self.read(path) == without_version(before),
                    fr=f"un {type_} restauré n'est pas celui qui fut lu",
                    en=f"a restored {type_} is not the one that was read",
                )

        await asyncio.gather(*(work() for _ in range(READS_AT_ONCE)))


async def backup(stage: Stage) -> Proved:
    """A snapshot, a fresh place, the same records."""
    taken = await take_backup(stage)
    stage.snapshot = taken.snapshot
    stage.teller.note(say(fr="restauration ailleurs", en="restoring elsewhere"))
    async with elsewhere(stage, taken.snapshot) as place:
        await place.compare(stage.remembered)
        report = place.report
    proved = Proved(
        facts={
            "snapshot": taken.snapshot,
            "objects": taken.copy.copied + taken.copy.already,
            "backup_s": taken.duration_s,
            "restore_s": report.duration_s,
            "resources": report.resources,
            "compared": len(stage.remembered),
        }
    )
    proved.lines = [
        say(
            fr=f"Instantané n° {taken.number}, signé, à part des sites : {taken.packs} lots, relus un à un,"
            f" en {taken.duration_s:.1f} s.",
            en=f"Snapshot number {taken.number}, signed, apart from the sites: {taken.packs} packs, each read back,"
            f" in {taken.duration_s:.1f} s.",
        ),
        say(
            fr=f"Restauré dans un dossier neuf, de la cible et de la phrase de passe seules, en {report.duration_s:.1f}"
            f" s : {report.resources} versions ; {len(stage.remembered)} lectures comparées, toutes égales.",
            en=f"Restored into a new folder, from the target and the passphrase alone, in {report.duration_s:.1f} s:"
            f" {report.resources} versions; {len(stage.remembered)} reads compared, all of them equal.",
        ),
    ]
    proved.commands = [
        "hygie backup run",
        f"hygie restore latest --into ./elsewhere --credential $HYGIE_DATA/{CREDENTIAL_NAME}",
    ]
    return proved


async def take_backup(stage: Stage) -> BackupReport:
    """One snapshot now. Raises: TargetUnavailableError: somebody else is at work on the target all the time."""
    async with (
        stage.platform.rooms() as pools,
        backup_rooms(pools.house, pools.records, pools.hosting, OPERATOR) as rooms,
    ):
        rpo_s = pools.house.settings.backups.rpo_minutes * 60
        for _ in range(TRIES):
            try:
                return await run_backup(rooms, rpo_s=rpo_s)
            except TargetUnavailableError:
                await asyncio.sleep(PAUSE_S)
        return await run_backup(rooms, rpo_s=rpo_s)


@asynccontextmanager
async def elsewhere(stage: Stage, which: str) -> AsyncIterator[Elsewhere]:
    """Restore a snapshot into a temporary folder, which is removed at the end."""
    settings = stage.platform.settings
    secret = await asyncio.to_thread(read_credential, settings, stage.platform.folder)
    with tempfile.TemporaryDirectory(prefix="hygie-demo-") as name:
        path = stage.platform.folder.resolve(settings.backups.path)
        target = await asyncio.to_thread(FolderTarget, path, administrator=settings.backups.operator)
        request = RestoreRequest(
            target=target,
            secret=Passphrase(secret or ""),
            into=Path(name, "elsewhere"),
            settings=_fresh(settings),
            clock=SystemClock(),
            operator=OPERATOR,
            which=which,
        )
        try:
            async with restored(request) as place, doors(place, SystemClock()) as opened:
                require_complete(place.report)
                names = (TENANT, DEMONSTRATION)
                here = next(one for one in opened.environments if (one.tenant, one.name) == names)
                yield Elsewhere(place.report, opened, here)
        finally:
            await asyncio.to_thread(target.close)


def _fresh(settings: Settings) -> Settings:
    """Settings of a place that a person opens himself: no credential lies beside it."""
    return msgspec.structs.replace(settings, kms=msgspec.structs.replace(settings.kms, credential=None))


def without_version(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource without what the server adds on the way out (version and instant)."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    rest = {k: v for k, v in resource.items() if k != "meta"}
    return rest | ({"meta": meta} if meta else {})
