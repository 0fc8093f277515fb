"""The retentions in force: the longest that the settings asked for, until two persons agreed to a shorter one.

Source: docs/adr/0028-retentions.md.  Rows are only added, each with a MAC under the key of rights and its rank: a row
written by SQL keeps nothing and shortens nothing, and neither does an old one that is brought back under another rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from hygie.base.actions import Action
from hygie.base.canonical import Field
from hygie.base.clock import Clock
from hygie.base.errors import RefusedError
from hygie.base.permit import Permit
from hygie.database.pool import Database
from hygie.gate.errors import RequestRefusedError
from hygie.gate.rights import mac_holds, mac_over, rights_key
from hygie.keys.kms import Kms

_ROWS = "SELECT name, rank, value, since_ms, request, mac FROM hygie.retention ORDER BY name, rank"
_ADD = "INSERT INTO hygie.retention (name, rank, value, since_ms, request, mac) VALUES (%s, %s, %s, %s, %s, %s)"
_LAST = "SELECT coalesce(max(rank), 0) FROM hygie.retention WHERE name = %s"
_ALONE = "LOCK TABLE hygie.retention IN EXCLUSIVE MODE"  # ranks have no holes, and who reads is not held up

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Retention:
    """One that is in force. request: of the two persons who shortened it; empty when it was only ever lengthened."""

    name: str
    rank: int
    value: int
    since_ms: int
    request: str


async def in_force(connection: Connection, key: bytes) -> dict[str, Retention]:
    """By name, the newest; where a row is missing or is not one that Hygie wrote, the longest of those it wrote.

    Args: key: of rights, see :func:`hygie.gate.rights.rights_key`.
    """
    ours: dict[str, list[Retention]] = {}
    ranks: dict[str, int] = {}
    for *values, mac in await (await connection.execute(_ROWS)).fetchall():
        one = Retention(*values)
        ranks[one.name] = one.rank
        if mac_holds(mac, key, *_covered(one)):
            ours.setdefault(one.name, []).append(one)
    return {
        name: rows[-1] if len(rows) == ranks[name] else max(rows, key=lambda one: one.value)
        for name, rows in ours.items()
    }


class Retentions:
    """Those of one installation; who acts journals before and after. Args: database: a pool of the owner's role."""

    def __init__(self, database: Database, *, kms: Kms, clock: Clock) -> None:
        self._database = database
        self._kms = kms
        self._clock = clock

    async def kept(self) -> dict[str, Retention]:
        """What is in force, by name."""
        key = await rights_key(self._kms)
        async with self._database.transaction() as connection:
            return await in_force(connection, key)

    async def lengthen(self, permit: Permit, wanted: Mapping[str, int]) -> None:
        """Put in force what is wanted and longer than what is, or not known yet."""
        self._check(permit)
        key = await rights_key(self._kms)
        async with self._database.transaction() as connection:
            await connection.execute(_ALONE)
            known = await in_force(connection, key)
            for name, value in wanted.items():
                if name not in known or known[name].value < value:
                    await self._add(connection, key, name, value, "")

    async def shorten(self, permit: Permit, name: str, value: int, *, request: str) -> None:
        """Put a shorter one in force. Args: request: that two persons made and approved, empty where one suffices.

        Raises: RequestRefusedError: none of that name is in force, or it is not longer.
        """
        self._check(permit)
        key = await rights_key(self._kms)
        async with self._database.transaction() as connection:
            await connection.execute(_ALONE)
            check_shorter(await in_force(connection, key), name, value)
            await self._add(connection, key, name, value, request)

    async def _add(self, connection: Connection, key: bytes, name: str, value: int, request: str) -> None:
        row = await (await connection.execute(_LAST, (name,))).fetchone()
        assert row is not None
        one = Retention(name, row[0] + 1, value, self._clock.now_ms(), request)
        mac = mac_over(key, *_covered(one))
        await connection.execute(_ADD, (one.name, one.rank, one.value, one.since_ms, one.request, mac))

    def _check(self, permit: Permit) -> None:
        """Raises: RefusedError."""
        if not permit.allows(Action.RETENTION_SET):
            raise RefusedError()


def check_shorter(known: Mapping[str, Retention], name: str, value: int) -> None:
    """Raises: RequestRefusedError: none of that name is in force, or it is not longer than this."""
    if name not in known:
        raise RequestRefusedError(reason=", ".join(known) or name)
    if not 0 <= value < known[name].value:
        raise RequestRefusedError(reason=f"{name} = {known[name].value}")


def _covered(one: Retention) -> tuple[Field, ...]:
    return ("hygie retention v1", one.name, one.rank, one.value, one.since_ms, one.request)
