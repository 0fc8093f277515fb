"""What the database says: segmentation tried for real, rows of administration, measurements."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any, LiteralString

import psycopg

from hygie.app import House, opened
from hygie.availability.clients import client_minutes
from hygie.availability.minutes import MINUTE_MS, Span, period_at
from hygie.availability.store import served
from hygie.base.civil import paris_date
from hygie.database.pool import Database
from hygie.gate.break_glass import openings_kept
from hygie.gate.requests import emergencies
from hygie.gate.reviews import decisions
from hygie.gate.rights import is_ours, live_rights, rights_key, told
from hygie.keys.errors import UnwrapRecordBrokenError
from hygie.proof.facts import (
    AccessFacts,
    Attempt,
    AvailabilityFacts,
    DrillFacts,
    ErasureFacts,
    LogFacts,
    LogsFacts,
    Measurement,
    Measurements,
    PlaceFacts,
    RightsFacts,
    SegmentationFacts,
    UnwrapFacts,
)
from hygie.segments.format import LOGS
from hygie.segments.rows import head_of, holes, stored_end, waiting_since_ms

AVAILABILITY_MINUTES = 30 * 24 * 60
DAY_MS = 86_400_000
SKEW_MS = 60_000  # another process's clock stands still a moment longer after it was set back
ENVIRONMENTS_MAX = 8  # attempted pairs grow as the square; a sample of eight shows the rule
ADMINISTRATION = ("hygie.token", "hygie.habilitation", "hygie.account", "hygie.journal_entry")
_ROLES = "SELECT role FROM hygie.environment WHERE state = 'open' ORDER BY role LIMIT %s"
_LOGINS = "SELECT rolname FROM pg_roles WHERE rolcanlogin ORDER BY rolname"
_GRANT = (
    *("id", "account", "environment", "tenant", "place", "role", "reason", "approver", "starts_ms", "ends_ms"),
    *("suspended_ms", "revoked_ms", "revoked_by"),
)
_GRANTS = (
    "SELECT h.id, h.account, h.environment, coalesce(t.name, 'hygie'), coalesce(e.name, 'platform'), h.role, h.reason,"
    " h.approver, h.starts_ms, h.ends_ms, h.suspended_ms, h.revoked_ms, h.revoked_by FROM hygie.habilitation h"
    " LEFT JOIN hygie.environment e ON e.id = h.environment"
    " LEFT JOIN hygie.tenant t ON t.id = e.tenant ORDER BY h.starts_ms, h.id"
)
_EXCEPTION = ("kind", "id", "account", "at_ms", "answered")
_REVIEW = ("habilitation", "account", "at_ms")
_CAMPAIGN = ("name", "due_ms", "waiting")
# Rights of each campaign that live still; one row without a right for a campaign that has none.
_CAMPAIGNS = (
    "SELECT c.id, c.name, c.due_ms, h.id FROM hygie.review_campaign c LEFT JOIN hygie.habilitation h"
    " ON h.environment = c.environment AND h.starts_ms <= c.opened_ms AND h.revoked_ms IS NULL AND h.ends_ms > c.due_ms"
    " ORDER BY c.due_ms, c.id"
)
_PLACES = (
    "SELECT t.name, e.name, e.kind, e.state, e.created_ms FROM hygie.environment e"
    " JOIN hygie.tenant t ON t.id = e.tenant WHERE e.state <> 'destroyed' ORDER BY t.name, e.name"
)
_ERASURES = (
    "SELECT x.id, t.name, x.requested_ms FROM hygie.erasure x JOIN hygie.environment e ON e.id = x.environment"
    " JOIN hygie.tenant t ON t.id = e.tenant WHERE x.unreadable_ms IS NOT NULL ORDER BY x.requested_ms, x.id"
)
_DRILLS = "SELECT kind, at_ms, passed, facts FROM hygie.measurement WHERE kind LIKE 'drill-%' ORDER BY at_ms, id"
# What is dated later than now was measured under a clock that lied: it would hide every run since.
_NEWEST = (
    "SELECT kind, at_ms, passed, facts, (SELECT good.at_ms FROM hygie.measurement AS good WHERE good.passed"
    "   AND good.kind = newest.kind AND good.at_ms <= newest.at_ms ORDER BY good.at_ms DESC LIMIT 1)"
    " FROM (SELECT DISTINCT ON (kind) kind, at_ms, passed, facts FROM hygie.measurement WHERE at_ms <= %s"
    "   ORDER BY kind, at_ms DESC) AS newest"
)


async def probe_segmentation(house: House) -> SegmentationFacts:
    """Each environment's role reads its own catalogue, then tries the others' and administration's tables."""
    async with opened(house.dsns.sealer, size=1) as records, records.transaction() as connection:
        roles = [row[0] for row in await (await connection.execute(_ROLES, (ENVIRONMENTS_MAX,))).fetchall()]
    controls: list[Attempt] = []
    across: list[Attempt] = []
    administration: list[Attempt] = []
    async with opened(house.dsns.hosting, size=1) as pool:
        for role in roles:
            controls.append(await _attempt(pool, role, f'"{role}".object'))
            across += [await _attempt(pool, role, f'"{other}".object') for other in roles if other != role]
            administration += [await _attempt(pool, role, table) for table in ADMINISTRATION]
    return SegmentationFacts(len(roles), tuple(controls), tuple(across), tuple(administration))


async def _attempt(pool: Database, role: str, table: str) -> Attempt:
    try:
        async with pool.transaction(role) as connection:
            await connection.execute(b"SELECT 1 FROM " + table.encode() + b" LIMIT 1")
    except psycopg.errors.InsufficientPrivilege:
        return Attempt(role, table, "refused")
    except psycopg.Error as error:
        return Attempt(role, table, error.sqlstate or "error")
    return Attempt(role, table, "allowed")


async def probe_access(house: House) -> AccessFacts:
    """Accounts, tokens and habilitations, without any secret."""
    key = await rights_key(house.kms)
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:

        async def listed(columns: str, table: str) -> tuple[dict[str, Any], ...]:
            names = [one.rpartition(" AS ")[2] for one in columns.split(", ")]
            found = await connection.execute(f"SELECT {columns} FROM hygie.{table}".encode())  # noqa: S608 (constants)
            return tuple(dict(zip(names, row, strict=True)) for row in await found.fetchall())

        decided = await decisions(connection, key)
        return AccessFacts(
            accounts=await listed("id, kind, state, ends_ms, professional_id <> '' AS numbered", "account"),
            tokens=await listed("id, account, environment, created_ms, expires_ms, revoked_ms", "token"),
            habilitations=tuple(dict(zip(_GRANT, row, strict=True)) for row in await _all(connection, _GRANTS)),
            login_roles=tuple(row[0] for row in await _all(connection, _LOGINS)),
            exceptions=await _exceptions(connection, key),
            reviews=tuple(dict(zip(_REVIEW, row[1:], strict=True)) for row in decided),
            campaigns=_campaigns(await _all(connection, _CAMPAIGNS), {(row[0], row[1]) for row in decided}),
            authenticators=tuple(
                {name: one.values[name] for name in ("account", "kind")}
                for one in await live_rights(connection, house.clock.now_ms(), ("authenticator",))
                if is_ours(one, key)
            ),
        )


async def _exceptions(connection: psycopg.AsyncConnection[Any], key: bytes) -> tuple[dict[str, Any], ...]:
    """Openings of records and rights raised before an answer; a row that Hygie did not write answers for none."""
    found = [("break-glass", one.id, one.account, one.opened_ms, bool(one.verdict))
             for one in await openings_kept(connection, key)]  # fmt: skip
    found += [("emergency", *one) for one in await emergencies(connection, key)]
    return tuple(dict(zip(_EXCEPTION, row, strict=True)) for row in sorted(found, key=lambda row: (row[3], row[1])))


def _campaigns(rows: list[tuple[Any, ...]], decided: set[tuple[str, str]]) -> tuple[dict[str, Any], ...]:
    found: dict[str, dict[str, Any]] = {}
    for id_, name, due_ms, right in rows:
        one = found.setdefault(id_, dict(zip(_CAMPAIGN, (name, due_ms, 0), strict=True)))
        one["waiting"] += right is not None and (id_, right) not in decided
    return tuple(found.values())


async def _all(connection: psycopg.AsyncConnection[Any], query: LiteralString) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query)).fetchall()


async def probe_places(house: House) -> tuple[PlaceFacts, ...]:
    """Every environment of every client that is not destroyed."""
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
        return tuple(PlaceFacts(*row) for row in await _all(connection, _PLACES))


async def probe_erasures(house: House) -> tuple[ErasureFacts, ...]:
    """Every erasure that made data unreadable."""
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
        return tuple(ErasureFacts(*row) for row in await _all(connection, _ERASURES))


async def probe_drills(house: House) -> tuple[DrillFacts, ...]:
    """Every drill that was measured to its end, oldest first."""
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
        rows = await _all(connection, _DRILLS)
    return tuple(
        DrillFacts(
            str(facts["drill"]), kind.removeprefix("drill-"), at_ms, passed, facts.get("rto_s"), facts.get("rpo_s")
        )
        for kind, at_ms, passed, facts in rows
        if "drill" in facts and "code" not in facts
    )


async def probe_measurements(house: House) -> Measurements:
    """The newest run of each kind, and when the last good one was."""
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
        found = await (await connection.execute(_NEWEST, (house.clock.now_ms() + SKEW_MS,))).fetchall()
    return {row[0]: Measurement(*row[1:]) for row in found}


async def probe_rights(house: House) -> RightsFacts:
    """Every live row that gives a right, its MAC checked now, and the last comparison with the journal."""
    key = await rights_key(house.kms)
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
        rights = await live_rights(connection, house.clock.now_ms())
    forged = told([right for right in rights if not is_ours(right, key)])
    compared = (await probe_measurements(house)).get("rights")
    return RightsFacts(
        live=len(rights),
        forged=tuple(forged),
        compared_at_ms=compared.at_ms if compared else None,
        complete=bool(compared and compared.facts["complete"]),
        wrong=tuple(compared.facts["wrong"]) if compared else (),
        **{name: compared.facts.get(name, 0) for name in ("foreign", "foreign_at", "foreign_ms") if compared},
    )


async def probe_unwraps(house: House) -> UnwrapFacts:
    """The key record, asked now whether it goes through the head that was anchored last."""
    anchored = (await probe_measurements(house)).get("unwraps")
    lines = (await house.kms.status()).unwrap_lines
    if anchored is None:
        return UnwrapFacts(lines, None, None, follows=False, cut=0, cut_at_ms=None)
    facts = anchored.facts
    try:
        (heads,) = await house.kms.unwrap_heads([facts["lines"]])
    except UnwrapRecordBrokenError:
        heads = []
    return UnwrapFacts(
        lines=lines,
        anchored_lines=facts["lines"],
        anchored_at_ms=anchored.at_ms,
        follows=bytes.fromhex(facts["head"]) in heads,
        cut=facts["cut"],
        cut_at_ms=facts["cut_at_ms"],
    )


async def probe_logs(house: House) -> LogsFacts:
    """Where registers and evidence stand now, and the last comparison with the journal."""
    compared = (await probe_measurements(house)).get("logs")
    found = []
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
        for log in LOGS:
            said: dict[str, Any] = compared.facts[log] if compared else {"named": 0, "shown": ""}
            head, published = await head_of(connection, log), await stored_end(connection, log)
            since_ms = await waiting_since_ms(connection, log, published.seq)
            waits_ms = house.clock.now_ms() - since_ms if since_ms is not None else 0
            declared = sum(end.seq - first + 1 for first, end in await holes(connection, log))
            numbers = (head.seq, said["named"], published.seq, waits_ms, declared)
            found.append(LogFacts(log, *numbers, said["shown"]))
    return LogsFacts(tuple(found), compared.at_ms if compared else None)


async def probe_availability(house: House) -> tuple[AvailabilityFacts, ...]:
    """The minutes of each client in production, as its contract is held to them."""
    key, until = await rights_key(house.kms), house.clock.now_ms() // MINUTE_MS
    since = period_at(date(paris_date(until * MINUTE_MS).year - 1, 1, 1), "yearly").span.start
    month = Span(until - AVAILABILITY_MINUTES, until)
    found = []
    async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
        places = await served(connection)
        for tenant in dict.fromkeys(one.tenant for one in places):
            theirs = [one for one in places if one.tenant == tenant]
            client = await client_minutes(connection, key, theirs, since=since, until=until)
            found.append(AvailabilityFacts(client, await asyncio.to_thread(client.counted, month)))
    return tuple(found)
