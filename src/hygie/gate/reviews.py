"""Campaigns in which each right of a place is looked at again, and kept or ended at once, by another than its holder.

Source: HDS v2, requirement 05 D a (rights are reviewed); ISO 27001 A.5.18.  A campaign is about the rights that lived
when it was opened; a right that ended meanwhile needs no decision.  To give less, one withdraws and asks for less.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import psycopg

from hygie.base.actions import Action
from hygie.base.canonical import Field
from hygie.base.clock import Clock
from hygie.base.errors import NotFoundError
from hygie.base.naming import looks_like_ins
from hygie.base.people import is_same_person
from hygie.base.permit import Permit, Place
from hygie.database.pool import Database
from hygie.gate.errors import RequestOverError, RequestRefusedError, SamePersonError
from hygie.gate.requests import is_plain
from hygie.gate.rights import mac_holds, mac_over, rights_key
from hygie.gate.told_by import act_entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

DAY_MS = 86_400_000
DAYS_MAX = 366
NAME_MIN, NAME_MAX, WHY_MAX = 3, 120, 500
LISTED_MAX = 200
KEEP, WITHDRAW = "keep", "withdraw"
ID = re.compile(r"[0-9a-f]{16}")

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign of a place. waiting: how many of its rights live still and have no decision."""

    id: str
    tenant: bytes
    environment: bytes
    name: str
    opened_by: str
    opened_ms: int
    due_ms: int
    mac: bytes = field(repr=False)
    waiting: int = 0


_SELECT = (
    "SELECT id, tenant, environment, name, opened_by, opened_ms, due_ms, mac FROM hygie.review_campaign"
    " WHERE tenant = %s AND environment = %s"
)
_LIVE = "SELECT id, starts_ms FROM hygie.habilitation WHERE environment = %s AND revoked_ms IS NULL AND ends_ms > %s"
_RIGHTS = (
    "SELECT h.id, h.account, h.role, h.types, h.patients, h.purposes, h.reason, h.approver, h.starts_ms, h.ends_ms,"
    " h.revoked_ms, r.decision, r.decided_by, r.decided_ms, r.why, r.mac"
    " FROM hygie.habilitation h LEFT JOIN hygie.right_review r ON r.habilitation = h.id AND r.campaign = %s"
    " WHERE h.environment = %s AND h.starts_ms <= %s"
    " AND (h.revoked_ms IS NULL OR h.revoked_ms > %s) AND h.ends_ms > %s ORDER BY h.account, h.role, h.starts_ms"
)
_OPEN = (
    "INSERT INTO hygie.review_campaign (id, tenant, environment, name, opened_by, opened_ms, due_ms, mac)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_DECIDE = (
    "INSERT INTO hygie.right_review (campaign, habilitation, decision, decided_by, decided_ms, why, mac)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_DECISIONS = (
    b"SELECT r.campaign, r.habilitation, r.decision, r.decided_by, r.decided_ms, r.why, r.mac, h.account"
    b" FROM hygie.right_review r JOIN hygie.habilitation h ON h.id = r.habilitation"
    b" ORDER BY r.decided_ms, r.habilitation"
)
_DECISION = "hygie right review v1"  # what the MAC of a decision begins with
_END = "SELECT hygie.end_habilitation(%s, %s, %s)"


async def decisions(connection: Connection, key: bytes) -> list[tuple[str, str, str, int]]:
    """Campaign, right, holder and instant (ms) of each decision that Hygie wrote, oldest first."""
    rows = await (await connection.execute(_DECISIONS)).fetchall()
    return [(*row[:2], row[7], row[4]) for row in rows if mac_holds(row[6], key, _DECISION, *row[:6])]


class Reviews:
    """Campaigns of one installation. Args: database: a pool of the hosting role, or the owner's."""

    def __init__(self, database: Database, *, kms: Kms, journal: JournalWriter, clock: Clock) -> None:
        self._database = database
        self._kms = kms
        self._journal = journal
        self._clock = clock
        self._key: bytes | None = None

    async def open(self, permit: Permit, name: str, due_ms: int) -> Campaign:
        """A campaign in the permit's place. Raises: RequestRefusedError: a name or a date that does not hold."""
        now_ms = self._clock.now_ms()
        _check(NAME_MIN <= len(name) <= NAME_MAX and is_plain(name) and not looks_like_ins(name), "name")
        _check(now_ms < due_ms <= now_ms + DAYS_MAX * DAY_MS, "due")
        place, key = permit.place, await self._rights_key()
        made = Campaign(
            secrets.token_hex(8), place.tenant_id, place.environment_id, name, permit.account, now_ms, due_ms, b""
        )
        row = (made.id, made.tenant, made.environment, name, made.opened_by, now_ms, due_ms)
        async with self._database.transaction() as connection:
            await connection.execute(_OPEN, (*row, mac_over(key, *_covered(made))))
            await self._journal.append(connection, [act_entry(permit, now_ms, {"campaign": made.id})])
            return (await self._counted(connection, place, [made], key))[0]

    async def listing(self, place: Place) -> list[Campaign]:
        """The newest campaigns of a place."""
        key = await self._rights_key()
        query = f"{_SELECT} ORDER BY opened_ms DESC"  # planted ones hide none that is true
        async with self._database.transaction() as connection:
            found = await (await connection.execute(query.encode(), (place.tenant_id, place.environment_id))).fetchall()
            ours = (one for one in map(_campaign, found) if mac_holds(one.mac, key, *_covered(one)))
            return await self._counted(connection, place, list(islice(ours, LISTED_MAX)), key)

    async def rights(self, place: Place, id_: str) -> list[dict[str, Any]]:
        """The rights of a campaign, each with its decision if it has one. Raises: NotFoundError."""
        key = await self._rights_key()
        async with self._database.transaction() as connection:
            one = await self._one(connection, place, id_, key)
            facts = (id_, place.environment_id, one.opened_ms, one.opened_ms, one.opened_ms)
            cursor = await connection.execute(_RIGHTS, facts)
            names = [column.name for column in cursor.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
        return [_told(key, id_, one) for one in found]

    async def decide(self, permit: Permit, id_: str, habilitation: str, decision: str, *, why: str = "") -> None:
        """Keep a right, or end it now, in every process.

        Raises: NotFoundError: no such campaign or right there; SamePersonError: his own; RequestOverError: decided;
        RequestRefusedError: no such decision.
        """
        _check(decision in (KEEP, WITHDRAW), "decision")
        _check(len(why) <= WHY_MAX and is_plain(why) and not looks_like_ins(why), "why")
        key, now_ms = await self._rights_key(), self._clock.now_ms()
        found = [one for one in await self.rights(permit.place, id_) if one["id"] == habilitation]
        if not found:
            raise NotFoundError()
        if is_same_person(found[0]["account"], permit.account):
            raise SamePersonError()
        row = (id_, habilitation, decision, permit.account, now_ms, why)
        async with self._database.transaction() as connection:
            done = await connection.execute(_DECIDE, (*row, mac_over(key, _DECISION, *row)))
            if done.rowcount != 1:
                raise RequestOverError()
            detail = {"campaign": id_, "habilitation": habilitation, "decision": decision}
            entries = [act_entry(permit, now_ms, detail)]
            if decision == WITHDRAW:
                ended = await (await connection.execute(_END, (habilitation, permit.account, now_ms))).fetchone()
                if ended is not None and ended[0]:
                    told = {"habilitation": habilitation}
                    entries.append(act_entry(permit, now_ms, told, action=Action.HABILITATION_REVOKE))
            await self._journal.append(connection, entries)

    async def _one(self, connection: Connection, place: Place, id_: str, key: bytes) -> Campaign:
        if not ID.fullmatch(id_):
            raise NotFoundError()
        facts = (place.tenant_id, place.environment_id, id_)
        row = await (await connection.execute(f"{_SELECT} AND id = %s".encode(), facts)).fetchone()
        one = _campaign(row) if row is not None else None
        if one is None or not mac_holds(one.mac, key, *_covered(one)):
            raise NotFoundError()
        return one

    async def _counted(
        self, connection: Connection, place: Place, campaigns: Sequence[Campaign], key: bytes
    ) -> list[Campaign]:
        """With how many rights wait: those that lived when it was opened, live still, and have no true decision."""
        facts = (place.environment_id, self._clock.now_ms())
        live = await (await connection.execute(_LIVE, facts)).fetchall()
        decided = {(campaign, right) for campaign, right, *_ in await decisions(connection, key)}
        return [
            replace(one, waiting=sum(at <= one.opened_ms and (one.id, right) not in decided for right, at in live))
            for one in campaigns
        ]

    async def _rights_key(self) -> bytes:
        self._key = self._key or await rights_key(self._kms)
        return self._key


def _campaign(row: Sequence[Any]) -> Campaign:
    return Campaign(row[0], bytes(row[1]), bytes(row[2]), *row[3:])


def _covered(one: Campaign) -> tuple[Field, ...]:
    place = (one.tenant, one.environment)
    return ("hygie review v1", one.id, *place, one.name, one.opened_by, one.opened_ms, one.due_ms)


def _told(key: bytes, campaign: str, one: dict[str, Any]) -> dict[str, Any]:
    """A right with its decision, if Hygie wrote it; a planted one shows as none."""
    mac = one.pop("mac")
    row = (campaign, one["id"], one["decision"], one["decided_by"], one["decided_ms"], one["why"])
    if mac is None or mac_holds(mac, key, _DECISION, *row):
        return one
    return one | dict.fromkeys(("decision", "decided_by", "decided_ms", "why"))


def _check(holds: object, reason: str) -> None:
    if not holds:
        raise RequestRefusedError(reason=reason)
