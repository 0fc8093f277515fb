"""The writer of one environment: the writes that wait become one transaction and one pack.

The way of a group (design: *the way of a write*)::

    locks, in sorted order        conditions first, then objects and patients
    conditions, versions          all that can refuse refuses here, each request alone
    pack number                   drawn after the locks, so order of numbers is order of versions
    seal, pack                    CPU, yielding to the loop
    sites  ‖  catalogue rows      the pack goes to the sites while COPY fills the catalogue
    journal rows, COMMIT          together; a lost COMMIT is settled by looking for the pack's row

Two groups may be under way at once: while one waits for its fsyncs, the next is sealed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError, UnavailableError
from hygie.base.permit import Permit
from hygie.database.errors import CommitUnknownError
from hygie.database.pool import Database
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.vault import catalogue
from hygie.vault.context import EnvironmentContext
from hygie.vault.entries import refusal_entry, told_entries, write_entries
from hygie.vault.errors import OutcomeUnknownError, VaultBusyError
from hygie.vault.model import WriteRequest, Written
from hygie.vault.pack import pack_name
from hygie.vault.planning import Plan, Planner
from hygie.vault.planning_sets import keep_sets
from hygie.vault.quotas import Quotas
from hygie.vault.sealing import seal_group

GROUP_WEIGHT_MAX = 2_000  # objects in one commit: about 3 MB of pack, so a group stays under 200 ms
QUEUE_WEIGHT_MAX = 20_000  # objects waiting in one process before callers are told to come back
GROUPS_IN_FLIGHT = 2


@dataclass(slots=True)
class _Waiting:
    permit: Permit
    request: WriteRequest
    answer: asyncio.Future[list[Written]]


class Writer:
    """Group commit for one environment in one process; other processes have writers of their own."""

    def __init__(
        self, context: EnvironmentContext, *, database: Database, journal: JournalWriter, clock: Clock
    ) -> None:
        self.quotas = Quotas(context.place.role, database=database, journal=journal, clock=clock)
        self._context = context
        self._database = database
        self._journal = journal
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._weight = 0
        self._slots = asyncio.Semaphore(GROUPS_IN_FLIGHT)
        self._pump: asyncio.Task[None] | None = None
        self._groups: set[asyncio.Task[None]] = set()

    async def submit(self, permit: Permit, request: WriteRequest) -> list[Written]:
        """Store all of a request, or none of it; returns once it is durable on a quorum and journaled.

        Raises: VaultBusyError: too much waits; QuotaError; any error of planning (conflict, ambiguity…), alone to this
        request; OutcomeUnknownError: sites were reached and the end is not known; UnavailableError: nothing was stored.
        """
        if permit.allows(Action.OBJECT_CREATE) or permit.allows(Action.OBJECT_UPDATE):
            await self.quotas.check(permit)
        if self._weight + request.weight > QUEUE_WEIGHT_MAX and self._queue:
            raise VaultBusyError(part="vault")
        answer: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(permit, request, answer))
        self._weight += request.weight
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._drain())
        # A caller that goes away does not undo a group: others share it.
        return await asyncio.shield(answer)

    async def close(self) -> None:
        """Let the groups under way end."""
        while self._queue or self._groups:
            pending = set(self._groups)
            if self._pump is not None:
                pending.add(self._pump)
            await asyncio.wait(pending)
            await asyncio.sleep(0)
        await self.quotas.close()

    async def _drain(self) -> None:
        while self._queue:
            await self._slots.acquire()
            group = self._next_group()
            if not group:
                self._slots.release()
                continue
            task = asyncio.create_task(self._commit(group))
            self._groups.add(task)
            task.add_done_callback(self._group_done)

    def _group_done(self, task: asyncio.Task[None]) -> None:
        self._groups.discard(task)
        self._slots.release()

    def _next_group(self) -> list[_Waiting]:
        """The requests of the next commit. One with conditions goes alone: it must see all that came before it."""
        group: list[_Waiting] = []
        weight = 0
        while self._queue:
            first = self._queue[0]
            if group and (first.request.conditions or weight + first.request.weight > GROUP_WEIGHT_MAX):
                break
            self._queue.popleft()
            self._weight -= first.request.weight
            if first.answer.done():
                continue
            group.append(first)
            weight += first.request.weight
            if first.request.conditions:
                break
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        """One transaction, one pack. Every request of the group gets an answer, whatever happens."""
        planner = Planner(self._context, self._clock)
        number = 0
        try:
            async with self._database.transaction(self._context.place.role) as connection:
                plan = await planner.plan(connection, [(waiting.permit, waiting.request) for waiting in group])
                number = plan.number
                await self._store(connection, plan)
        except CommitUnknownError as error:
            if not number or not await self._committed(number):
                _fail(group, OutcomeUnknownError(part="database"), error)
                return
        except HygieError as error:
            known = number == 0 or isinstance(error, OutcomeUnknownError)
            _fail(group, error if known else OutcomeUnknownError(part="vault"), error)
            return
        except Exception as error:
            # A mistake of ours must not leave callers waiting; they get the family that tells operations.
            _fail(group, UnavailableError(part="vault") if number == 0 else OutcomeUnknownError(part="vault"), error)
            raise
        for waiting, result in zip(group, plan.results, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(result, HygieError):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)

    async def _store(self, connection: catalogue.Connection, plan: Plan) -> None:
        """Seal, place, and fill the catalogue; the caller commits."""
        entries: list[Entry] = [
            refusal_entry(permit, error, self._context.place, plan.at_ms) for permit, error in plan.refusals
        ]
        if plan.versions:
            pack, digest, rows = await seal_group(self._context, plan)
            place = self._context.place
            placing = asyncio.create_task(self._context.sites.place(pack_name(place.environment_id, plan.number), pack))
            try:
                await catalogue.insert_group(connection, plan, rows, digest, len(pack))
                await keep_sets(connection, self._context.index, plan.versions)
            finally:
                await placing
            entries += write_entries(plan, place, digest)
            chunks = sum(size for version in plan.versions for _, _, size in version.source.chunks)
            self.quotas.add(len(pack) + chunks, len(rows))
        entries += told_entries(plan)
        if entries:
            await self._journal.append(connection, entries)

    async def _committed(self, number: int) -> bool:
        """Whether the pack's row is there: the answer to a COMMIT whose own answer was lost."""
        for delay_s in (0.1, 0.5, 2.0):
            await asyncio.sleep(delay_s)
            try:
                async with self._database.transaction(self._context.place.role) as connection:
                    return await catalogue.pack_exists(connection, number)
            except UnavailableError:
                continue
        return False


def _fail(group: list[_Waiting], error: HygieError, cause: BaseException) -> None:
    error.__cause__ = cause if cause is not error else None
    for waiting in group:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
