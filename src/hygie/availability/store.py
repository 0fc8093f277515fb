"""Rows of availability: runs of minutes and declared windows, each with a MAC under the key of rights.

Source: docs/adr/0037-availability.md.  A row that Hygie did not write counts for nothing; one that is deleted leaves
minutes that nobody measured, or a window that was not declared: both count for the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from hygie.availability.minutes import MINUTE_MS, Run, Span
from hygie.base.canonical import Field
from hygie.gate.rights import mac_holds, mac_over

RUNS_MAX = 1_000_000  # of an environment: more than its minutes of a year
KEPT_MINUTES = 26 * 31 * 1_440  # two years and more: thirteen months are shown
_LAST = (
    "SELECT source, first, last, state, reason, worst_ms, mac FROM hygie.availability_run"
    " WHERE environment = %s AND source = %s AND last >= %s AND first <= %s ORDER BY last DESC, first LIMIT 20"
)
_ADD = (
    "INSERT INTO hygie.availability_run (environment, source, first, last, state, reason, worst_ms, mac)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (environment, source, first, last, state) DO NOTHING"
)
_EXTEND = (
    "UPDATE hygie.availability_run SET last = %s, worst_ms = %s, mac = %s"
    " WHERE environment = %s AND source = %s AND first = %s AND last = %s AND state = %s"
)
_RUNS = (
    "SELECT source, first, last, state, reason, worst_ms, mac FROM hygie.availability_run"
    " WHERE environment = %s AND last >= %s ORDER BY first LIMIT %s"
)
_WINDOWS = (
    "SELECT id, tenant, from_minute, to_minute, reason, declared_ms, notice_hours, cancelled_ms, mac"
    " FROM hygie.availability_window WHERE tenant = %s ORDER BY from_minute, id"
)
_DECLARE = (
    "INSERT INTO hygie.availability_window"
    " (id, tenant, from_minute, to_minute, reason, declared_ms, notice_hours, mac)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING"
)
_ONE_BY_ONE = "SELECT FROM hygie.tenant WHERE id = %s FOR UPDATE"
_WITHDRAW = (
    "UPDATE hygie.availability_window SET cancelled_ms = %s, mac = NULL"
    " WHERE id = %s AND tenant = %s AND cancelled_ms IS NULL"
)
_CANCEL = (
    "UPDATE hygie.availability_window SET cancelled_ms = %s, mac = NULL"
    " WHERE id = %s AND cancelled_ms IS NULL AND from_minute > %s RETURNING tenant"
)
_SERVED = (
    "SELECT t.name, t.id, e.name, e.id, greatest(e.created_ms, s.since_ms) FROM hygie.environment e"
    " JOIN hygie.tenant t ON t.id = e.tenant CROSS JOIN hygie.availability_since s"
    " WHERE e.kind = 'production' AND e.state = 'open' ORDER BY t.name, e.name"
)

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Served:
    """A production environment that is open. since: the first whole minute that counts."""

    tenant: str
    tenant_id: bytes
    name: str
    environment_id: bytes
    since: int

    @property
    def path(self) -> str:
        """``client/environment``."""
        return f"{self.tenant}/{self.name}"


@dataclass(frozen=True, slots=True)
class Window:
    """A planned window of one client. span: minutes; notice_hours: of the contract when it was declared."""

    id: str
    tenant_id: bytes
    span: Span
    reason: str
    declared_ms: int
    notice_hours: int
    cancelled_ms: int | None = None

    @property
    def in_time(self) -> bool:
        """Whether it was declared before it began, by its notice."""
        return self.declared_ms + self.notice_hours * 3_600_000 <= self.span.start * MINUTE_MS


async def served(connection: Connection) -> list[Served]:
    """Every environment whose minutes count now."""
    rows = await (await connection.execute(_SERVED)).fetchall()
    return [Served(row[0], bytes(row[1]), row[2], bytes(row[3]), -(-row[4] // MINUTE_MS)) for row in rows]


async def keep(connection: Connection, key: bytes, environment: bytes, runs: Sequence[Run]) -> None:
    """Add runs; one that goes on where a run of its source in the same state ended makes that one longer.

    Args: key: of rights. A run whose MAC does not hold is never made longer: it would become one that Hygie wrote.
    """
    for one in runs:
        rows = await (await connection.execute(_LAST, (environment, one.source, one.first - 1, one.last))).fetchall()
        known = [Run(*values) for *values, mac in rows if _holds(key, environment, Run(*values), mac)]
        if any(kept.first <= one.first and one.last <= kept.last and kept.state == one.state for kept in known):
            continue
        for kept in known:
            if (kept.last, kept.state, kept.reason) == (one.first - 1, one.state, one.reason):
                grown = Run(one.source, kept.first, one.last, one.state, one.reason, max(kept.worst_ms, one.worst_ms))
                new = (grown.last, grown.worst_ms, mac_over(key, *_covered(environment, grown)))
                await connection.execute(_EXTEND, (*new, environment, one.source, kept.first, kept.last, kept.state))
                break
        else:
            mac = mac_over(key, *_covered(environment, one))
            values = (one.source, one.first, one.last, one.state, one.reason, one.worst_ms)
            await connection.execute(_ADD, (environment, *values, mac))


async def runs_of(connection: Connection, key: bytes, environment: bytes, since: int) -> list[Run]:
    """Runs that Hygie wrote, with a minute from ``since`` on."""
    rows = await (await connection.execute(_RUNS, (environment, since, RUNS_MAX))).fetchall()
    return [one for *values, mac in rows if _holds(key, environment, one := Run(*values), mac)]


async def windows_of(connection: Connection, key: bytes, tenant: bytes) -> list[tuple[Window, bool]]:
    """Windows of a client, oldest first, and whether each counts: Hygie wrote it, in time, and nobody withdrew it."""
    found = []
    for id_, owner, first, last, reason, declared_ms, notice, cancelled_ms, mac in await (
        await connection.execute(_WINDOWS, (tenant,))
    ).fetchall():
        one = Window(id_, bytes(owner), Span(first, last), reason, declared_ms, notice, cancelled_ms)
        counts = cancelled_ms is None and mac_holds(mac, key, *_window_covered(one)) and one.in_time
        found.append((one, counts))
    return found


async def declare(connection: Connection, key: bytes, one: Window) -> bool:
    """Add a window; whoever calls has checked it. Returns whether it was lacking."""
    values = (one.id, one.tenant_id, one.span.start, one.span.end, one.reason, one.declared_ms, one.notice_hours)
    return bool((await connection.execute(_DECLARE, (*values, mac_over(key, *_window_covered(one))))).rowcount)


async def one_by_one(connection: Connection, tenant: bytes) -> None:
    """Until the transaction ends, nobody else declares for this client: what its year has left is counted once."""
    await connection.execute(_ONE_BY_ONE, (tenant,))


async def withdraw(connection: Connection, id_: str, tenant: bytes, at_ms: int) -> None:
    """Withdraw a window as the journal says that it was."""
    await connection.execute(_WITHDRAW, (at_ms, id_, tenant))


async def cancel(connection: Connection, id_: str, now_ms: int) -> bytes | None:
    """Withdraw a window that has not begun. Returns whose it is; None: there is none such."""
    row = await (await connection.execute(_CANCEL, (now_ms, id_, now_ms // MINUTE_MS))).fetchone()
    return bytes(row[0]) if row is not None else None


async def let_go(connection: Connection, now_minute: int) -> None:
    """Delete runs that are too old to be shown."""
    await connection.execute("DELETE FROM hygie.availability_run WHERE last < %s", (now_minute - KEPT_MINUTES,))


def _holds(key: bytes, environment: bytes, one: Run, mac: bytes | None) -> bool:
    return mac_holds(mac, key, *_covered(environment, one))


def _covered(environment: bytes, one: Run) -> tuple[Field, ...]:
    label = "hygie availability run v1"
    return (label, environment, one.source, one.first, one.last, one.state, one.reason, one.worst_ms)


def _window_covered(one: Window) -> tuple[Field, ...]:
    label, span = "hygie availability window v1", one.span
    return (label, one.id, one.tenant_id, span.start, span.end, one.reason, one.declared_ms, one.notice_hours)
