"""The life of an environment's keys, assembled: erasures, epochs, ledgers. For the command line and for ``hygie work``.

Every act is journaled under one operator, before it begins and after it ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hygie.app import House, opened
from hygie.base.actions import Action
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.gate.local import LocalOperator
from hygie.journal.writer import JournalWriter
from hygie.vault.epochs import Epochs
from hygie.vault.erase import EPOCH_MS, Eraser
from hygie.vault.ledger import ledger_keys, spread_ledgers

POOL = 2


@dataclass(slots=True)
class Turn:
    """One epoch change. moved: compartments wrapped anew; destroyed: epochs whose key is gone; closed: erasures whose
    certificate got its last date."""

    epoch: int
    moved: int
    destroyed: list[int] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Custody:
    """What erasures and epochs work with. owner: pool of the owner role; hosting: of the hosting role."""

    house: House
    owner: Database
    hosting: Database
    journal: JournalWriter
    operator: LocalOperator

    async def eraser(self, place: Place) -> Eraser:
        """Erasures of one environment. Raises: KmsUnavailableError; KeyDestroyedError."""
        return Eraser(
            await self.house.context(place),
            database=self.hosting,
            platform=self.owner,
            owner_dsn=self.house.dsns.owner,
            kms=self.house.kms,
            journal=self.journal,
            clock=self.house.clock,
        )

    async def epochs(self, place: Place) -> Epochs:
        """Epochs of one environment. Raises: KmsUnavailableError; KeyDestroyedError."""
        return Epochs(
            await self.house.context(place), database=self.hosting, kms=self.house.kms, clock=self.house.clock
        )

    async def turn(self, place: Place, *, destroy_older: bool) -> Turn:
        """Open a new epoch, wrap every live key under it, publish the ledger; then, if asked, destroy the older keys.

        A turn that was cut half-way is ended by the next one.
        Raises: SiteQuorumError, DestructionGuardError: nothing was destroyed; UnavailableError.
        """
        async with self.operator.act(Action.KEY_ROTATE, place, detail={"level": "epoch"}) as act:
            epochs = await self.epochs(place)
            moved = await epochs.advance()
            await epochs.publish_ledger()
            current = await self.house.kms.current_epoch(place.tenant_id, place.environment_id)
            done = Turn(current, moved)
            if destroy_older:
                done.destroyed = await epochs.destroy_older()
                done.closed = [one.erasure_id for one in await (await self.eraser(place)).close_certificates()]
            act.count = moved
            act.detail |= {"epoch": str(current), "destroyed": ",".join(map(str, done.destroyed))}
        return done


@asynccontextmanager
async def open_custody(house: House, operator: str) -> AsyncIterator[Custody]:
    """Pools and journal for acts on keys, closed behind.

    Raises: DatabaseUnavailableError.
    """
    async with opened(house.dsns.owner, size=POOL) as owner, opened(house.dsns.hosting, size=POOL) as hosting:
        journal = JournalWriter(owner, house.month_keys, house.clock)
        try:
            yield Custody(house, owner, hosting, journal, LocalOperator(journal, house.clock, operator))
        finally:
            await journal.close()


async def keep_ledgers(house: House, places: list[Place], operator: str) -> list[Turn]:
    """What the working process does for keys: every site has the newest ledger, and an epoch older than ``EPOCH_MS``
    ends, so that erasures are closed on the date their certificates promise.

    Raises: UnavailableError: tried again at the next turn.
    """
    status = await house.kms.status()
    opened_at = {
        environment.environment_id: environment.epochs[-1].created_at_ms
        for environment in status.environments
        if environment.epochs
    }
    turns: list[Turn] = []
    for place in places:
        if place.environment_id not in opened_at:
            continue  # no keys left: destroyed
        await spread_ledgers(house.sites, place, await ledger_keys(place, house.kms))
        if house.clock.now_ms() - opened_at[place.environment_id] >= EPOCH_MS:
            async with open_custody(house, operator) as custody:
                turns.append(await custody.turn(place, destroy_older=True))
    return turns
