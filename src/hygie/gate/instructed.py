"""Acts on health data that the operator carries out for the controller: on his officer's order, never of his own right.

The operator's role holds no right on health data.  An order names the client's officer who gave it; he must hold, in
that environment and at that instant, a habilitation to what he orders.  Without it nothing is done, and the refusal is
in the journal before it is told.
"""

from __future__ import annotations

import os

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import RefusedError
from hygie.base.permit import Permit, Place
from hygie.base.roles import ACTIONS_OF_ROLE, Role
from hygie.database.pool import Database
from hygie.gate.local import PURPOSE_CHARACTERS_MAX
from hygie.gate.rights import LIMITS, Right, is_ours, live_rights, rights_key
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

INSTRUCTED_ACTIONS = frozenset({Action.OBJECT_EXPORT})


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
            await self._journal.append_now([self._refusal(officer, action, place)])
            raise RefusedError()
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
        )

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

    def _refusal(self, officer: str, action: Action, place: Place) -> Entry:
        return Entry(
            action=action,
            outcome="refused",
            kind="security",
            at_ms=self._clock.now_ms(),
            tenant_id=place.tenant_id,
            environment_id=place.environment_id,
            account=self._operator,
            authentication="local",
            detail={"code": RefusedError.code, "ordered_by": officer},
        )


def _is_person(right: Right, officer: str) -> bool:
    return right.table == "account" and right.id == officer and right.values["kind"] == "person"
