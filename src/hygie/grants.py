"""Habilitations that were asked for and approved, granted by ``hygie work``: hosting processes cannot write rights.

What cannot be granted (the account was closed meanwhile, a role that is not the holder's) is said on record, once.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from hygie.app import House, open_administration
from hygie.base.actions import Action
from hygie.base.errors import InvalidRequestError, NotFoundError, RefusedError
from hygie.base.roles import Role
from hygie.database.pool import Database
from hygie.gate.administration import Administration
from hygie.gate.errors import RequestOverError
from hygie.gate.everywhere import EVERYWHERE, HOST_PLACE, HOST_TENANT
from hygie.gate.narrowing import Limits
from hygie.gate.requests import Request, RequestReader

GRANT_EVERY_S = 0.5  # between an approval and its right; to look is one small query

log = logging.getLogger("hygie.grants")


class Grants:
    """What was approved on one installation. Args: records: a pool that reads requests; operator: who acts."""

    def __init__(self, house: House, records: Database, operator: str) -> None:
        self._house = house
        self._operator = operator
        self._requests = RequestReader(records, kms=house.kms, clock=house.clock)

    async def run(self) -> list[str]:
        """Grant what waits. Returns the ids of the habilitations. Raises: UnavailableError: at the next turn."""
        waiting = await self._requests.approved(Action.HABILITATION_GRANT)
        if not waiting:
            return []
        granted = []
        async with open_administration(self._house, self._operator) as acts:
            for one in waiting:
                try:
                    granted.append(await _grant(acts, one))
                except (InvalidRequestError, NotFoundError, RefusedError) as error:
                    log.warning("request %s cannot be granted: %s", one.id, error.code)
                    with suppress(RequestOverError):  # another process was quicker, and said what became of it
                        await acts.give_up(one, error.code)
        return granted


async def _grant(acts: Administration, request: Request) -> str:
    """Raises: what ``Administration.grant`` raises; InvalidRequestError: words that ask for nothing."""
    what, decision = request.what, request.decision
    assert decision is not None
    try:
        role, days = Role(what["role"]), int(what["days"])
    except (KeyError, ValueError) as error:
        raise InvalidRequestError(reason="request") from error
    tenant, environment = await _names(acts, request)
    return await acts.grant(
        what["account"],
        tenant,
        environment,
        role=role,
        reason=request.reason,
        approver=decision.by,
        days=days,
        limits=Limits.of_row({name: what.get(name, "") for name in ("types", "patients", "purposes")}),
        request=request.id,
    )


async def _names(acts: Administration, request: Request) -> tuple[str, str]:
    """Raises: NotFoundError: the place is no more."""
    if request.place == EVERYWHERE:
        return HOST_TENANT, HOST_PLACE
    for one in await acts.environments():
        if one.place.environment_id == request.place.environment_id and one.state == "open":
            return one.tenant, one.name
    raise NotFoundError()
