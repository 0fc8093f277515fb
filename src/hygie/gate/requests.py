"""What takes two persons: one asks for an act, another answers, and the answer is used once.

Source: docs/adr/0018-two-persons.md.  A request says what is asked for in words that hold no health data; what may not
be told (which patient) is a keyed digest, and who approves has to name it again.  Rows are only added, each with a MAC
under the key of rights, so whoever writes the database without it approves nothing.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import psycopg

from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.errors import NotFoundError
from hygie.base.naming import looks_like_ins
from hygie.base.people import is_same_person
from hygie.base.permit import Permit, Place
from hygie.database.pool import Database
from hygie.gate.errors import RequestOverError, RequestRefusedError, SamePersonError, TwoPersonsError
from hygie.gate.rights import mac_holds, mac_over, rights_key
from hygie.gate.told_by import act_entry
from hygie.journal.writer import JournalWriter
from hygie.keys.kms import Kms

DAY_MS = 86_400_000
LIFE_MS = 7 * DAY_MS  # asked and not answered, or approved and not used, it is over
REASON_MIN, TEXT_MAX = 3, 500
WHAT_CHARACTERS_MAX = 4_000
LISTED_MAX = 500
ID = re.compile(r"[0-9a-f]{16}")
APPROVED, REFUSED, WITHDRAWN = "approved", "refused", "withdrawn"

_REQUEST, _DECISION = "hygie request v1", "hygie decision v1"  # what their MACs begin with

Connection = psycopg.AsyncConnection[Any]

# What may be asked for → what the person who asks holds, and what the one who answers holds.
ASKING: Final[Mapping[Action, Action]] = {
    Action.HABILITATION_GRANT: Action.APPROVAL_ASK,
    Action.KEY_ROTATE: Action.KEY_ROTATE,
    Action.OBJECT_EXPORT: Action.OBJECT_EXPORT,
    Action.PATIENT_ERASE: Action.PATIENT_ERASE,
    Action.RETENTION_SET: Action.RETENTION_SET,
    Action.RIGHT_RAISE: Action.RIGHT_RAISE,
    Action.TENANT_DESTROY: Action.TENANT_DESTROY,
}
ANSWERING: Final[Mapping[Action, Action]] = {
    Action.HABILITATION_GRANT: Action.HABILITATION_APPROVE,
    Action.KEY_ROTATE: Action.ROTATION_APPROVE,
    Action.OBJECT_EXPORT: Action.EXPORT_APPROVE,
    Action.PATIENT_ERASE: Action.ERASURE_APPROVE,
    Action.RETENTION_SET: Action.RETENTION_APPROVE,
    Action.RIGHT_RAISE: Action.RIGHT_RAISE_APPROVE,
    Action.TENANT_DESTROY: Action.DESTRUCTION_APPROVE,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was answered. verdict: ``approved``, ``refused`` or ``withdrawn``."""

    verdict: str
    by: str
    at_ms: int
    why: str
    mac: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One request. what: the act in words; subject: digest of what is not told, or nothing; used: what became of it."""

    id: str
    act: Action
    place: Place
    what: Mapping[str, str]
    subject: bytes
    reason: str
    asked_by: str
    asked_ms: int
    ends_ms: int
    mac: bytes = field(repr=False)
    decision: Decision | None = None
    used: str | None = None

    @property
    def is_emergency(self) -> bool:
        """Whether rights are raised by it before anybody answered."""
        return self.act is Action.RIGHT_RAISE and self.what.get("emergency") == "yes"

    def state(self, now_ms: int) -> str:
        """``waiting``, ``approved``, ``refused``, ``withdrawn``, ``used`` or ``over``.

        An emergency waits for ever: what it gave was taken, and somebody answers for it however late.
        """
        if self.used is not None:
            return "used"
        if self.decision is not None and self.decision.verdict != APPROVED:
            return self.decision.verdict
        if now_ms >= self.ends_ms and not (self.is_emergency and self.decision is None):
            return "over"
        return APPROVED if self.decision is not None else "waiting"


_SELECT = (
    "SELECT r.id, r.act, r.tenant, r.environment, r.what, r.subject, r.reason, r.asked_by, r.asked_ms, r.ends_ms,"
    " r.mac, d.verdict, d.decided_by, d.decided_ms, d.why, d.mac, u.outcome FROM hygie.request r"
    " LEFT JOIN hygie.decision d ON d.request = r.id LEFT JOIN hygie.request_use u ON u.request = r.id"
)
_INSERT = (
    "INSERT INTO hygie.request (id, act, tenant, environment, what, subject, reason, asked_by, asked_ms, ends_ms, mac)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_DECIDE = (
    "INSERT INTO hygie.decision (request, verdict, decided_by, decided_ms, why, mac) VALUES (%s, %s, %s, %s, %s, %s)"
    " ON CONFLICT DO NOTHING"
)


class RequestReader:
    """Requests of one installation, read. Args: database: a pool that reads their tables."""

    def __init__(self, database: Database, *, kms: Kms, clock: Clock) -> None:
        self._database = database
        self._kms = kms
        self._clock = clock
        self._key: bytes | None = None

    async def find(self, place: Place, id_: str) -> Request:
        """One request of a place. Raises: NotFoundError: none there, or not one that Hygie wrote."""
        key = await self._rights_key()
        async with self._database.transaction() as connection:
            return await self._one(connection, place, id_, key)

    async def listing(self, place: Place) -> list[Request]:
        """The newest requests of a place."""
        query = f"{_SELECT} WHERE r.tenant = %s AND r.environment = %s ORDER BY r.asked_ms DESC"
        found = await self._read(query, (place.tenant_id, place.environment_id))
        return list(islice(found, LISTED_MAX))  # here, not in the query: planted ones hide none that is true

    async def approved(self, act: Action) -> list[Request]:
        """Approved requests for an act, of every place, that were not used and are not over, oldest first."""
        query = f"{_SELECT} WHERE r.act = %s AND d.verdict = 'approved' AND u.request IS NULL ORDER BY r.asked_ms"
        now_ms = self._clock.now_ms()
        return [one for one in await self._read(query, (act.value,)) if now_ms < one.ends_ms]

    async def _read(self, query: str, facts: Sequence[object]) -> Iterator[Request]:
        key = await self._rights_key()
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(query.encode(), facts)).fetchall()
        return (one for one in (_request(row, key) for row in rows) if one is not None)

    async def _one(self, connection: Connection, place: Place, id_: str, key: bytes) -> Request:
        if not ID.fullmatch(id_):
            raise NotFoundError()
        query = f"{_SELECT} WHERE r.id = %s AND r.tenant = %s AND r.environment = %s"
        row = await (await connection.execute(query.encode(), (id_, place.tenant_id, place.environment_id))).fetchone()
        found = _request(row, key) if row is not None else None
        if found is None:
            raise NotFoundError()
        return found

    async def _rights_key(self) -> bytes:
        self._key = self._key or await rights_key(self._kms)
        return self._key


class Requests(RequestReader):
    """The same, made and answered. Args: database: a pool that adds to their tables."""

    def __init__(self, database: Database, *, kms: Kms, journal: JournalWriter, clock: Clock) -> None:
        super().__init__(database, kms=kms, clock=clock)
        self._journal = journal

    async def ask(
        self, permit: Permit, act: Action, what: Mapping[str, str], *, reason: str, subject: str = ""
    ) -> Request:
        """A request in the permit's place; it is in the journal at return.

        Args: what: the act in words, without health data; subject: what is not told, kept as a digest.
        Raises: RequestRefusedError: not an act that is asked for, or a text that does not hold.
        """
        told = json.dumps(dict(sorted(what.items())), ensure_ascii=False, separators=(",", ":"))
        _check(act in ASKING and permit.allows(ASKING[act]), "act")
        _check(act is not Action.RIGHT_RAISE or what.get("account") == permit.account, "account")
        _check(len(reason.strip()) >= REASON_MIN and len(reason) <= TEXT_MAX, "reason")
        _check(len(told) <= WHAT_CHARACTERS_MAX, "size")
        _check(not looks_like_ins(reason) and not looks_like_ins(told), "ins")
        _check(is_plain(reason) and is_plain(subject) and all(map(is_plain, (*what, *what.values()))), "characters")
        key, now_ms = await self._rights_key(), self._clock.now_ms()
        digest = _digest(key, permit.place, subject) if subject else b""
        place = (permit.place.tenant_id, permit.place.environment_id)
        times = (now_ms, now_ms + LIFE_MS)
        row = (secrets.token_hex(8), act.value, *place, told, digest, reason, permit.account, *times)
        mac = mac_over(key, _REQUEST, *row)
        made = Request(row[0], act, permit.place, dict(what), digest, reason, permit.account, *times, mac)
        async with self._database.transaction() as connection:
            await connection.execute(_INSERT, (*row, mac))
            detail = {"request": made.id, "act": act.value, **_short(what)}
            await self._journal.append(connection, [act_entry(permit, now_ms, detail, action=Action.APPROVAL_ASK)])
        return made

    async def decide(self, permit: Permit, id_: str, verdict: str, *, why: str = "", subject: str = "") -> Request:
        """Answer a request of the permit's place, once; the first answer stands.

        Args: subject: what the request does not tell, named again by who approves.
        Raises: NotFoundError; SamePersonError: he asked, or it is for him; RequestOverError: answered, used or over;
        RequestRefusedError: the subject is not the one, a text does not hold, or an emergency is to be answered, not
        withdrawn.
        """
        _check(len(why) <= TEXT_MAX and is_plain(why) and is_plain(subject) and not looks_like_ins(why), "why")
        now_ms, key = self._clock.now_ms(), await self._rights_key()
        async with self._database.transaction() as connection:
            found = await self._one(connection, permit.place, id_, key)
            needed = Action.APPROVAL_WITHDRAW if verdict == WITHDRAWN else ANSWERING[found.act]
            _check(permit.allows(needed), "verdict")
            if verdict == WITHDRAWN:
                _check(not found.is_emergency, "emergency")
                if permit.account != found.asked_by:
                    raise SamePersonError()
            elif any(is_same_person(permit.account, one) for one in (found.asked_by, found.what.get("account", ""))):
                raise SamePersonError()
            if found.state(now_ms) != "waiting":
                raise RequestOverError()
            if verdict == APPROVED and found.subject:
                named = _digest(key, permit.place, subject)
                _check(hmac.compare_digest(found.subject, named), "subject")
            given = (verdict, permit.account, now_ms, why)
            mac = mac_over(key, _DECISION, found.id, found.mac, *given)
            if (await connection.execute(_DECIDE, (found.id, *given, mac))).rowcount != 1:
                raise RequestOverError()
            detail = {"request": found.id, "act": found.act.value, "verdict": verdict, **_short(found.what)}
            await self._journal.append(connection, [act_entry(permit, now_ms, detail, action=needed)])
        return found

    async def spend(self, permit: Permit, act: Action, what: Mapping[str, str], *, subject: str = "") -> Request:
        """Use up the approval of exactly this act in the permit's place, before it is done; on record at return.

        Raises: TwoPersonsError: nobody approved it, or what was approved is over or was used.
        """
        key, now_ms = await self._rights_key(), self._clock.now_ms()
        digest = _digest(key, permit.place, subject) if subject else b""
        for one in await self.approved(act):
            same_place = (one.place.tenant_id, one.place.environment_id) == (
                permit.place.tenant_id,
                permit.place.environment_id,
            )
            if same_place and dict(one.what) == dict(what) and hmac.compare_digest(one.subject, digest):
                async with self._database.transaction() as connection:
                    await use_up(connection, one.id, now_ms, "used")
                    detail = {"request": one.id, "act": act.value}
                    await self._journal.append(
                        connection, [act_entry(permit, now_ms, detail, action=Action.APPROVAL_USE)]
                    )
                return one
        raise TwoPersonsError()


async def emergencies(connection: Connection, key: bytes) -> list[tuple[str, str, int, bool]]:
    """Every right raised before an answer, oldest first: id, who asked, when (ms), whether somebody else
    answered, in a row of Hygie.

    A request that Hygie did not write as it is counts as one, unanswered: it may have been, before it was altered.
    """
    query = f"{_SELECT} WHERE r.act = %s ORDER BY r.asked_ms, r.id"
    rows = await (await connection.execute(query.encode(), (Action.RIGHT_RAISE.value,))).fetchall()
    found: list[tuple[str, str, int, bool]] = []
    for row in rows:
        asked = _request((*row[:11], *[None] * 6), key)  # without its answer
        if asked is None or asked.what.get("emergency") == "yes":
            answered = _request(row, key)
            found.append((row[0], row[7], row[8], answered is not None and is_answered(answered)))
    return found


def is_answered(one: Request) -> bool:
    """Whether somebody else approved or refused it: who withdraws answers for nothing."""
    return one.decision is not None and one.decision.verdict != WITHDRAWN


async def raises_kept(connection: Connection, key: bytes) -> list[Request]:
    """Every right that somebody of the machine asked to be raised, oldest first, if Hygie wrote it; likewise its
    answer: one that it did not write answers nothing."""
    query = f"{_SELECT} WHERE r.act = %s ORDER BY r.asked_ms, r.id"
    rows = await (await connection.execute(query.encode(), (Action.RIGHT_RAISE.value,))).fetchall()
    both = ((_request(row, key), _request((*row[:11], *[None] * 6), key)) for row in rows)
    return [one for one in (whole or asked for whole, asked in both) if one is not None]


async def use_up(connection: Connection, id_: str, now_ms: int, outcome: str) -> None:
    """Say that an approval was used, in the transaction of what it was for. Raises: RequestOverError: it was before."""
    used = await connection.execute(
        "INSERT INTO hygie.request_use (request, used_ms, outcome) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (id_, now_ms, outcome[:200]),
    )
    if used.rowcount != 1:
        raise RequestOverError()


def is_plain(text: str) -> bool:
    """Whether a text holds nothing but characters that people write: no control, no half of a surrogate pair."""
    return not any(unicodedata.category(one) in ("Cc", "Cs") for one in text)


def _request(row: Sequence[Any], key: bytes) -> Request | None:
    """The request of a row of ``_SELECT`` with its answer; None: Hygie did not write them as they are.

    The MACs are checked over what is stored, before anything in it is read.
    """
    asked, mac, given = row[:10], row[10], row[11:16]
    if not mac_holds(mac, key, _REQUEST, *asked):
        return None
    if given[0] is not None and not mac_holds(given[4], key, _DECISION, row[0], mac, *given[:4]):
        return None
    id_, act, tenant, environment, told, subject, reason, asked_by, asked_ms, ends_ms = asked
    try:
        wanted, what = Action(act), json.loads(told)
    except ValueError:  # of another version of Hygie, which knew another act
        return None
    decision = Decision(*given) if given[0] is not None else None
    place = Place(tenant, environment, "")
    return Request(id_, wanted, place, what, subject, reason, asked_by, asked_ms, ends_ms, mac, decision, row[16])


def _digest(key: bytes, place: Place, subject: str) -> bytes:
    return mac_over(key, "hygie request subject v1", place.tenant_id, place.environment_id, subject)


def _check(holds: object, reason: str) -> None:
    if not holds:
        raise RequestRefusedError(reason=reason)


def _short(what: Mapping[str, str]) -> dict[str, str]:
    """What of a request its entries repeat: who and what, never a long text."""
    return {name: what[name][:200] for name in ("account", "role", "ticket", "types", "emergency") if what.get(name)}
