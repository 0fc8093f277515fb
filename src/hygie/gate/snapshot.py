"""What the gate knows of tenants, tokens and habilitations, in memory, with the number that tells when it is stale.

Only rows whose MAC holds count: what somebody wrote in the tables by SQL is passed over, and named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from hygie.base.actions import ACTIONS_OF_ROLE, Action, Role
from hygie.base.permit import Place
from hygie.gate.rights import Right, is_ours, live_rights

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Habilitation:
    """One grant: what may be done, from when, until when."""

    id: str
    actions: frozenset[Action]
    starts_ms: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Bearer:
    """What one token stands for. expires_ms: the earliest of the token's and the account's end."""

    account: str
    professional_id: str
    place: Place
    expires_ms: int
    habilitations: tuple[Habilitation, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All live tokens by hash, all open environments by name, at one generation.

    forged: live rows that Hygie did not write as they are; they give nothing.
    """

    generation: int
    bearers: dict[bytes, Bearer] = field(default_factory=dict)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    forged: tuple[Right, ...] = ()


GENERATION = "SELECT value FROM hygie.gate_generation"  # the number that every change of rights raises
_PLACES = (
    "SELECT t.name, e.name, e.tenant, e.id, e.role FROM hygie.environment e JOIN hygie.tenant t ON t.id = e.tenant"
    " WHERE e.state = 'open'"
)


async def load_snapshot(connection: Connection, now_ms: int, key: bytes) -> Snapshot:
    """Read everything that is live.

    The generation is read first: a change that lands in between makes the snapshot stale, never wrongly fresh.

    Args: key: of the MACs of the rows.
    """
    row = await (await connection.execute(GENERATION)).fetchone()
    assert row is not None
    generation = int(row[0])
    places = {
        (row[0], row[1]): Place(row[2], row[3], row[4]) for row in await (await connection.execute(_PLACES)).fetchall()
    }
    rights = await live_rights(connection, now_ms)
    ours: list[Right] = []
    forged: list[Right] = []
    for right in rights:
        (ours if is_ours(right, key) else forged).append(right)
    return Snapshot(generation, _bearers(ours, places), places, tuple(forged))


def _bearers(rights: Sequence[Right], places: Mapping[tuple[str, str], Place]) -> dict[bytes, Bearer]:
    """Who each token stands for: its account is open, its environment too."""
    open_places = {place.environment_id: place for place in places.values()}
    accounts = {right.id: right.values for right in rights if right.table == "account"}
    granted: dict[tuple[str, bytes], list[Habilitation]] = {}
    for one in (right.values for right in rights if right.table == "habilitation"):
        actions = ACTIONS_OF_ROLE[Role(one["role"])]
        made = Habilitation(one["id"], actions, one["starts_ms"], one["ends_ms"])
        granted.setdefault((one["account"], one["environment"]), []).append(made)
    found: dict[bytes, Bearer] = {}
    for one in (right.values for right in rights if right.table == "token"):
        account, place = accounts.get(one["account"]), open_places.get(one["environment"])
        if account is not None and place is not None:
            found[one["hash"]] = Bearer(
                account=account["id"],
                professional_id=account["professional_id"],
                place=place,
                expires_ms=min(one["expires_ms"], account["ends_ms"]),
                habilitations=tuple(granted.get((one["account"], one["environment"]), ())),
            )
    return found
