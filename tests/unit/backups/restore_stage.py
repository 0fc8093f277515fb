"""A small production to back up, and what restores it: real database, KMS, sites, journal and target."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hygie.backups.gather import Source
from hygie.backups.keys import KmsSigner, PlainMonthKeys, log_keys_of
from hygie.backups.restore import RestoredPlace, RestoreRequest
from hygie.backups.run import BackupReport, BackupRooms, run_backup
from hygie.backups.sandbox import doors
from hygie.backups.target import FolderTarget
from hygie.base.actions import Action
from hygie.base.errors import HygieError
from hygie.base.settings import default_settings
from hygie.database.pool import Database
from hygie.journal.entry import PLATFORM
from hygie.journal.reader import JournalReader
from hygie.journal.sealer import Sealer
from hygie.keys.sealing import Passphrase, Secret
from tests.unit.vault.lifecycle_stage import eraser

PASSPHRASE = Passphrase("cheval pile agrafe 9 correct")


class JournalSigner(KmsSigner):
    """Signs checkpoints as the platform does."""

    name = ""


def new_target(folder: Path) -> FolderTarget:
    """An empty target."""
    FolderTarget.initialise(folder / "target")
    return FolderTarget(folder / "target", administrator="somebody else")


@asynccontextmanager
async def rooms_of(house: Any, target: FolderTarget) -> AsyncIterator[BackupRooms]:
    """What a backup of this house works with; its environment is registered."""
    await house.kms.create_tenant(PLATFORM)
    async with eraser(house):
        records = Database(house.dsns.sealer, size=2)
        await records.open()
    try:
        keys = log_keys_of(await house.kms.status())
        reader = JournalReader(house.sites, PlainMonthKeys(house.kms), log_keys=keys, database=records)
        source = Source(house.clock, house.sites, house.kms, house.database, records, reader, sealed_s=0.0)  # no sealer
        yield BackupRooms(source, target, house.journal, house.clock, "local:test")
    finally:
        await records.close()


async def seal_journal(rooms: BackupRooms) -> None:
    """Publish every entry that waits."""
    kms = rooms.source.kms
    signer = JournalSigner(kms, "journal", await kms.public_key("journal"))
    signer.name = log_keys_of(await kms.status())[0].name
    sealer = Sealer(
        database=rooms.source.records,
        sites=rooms.source.sites,
        signer=signer,
        month_keys=PlainMonthKeys(kms),
        clock=rooms.clock,
    )
    await sealer.seal_once()


async def back_up(house: Any, target: FolderTarget) -> BackupReport:
    """Publish the journal, then take a snapshot."""
    async with rooms_of(house, target) as rooms:
        await seal_journal(rooms)
        report = await run_backup(rooms, rpo_s=7200)
        await seal_journal(rooms)
        return report


def request_of(house: Any, target: FolderTarget, into: Path, **fields: Any) -> RestoreRequest:
    """A restore of the latest snapshot with the right passphrase, unless fields say otherwise."""
    secret: Secret = fields.pop("secret", PASSPHRASE)
    return RestoreRequest(
        target=target,
        secret=secret,
        into=into,
        settings=default_settings(),
        clock=house.clock,
        operator="local:test",
        **fields,
    )


async def read_there(house: Any, place: RestoredPlace, type_: str, id_: str) -> str:
    """What the restored place answers through its own doors: the body's name or code, or the error's code."""
    async with doors(place, house.clock) as opened:
        permit = await opened.admit(opened.environments[0], Action.OBJECT_READ)
        try:
            body = json.loads((await opened.vault.read(permit, type_, id_)).body)
        except HygieError as error:
            return error.code
        return str(body.get("name") or body.get("code"))


def alter(sha256: str, folder: Path) -> None:
    """Flip one bit of an object of the target, behind its back."""
    path = folder / "target" / "objects" / sha256[:2] / sha256
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def remove(sha256: str, folder: Path) -> None:
    """Take one object of the target away."""
    (folder / "target" / "objects" / sha256[:2] / sha256).unlink()
