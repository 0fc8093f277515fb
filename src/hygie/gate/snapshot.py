"""What the gate knows of tenants, tokens and habilitations, in memory, with the number that tells when it is stale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg

from hygie.base.actions import ACTIONS_OF_ROLE, Action, Role
from hygie.base.permit import Place

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
    """All live tokens by hash, all open environments by name, at one generation."""

    generation: int
    bearers: dict[bytes, Bearer] = field(default_factory=dict)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)


GENERATION = "SELECT value FROM hygie.gate_generation"  # the number that every change of rights raises
_PLACES = (
    "SELECT t.name, e.name, e.tenant, e.id, e.role FROM hygie.environment e JOIN hygie.tenant t ON t.id = e.tenant"
    " WHERE e.state = 'open'"
)
_BEARERS = (
    "SELECT k.hash, a.id, a.professional_id, e.tenant, e.id, e.role, least(k.expires_ms, a.ends_ms)"
    " FROM hygie.token k JOIN hygie.account a ON a.id = k.account JOIN hygie.environment e ON e.id = k.environment"
    " WHERE k.revoked_ms IS NULL AND a.state = 'open' AND e.state = 'open' AND least(k.expires_ms, a.ends_ms) > %s"
)
_HABILITATIONS = (
    "SELECT account, environment, id, role, starts_ms, ends_ms FROM hygie.habilitation"
    " WHERE revoked_ms IS NULL AND ends_ms > %s"
)


async def load_snapshot(connection: Connection, now_ms: int) -> Snapshot:
    """Read everything that is live.

    The generation is read first: a change that lands in between makes the snapshot stale, never wrongly fresh.
    """
    row = await (await connection.execute(GENERATION)).fetchone()
    assert row is not None
    generation = int(row[0])
    granted: dict[tuple[str, bytes], list[Habilitation]] = {}
    for account, environment, id_, role, starts_ms, ends_ms in await (
        await connection.execute(_HABILITATIONS, (now_ms,))
    ).fetchall():
        actions = ACTIONS_OF_ROLE[Role(role)]
        granted.setdefault((account, environment), []).append(Habilitation(id_, actions, starts_ms, ends_ms))
    bearers = {
        row[0]: Bearer(row[1], row[2], Place(row[3], row[4], row[5]), row[6], tuple(granted.get((row[1], row[4]), ())))
        for row in await (await connection.execute(_BEARERS, (now_ms,))).fetchall()
    }
    places = {
        (row[0], row[1]): Place(row[2], row[3], row[4]) for row in await (await connection.execute(_PLACES)).fetchall()
    }
    return Snapshot(generation, bearers, places)
