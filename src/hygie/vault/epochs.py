"""Epochs of an environment: wrap live compartment keys anew, publish the ledger, let stale copies die.

Copies of a destroyed wrap survive in write-ahead logs, old ledgers and absent sites; they are under an older epoch key.
Once every live key is wrapped under a new epoch and the older key is destroyed in the KMS, they open nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hygie.base.clock import Clock
from hygie.database.pool import Database
from hygie.keys.kms import BATCH_MAX, EpochStatus, Kms
from hygie.keys.ledger import PURPOSE, Ledger, attach, seal_ledger, to_sign
from hygie.vault import catalogue, upkeep_rows
from hygie.vault.context import EnvironmentContext
from hygie.vault.ledger import ledger_keys, ledger_name, remove_everywhere

DAY_MS = 86_400_000
EPOCH_MS = 7 * DAY_MS  # default life of an epoch
EPOCH_RETENTION_MS = DAY_MS  # an older epoch key outlives its successor's start: time for a backup and for absent sites


def due_step(
    epochs: Sequence[EpochStatus], *, now_ms: int, last_backup_ms: int | None
) -> Literal["advance", "destroy"] | None:
    """What an environment's epochs are due for. Pure.

    An epoch older than ``EPOCH_MS`` gets a successor; so does one that claims to begin more than a day from now, for a
    clock that was ahead must not make it last, and erasures wait, until that date.  The older ones are destroyed once
    that successor has lived for ``EPOCH_RETENTION_MS`` and a backup that began after its start passed: no backup
    depends on them alone.
    Args: epochs: live ones, oldest first; last_backup_ms: when the newest backup that passed began; None: none did.
    """
    if not epochs:
        return None
    since_ms = epochs[-1].created_at_ms
    if now_ms - since_ms >= EPOCH_MS or since_ms - now_ms > DAY_MS:
        return "advance"
    backed_up = last_backup_ms is not None and last_backup_ms > since_ms
    return "destroy" if len(epochs) > 1 and backed_up and now_ms - since_ms >= EPOCH_RETENTION_MS else None


class Epochs:
    """Epoch changes of one environment. Run by administration, one at a time."""

    def __init__(self, context: EnvironmentContext, *, database: Database, kms: Kms, clock: Clock) -> None:
        self._context = context
        self._database = database
        self._kms = kms
        self._clock = clock

    async def advance(self) -> int:
        """Open a new epoch and wrap every live compartment key under it. Returns how many were moved.

        Resumes where an earlier run stopped: what an older epoch wraps is moved, whatever the epoch.
        """
        place = self._context.place
        await self._kms.new_epoch(place.tenant_id, place.environment_id)
        return await self._rewrap_all()

    async def publish_ledger(self) -> str:
        """Put the live wraps of the current epoch on a quorum of sites; returns the ledger's name.

        Raises: SiteQuorumError.
        """
        place = self._context.place
        epoch = await self._kms.current_epoch(place.tenant_id, place.environment_id)
        async with self._database.transaction(place.role) as connection:
            entries = await upkeep_rows.live_wraps(connection, epoch)
        now_ms = self._clock.now_ms()
        ledger = Ledger(place.tenant_id, place.environment_id, epoch, now_ms, now_ms, entries)
        key = await self._kms.environment_key(place.tenant_id, place.environment_id, PURPOSE)
        sealed = seal_ledger(ledger, key=key)
        name = ledger_name(place.environment_id, epoch)
        await self._context.sites.replace(name, attach(sealed, await self._kms.sign("backup", to_sign(sealed))))
        return name

    async def destroy_older(self) -> list[int]:
        """Destroy every epoch key older than the current one, once nothing live depends on it. Returns those destroyed.

        Writers are held back while the last compartments are moved: a key wrapped under an older epoch a moment ago is
        moved too, and one that comes later is refused by the floor that this transaction raises.  The packs of those
        last ones carry wraps that are about to die, so the ledger is published once more before anything is destroyed.
        Raises: SiteQuorumError, DestructionGuardError: nothing more was destroyed; run it again.
        """
        place = self._context.place
        epoch = await self._kms.current_epoch(place.tenant_id, place.environment_id)
        older = sorted(one for one in (await ledger_keys(place, self._kms)).epochs if one < epoch)
        if not older:
            return []
        await self._rewrap_all()
        async with self._database.transaction(place.role) as connection:
            await upkeep_rows.hold_compartments(connection)
            await self._move(connection, await upkeep_rows.stale_compartments(connection, epoch, limit=1 << 30))
            await upkeep_rows.raise_epoch_floor(connection, epoch)
            live = await upkeep_rows.count_live_compartments(connection)
        await self.publish_ledger()
        for one in older:
            await self._kms.destroy_epoch(place.tenant_id, place.environment_id, one, live_compartments=live)
            await remove_everywhere(self._context.sites, ledger_name(place.environment_id, one))
        return older

    async def _rewrap_all(self) -> int:
        place = self._context.place
        epoch = await self._kms.current_epoch(place.tenant_id, place.environment_id)
        moved = 0
        while True:
            async with self._database.transaction(place.role) as connection:
                rows = await upkeep_rows.stale_compartments(connection, epoch, limit=BATCH_MAX)
                await self._move(connection, rows)
            moved += len(rows)
            if len(rows) < BATCH_MAX:
                return moved

    async def _move(self, connection: catalogue.Connection, rows: Sequence[tuple[bytes, int, bytes]]) -> None:
        place = self._context.place
        for begin in range(0, len(rows), BATCH_MAX):
            part = list(rows[begin : begin + BATCH_MAX])
            epoch, wraps = await self._kms.rewrap(place.tenant_id, place.environment_id, part)
            await upkeep_rows.rewrap_compartments(connection, [row[0] for row in part], epoch, wraps)
