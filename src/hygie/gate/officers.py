"""Who may answer in a place, counted over all who ever could: what takes two persons stays so when they leave.

Source: docs/adr/0018-two-persons.md.  The first two are named by one person, since nobody could answer before them.  An
officer whose right ended, was suspended or revoked was named all the same: else whoever revokes both would be alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from hygie.base.permit import Place
from hygie.base.roles import Role

FIRST_NAMED = 2
SUCCESSION_MS: Final = 7 * 86_400_000  # an emergency that nobody answered has been red for days by then

Connection = psycopg.AsyncConnection[Any]

_NAMED = (
    "SELECT count(DISTINCT account), coalesce(max(least(ends_ms, revoked_ms, suspended_ms)), 0) FROM hygie.habilitation"
    " WHERE environment = %s AND role = ANY(%s)"
)


@dataclass(frozen=True, slots=True)
class Officers:
    """count: accounts that ever held one of the roles; until_ms: when the last right of theirs ends or ended, UTC."""

    count: int
    until_ms: int

    @property
    def take_two(self) -> bool:
        """Whether two were named: from then on nobody does alone what they answer for."""
        return self.count >= FIRST_NAMED

    def are_gone(self, now_ms: int) -> bool:
        """Whether nobody could answer for so long that one person may name a successor."""
        return now_ms >= self.until_ms + SUCCESSION_MS


async def officers(connection: Connection, place: Place, roles: Collection[Role]) -> Officers:
    """Those of these roles in a place. Rows count whether or not Hygie wrote them: to ask for more, never to give."""
    facts = (place.environment_id, [role.value for role in roles])
    row = await (await connection.execute(_NAMED, facts)).fetchone()
    assert row is not None
    return Officers(*row)
