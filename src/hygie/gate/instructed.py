"""Acts on health data that the operator carries out for the controller: on his officer's order, never of his own right.

The operator's role holds no right on health data.  An order names the client's officer who gave it; he must hold, in
that environment and at that instant, a habilitation to what he orders.  Without it nothing is done, and the refusal is
in the journal before it is told.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import NoReturn

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import HygieError, RefusedError
from hygie.base.permit import Permit, Place
from hygie.base.roles import ACTIONS_OF_ROLE, Role
from hygie.database.pool import Database
from hygie.gate.local import PURPOSE_CHARACTERS_MAX
from hygie.gate.rights import LIMITS, Right, is_ours, live_rights, rights_key
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

INSTRUCTED_ACTIONS = frozenset({Action.OBJECT_EXPORT})
COPY_FROM, COPY_INTO = "production", frozenset({"pre-production", "test"})  # kinds of environments
_KIND = "SELECT kind, tenant FROM hygie.environment WHERE id = %s AND state = 'open'"


class InstructedGate:
    """Permits for one operator, each on somebody's order.

    Args: database: a pool that reads the tables of rights; operator: who acts, as the journal names him.
    """

    def __init__(self, database: Database, *, kms: Kms, journal: JournalWriter, clock: Clock, operator: str) -> None:
        self._database = database
        self._kms = kms
        self._journal = journal
        self._clock = clock
        self._operator = operator

    async def admit(self, officer: str, action: Action, place: Place, *, purpose: str) -> Permit:
        """A permit for one act of the operator, under the habilitation of the officer who ordered it.

        Raises: RefusedError: not an act that can be ordered, or the officer holds no live habilitation to it there
        (a person's account, its rows carrying their MAC); journaled before.
        """
        habilitation = await self._habilitation(officer, action, place) if action in INSTRUCTED_ACTIONS else None
        if habilitation is None:
            await self.refuse(RefusedError(), officer, action, place)
        return self._permit(action, place, habilitation, purpose)

    async def admit_copy(self, officer: str, source: Place, target: Place, *, purpose: str) -> tuple[Permit, Permit]:
        """Permits to read an environment of production, and to create in a test one of the same client.

        What kind of environments they are is asked of the platform's tables, not of the caller.
        Raises: RefusedError: not such a pair, one of them closed, or the officer holds no live habilitation to the copy
        in both; journaled before.
        """
        action = Action.OBJECT_COPY
        kinds = await self._kinds(source, target)
        if kinds is None:
            await self.refuse(RefusedError(), officer, action, target)
        read = await self._habilitation(officer, action, source)
        if read is None:
            await self.refuse(RefusedError(), officer, action, source)
        write = await self._habilitation(officer, action, target)
        if write is None:
            await self.refuse(RefusedError(), officer, action, target)
        source, target = (replace(one, kind=kind) for one, kind in zip((source, target), kinds, strict=True))
        writing = self._permit(action, target, write, purpose, also=frozenset({Action.OBJECT_CREATE}))
        return self._permit(action, source, read, purpose), writing

    async def _kinds(self, source: Place, target: Place) -> tuple[str, str] | None:
        """The kinds of two open environments of one client, the first production, the second for tests."""
        async with self._database.transaction() as connection:
            found = [
                await (await connection.execute(_KIND, (one.environment_id,))).fetchone() for one in (source, target)
            ]
        kinds: list[str] = []
        for row, one in zip(found, (source, target), strict=True):
            if row is None or bytes(row[1]) != one.tenant_id:
                return None
            kinds.append(str(row[0]))
        fits = kinds[0] == COPY_FROM and kinds[1] in COPY_INTO and source.tenant_id == target.tenant_id
        return (kinds[0], kinds[1]) if fits else None

    def _permit(
        self,
        action: Action,
        place: Place,
        habilitation: str,
        purpose: str,
        also: frozenset[Action] = frozenset(),
    ) -> Permit:
        return Permit(
            permit_id=os.urandom(16),
            account=self._operator,
            professional_id="",
            authentication="local",
            action=action,
            place=place,
            habilitation=habilitation,
            purpose=purpose[:PURPOSE_CHARACTERS_MAX],
            address="",
            device="",
            also=also,
        )

    async def refuse(self, error: HygieError, officer: str, action: Action, place: Place) -> NoReturn:
        """Journal that an order is not carried out, durably, then raise why."""
        await self._journal.append_now([self._refusal(error, officer, action, place)])
        raise error

    async def _habilitation(self, officer: str, action: Action, place: Place) -> str | None:
        """The id of the officer's live habilitation to the action, if he has one."""
        now_ms = self._clock.now_ms()
        key = await rights_key(self._kms)
        async with self._database.transaction() as connection:
            rights = [right for right in await live_rights(connection, now_ms) if is_ours(right, key)]
        if not any(_is_person(right, officer) for right in rights):
            return None
        for right in rights:
            held = right.values
            if any(held.get(name) for name in LIMITS["habilitation"]):
                continue  # an order is about the whole of an environment: what is limited does not bear it out
            if right.table != "habilitation" or held["account"] != officer or held["starts_ms"] > now_ms:
                continue
            if bytes(held["environment"]) == place.environment_id and action in ACTIONS_OF_ROLE[Role(held["role"])]:
                return right.id
        return None

    def _refusal(self, error: HygieError, officer: str, action: Action, place: Place) -> Entry:
        return Entry(
            action=action,
            outcome="refused",
            kind="security",
            at_ms=self._clock.now_ms(),
            tenant_id=place.tenant_id,
            environment_id=place.environment_id,
            account=self._operator,
            authentication="local",
            detail={"code": error.code, "ordered_by": officer},
        )


def _is_person(right: Right, officer: str) -> bool:
    return right.table == "account" and right.id == officer and right.values["kind"] == "person"
