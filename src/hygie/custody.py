"""The life of an environment's keys, assembled: erasures, epochs, ledgers. For the command line and for ``hygie work``.

Every act is journaled under one operator, before it begins and after it ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from hygie.app import House, opened, raised_for, two_persons
from hygie.backups.key_copies import newest_claim, oldest_key_copy
from hygie.backups.keys import public_keys
from hygie.backups.retention import DAY_MS, RetentionPolicy
from hygie.backups.run import recorded_head
from hygie.backups.target import FolderTarget
from hygie.base.actions import Action
from hygie.base.errors import HygieError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.gate.local import LocalOperator
from hygie.journal.reader import JournalReader
from hygie.journal.writer import JournalWriter
from hygie.keys.erasure import ErasureCertificate
from hygie.vault.epochs import Epochs, due_step
from hygie.vault.erase import Eraser
from hygie.vault.ledger import ledger_keys, spread_ledgers

POOL = 2
COPIES_MS = RetentionPolicy().keys_days * DAY_MS  # how long the backup target keeps copies of keys

log = logging.getLogger("hygie.custody")


@dataclass(slots=True)
class Turn:
    """One epoch change. moved: compartments wrapped anew; destroyed: epochs whose key is gone; closed: erasures whose
    certificate got its last date; waiting: those that wait for the backup target's older copies of keys to go."""

    epoch: int
    moved: int
    destroyed: list[int] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Custody:
    """What erasures and epochs work with. owner: pool of the owner role; hosting: of the hosting role."""

    house: House
    owner: Database
    hosting: Database
    journal: JournalWriter
    operator: LocalOperator

    async def require_two(self, act: Action, place: Place, what: Mapping[str, str], *, subject: str = "") -> str:
        """Use up the approval of an act that takes two persons, before it is done. Returns its id, nothing where none
        is needed. Raises: TwoPersonsError."""
        permit = self.operator.permit(Action.APPROVAL_USE, place)
        asked = two_persons(self.house, self.owner, self.journal)
        return await asked.require(permit, act, what, subject=subject)

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
            copies_ms=COPIES_MS,
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
            act.count = moved
            act.detail["epoch"] = str(current)
        done = Turn(current, moved)
        if destroy_older:
            ended = await self.end_older(place)
            done.destroyed, done.closed, done.waiting = ended.destroyed, ended.closed, ended.waiting
        return done

    async def end_older(self, place: Place) -> Turn:
        """Destroy every epoch key older than the current one, then date the certificates that waited for it.

        Raises: as ``turn``.
        """
        async with self.operator.act(Action.KEY_ROTATE, place, detail={"level": "epoch", "destroy": "older"}) as act:
            destroyed = await (await self.epochs(place)).destroy_older()
            act.detail["destroyed"] = ",".join(map(str, destroyed))
        current = await self.house.kms.current_epoch(place.tenant_id, place.environment_id)
        await self.close(place)
        done = Turn(current, 0, destroyed)
        for one in await (await self.eraser(place)).certificates():
            if one.last_epoch in destroyed:
                (done.closed if one.unreadable_in_every_copy_at_ms is not None else done.waiting).append(one.erasure_id)
        return done

    async def close(self, place: Place) -> list[ErasureCertificate]:
        """Give their last dates to the certificates whose keys are gone from the KMS, then from the backup target.

        Returns those that changed.
        """
        claim_ms = await newest_claim_ms(self.house, self.owner)
        if claim_ms is None:
            return []
        oldest_ms = await oldest_copy_ms(self.house)
        return await (await self.eraser(place)).close_certificates(oldest_copy_ms=oldest_ms, newest_claim_ms=claim_ms)


def new_target(house: House) -> FolderTarget:
    """The backup target of the settings. Blocks: run it in a thread, for a medium may hang.

    Its calls fail while the folder does not carry the mark of a target: an empty mount point is a target away.
    """
    settings = house.settings.backups
    return FolderTarget(house.folder.resolve(settings.path), administrator=settings.operator)


async def mark_first_target(house: House, reader: JournalReader) -> None:
    """Mark the folder of an installation that has no target yet: it is absent or empty, and no backup was recorded.

    ``hygie init`` marks it too; this is for settings that were changed before the first backup.
    Raises: TargetUnavailableError: it cannot be made; IntegrityError, SiteUnavailableError: the journal cannot tell.
    """
    path = house.folder.resolve(house.settings.backups.path)
    if await asyncio.to_thread(_is_bare, path) and await recorded_head(reader, house.clock.now_ms()) is None:
        await asyncio.to_thread(FolderTarget.initialise, path)


def _is_bare(path: Path) -> bool:
    try:
        return not any(path.iterdir())
    except FileNotFoundError:
        return True
    except OSError:
        return False  # what cannot be looked at is told by its first use


async def newest_claim_ms(house: House, owner: Database) -> int | None:
    """The latest instant that a snapshot on the backup target claims; None while the target cannot tell.

    It cannot when it lacks the newest snapshot that the journal recorded: copies of keys may be where that one is.
    """
    try:
        recorded = await recorded_head(await house.journal_reader(owner), house.clock.now_ms())
        target = await asyncio.to_thread(new_target, house)
        try:
            keys = await public_keys(house.kms, "backup")
            return await newest_claim(target, public_keys=keys, recorded=recorded)
        finally:
            await asyncio.to_thread(target.close)
    except (HygieError, OSError) as error:
        _warn_of_target(error)
        return None


async def oldest_copy_ms(house: House) -> int | None:
    """When the oldest copy of keys on the backup target was taken; None: there is no copy.

    0, as old as can be, while the target cannot tell: what is not known closes no certificate.
    """
    try:
        target = await asyncio.to_thread(new_target, house)
        try:
            return await oldest_key_copy(target, public_keys=await public_keys(house.kms, "backup"))
        finally:
            await asyncio.to_thread(target.close)
    except (HygieError, OSError) as error:
        _warn_of_target(error)
        return 0


def _warn_of_target(error: HygieError | OSError) -> None:
    log.warning("the backup target cannot tell how old its keys are: %s", _code_of(error))


def _code_of(error: Exception) -> str:
    """What a log may hold of an error: never its text."""
    return error.code if isinstance(error, HygieError) else type(error).__name__


@asynccontextmanager
async def open_custody(house: House, operator: str) -> AsyncIterator[Custody]:
    """Pools and journal for acts on keys, closed behind.

    Raises: DatabaseUnavailableError.
    """
    async with opened(house.dsns.owner, size=POOL) as owner, opened(house.dsns.hosting, size=POOL) as hosting:
        journal = JournalWriter(owner, house.month_keys, house.clock)
        try:
            raised = raised_for(house, owner, journal, operator)
            yield Custody(house, owner, hosting, journal, LocalOperator(journal, house.clock, operator, raised=raised))
        finally:
            await journal.close()


async def keep_ledgers(
    house: House, places: Sequence[Place], operator: str, *, last_backup_ms: int | None
) -> list[Turn]:
    """What the working process does for keys, so that erasures are closed on the date their certificates promise.

    Every site has the newest ledger; epochs end, and die, when they are due.
    Args: last_backup_ms: when the newest backup that passed began. Raises: the error of the first
    environment that failed, once the others are done; tried again next time.
    """
    status = await house.kms.status()
    epochs = {environment.environment_id: environment.epochs for environment in status.environments}
    turns: list[Turn] = []

    async def keep(place: Place) -> None:
        live = epochs.get(place.environment_id, [])
        if not live:
            return  # no keys left: destroyed
        await spread_ledgers(house.sites, place, await ledger_keys(place, house.kms))
        due = due_step(live, now_ms=house.clock.now_ms(), last_backup_ms=last_backup_ms)
        if due is not None:
            async with open_custody(house, operator) as custody:
                turns.append(
                    await (custody.turn(place, destroy_older=False) if due == "advance" else custody.end_older(place))
                )

    await _in_each(places, keep)
    return turns


async def finish_erasures(house: House, places: Sequence[Place], operator: str) -> list[ErasureCertificate]:
    """End what erasures left open: certificates that an interruption left unwritten, purges, last dates.

    Returns the certificates that changed. Raises: as ``keep_ledgers``.
    """
    changed: list[ErasureCertificate] = []

    async def finish(place: Place) -> None:
        eraser = await custody.eraser(place)
        changed.extend(await eraser.finish())
        if await eraser.certificates(open_only=True):
            changed.extend(await custody.close(place))

    async with open_custody(house, operator) as custody:
        await _in_each(places, finish)
    return changed


async def _in_each(places: Sequence[Place], act: Callable[[Place], Awaitable[None]]) -> None:
    """Act in every environment: one that fails must not put off what was promised to the others.

    Raises: the first error, at the end.
    """
    first: HygieError | OSError | psycopg.Error | None = None
    for place in places:
        try:
            await act(place)
        except (HygieError, OSError, psycopg.Error) as error:
            log.warning("environment %s: %s", place.environment_id.hex(), _code_of(error))
            first = first or error
    if first is not None:
        raise first
