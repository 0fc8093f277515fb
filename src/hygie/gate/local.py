"""The machine's own operator: permits for acts of the command line and of the working process, each journaled.

Whoever runs these commands owns the machine; what he may do is on one page, and what he does is in the journal before
it begins (*intent*) and after it ended (*done*, or *unknown* with the code of what stopped it).  Health data are never
read nor written through here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError, RefusedError
from hygie.base.permit import Permit, Place
from hygie.base.roles import ACTIONS_OF_ROLE, Role
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.two_persons import DAILY
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter

LOCAL_ACTIONS = ACTIONS_OF_ROLE[Role.OPERATOR] | {Action.PATIENT_ERASE}  # an erasure has the controller's instruction
PURPOSE_CHARACTERS_MAX = 120


@dataclass(slots=True)
class Act:
    """An act under way. permit: what rooms below ask for; detail: codes that its outcome will say; count: likewise."""

    permit: Permit
    detail: dict[str, str] = field(default_factory=dict)
    count: int = 0


class LocalOperator:
    """One person or program of the machine.

    Args: account: who acts, as the journal names him (``local:root``, ``system:work``); raised: asked before each act
    that is no daily work, raises where his rights are not raised; None for a program.
    """

    def __init__(
        self, journal: JournalWriter, clock: Clock, account: str, *, raised: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._account = account
        self._raised = raised

    @property
    def account(self) -> str:
        """Who acts, as the journal names him."""
        return self._account

    def permit(self, action: Action, place: Place = EVERYWHERE, *, purpose: str = "") -> Permit:
        """A permit for an act that journals itself. Raises: RefusedError: not an operator's act."""
        if action not in LOCAL_ACTIONS:
            raise RefusedError()
        return Permit(
            permit_id=os.urandom(16),
            account=self._account,
            professional_id="",
            authentication="local",
            action=action,
            place=place,
            habilitation="local",
            purpose=purpose[:PURPOSE_CHARACTERS_MAX],
            address="",
            device="",
        )

    @asynccontextmanager
    async def act(
        self, action: Action, place: Place = EVERYWHERE, *, purpose: str = "", detail: dict[str, str] | None = None
    ) -> AsyncIterator[Act]:
        """An act between its two entries.

        Args: detail: codes of the intent, repeated in the outcome.
        Raises: RefusedError; NotRaisedError; JournalUnavailableError: nothing was begun.
        """
        async with self.acting(self.permit(action, place, purpose=purpose), detail=detail) as act:
            yield act

    @asynccontextmanager
    async def acting(self, permit: Permit, *, detail: dict[str, str] | None = None) -> AsyncIterator[Act]:
        """The same under a permit that the gate gave, for what the machine's operator may do on an order only.

        Raises: NotRaisedError; JournalUnavailableError: nothing was begun.
        """
        if self._raised is not None and permit.action not in DAILY:
            await self._raised()
        acting = Act(permit, dict(detail or {}))
        await self._write(acting, "intent")
        try:
            yield acting
        except BaseException as error:
            acting.detail["code"] = error.code if isinstance(error, HygieError) else type(error).__name__
            await asyncio.shield(self._write(acting, "unknown"))
            raise
        await self._write(acting, "done")

    async def record(
        self,
        action: Action,
        place: Place = EVERYWHERE,
        *,
        detail: dict[str, str] | None = None,
        count: int = 0,
        outcome: str = "done",
    ) -> None:
        """One entry for an act that changes nothing (a reading, an export), or that was refused."""
        await self._write(Act(self.permit(action, place), dict(detail or {}), count), outcome)

    async def _write(self, acting: Act, outcome: str) -> None:
        permit = acting.permit
        entry = Entry(
            action=permit.action,
            outcome=outcome,
            kind="administration",
            at_ms=self._clock.now_ms(),
            tenant_id=permit.place.tenant_id,
            environment_id=permit.place.environment_id,
            account=permit.account,
            authentication=permit.authentication,
            purpose=permit.purpose,
            habilitation=permit.habilitation,
            permit_id=permit.permit_id,
            count=acting.count,
            detail=dict(acting.detail),
        )
        await self._journal.append_now([entry])
