"""Where people ask for rights, answer what others ask, and end rights: each through the gate, each act journaled.

So is the reading of a place's rights.  Lists of requests, openings and campaigns show somebody what is his own or is
his to answer, and add nothing to the journal.

A right that is approved here is granted by the working process, which alone may write it; one that is ended stops from
the COMMIT on, in every process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from hygie.base.actions import Action
from hygie.base.civil import day_of, end_of_day_ms
from hygie.base.clock import Clock
from hygie.base.errors import NotFoundError, RefusedError
from hygie.base.permit import Permit
from hygie.database.pool import Database
from hygie.gate.asked import check_habilitation
from hygie.gate.break_glass import BreakGlass, Opening
from hygie.gate.errors import RequestRefusedError
from hygie.gate.gate import Gate, Whence
from hygie.gate.requests import ANSWERING, APPROVED, ASKING, ID, REFUSED, WITHDRAWN, Request, Requests
from hygie.gate.reviews import Campaign, Reviews
from hygie.gate.snapshot import STORED
from hygie.gate.told_by import act_entry
from hygie.journal.writer import JournalWriter

PERSON = "person"
_VERDICTS = {"approve": APPROVED, "refuse": REFUSED, "withdraw": WITHDRAWN}
_RIGHTS = (
    "SELECT id, account, role, types, patients, purposes, reason, approver, starts_ms, ends_ms, suspended_ms,"
    " revoked_ms, revoked_by"
    " FROM hygie.habilitation WHERE environment = %s ORDER BY starts_ms"
)
_END = "SELECT hygie.end_habilitation(id, %s, %s) FROM hygie.habilitation WHERE id = %s AND environment = %s"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who knocks, and at which place's door."""

    token: str
    tenant: str
    environment: str
    where: Whence


class RightsDesk:
    """One per hosting process, beside its gate. Args: production: of the installation."""

    def __init__(
        self,
        gate: Gate,
        requests: Requests,
        glass: BreakGlass,
        reviews: Reviews,
        *,
        database: Database,
        journal: JournalWriter,
        clock: Clock,
        production: bool,
    ) -> None:
        self._gate = gate
        self._requests = requests
        self._glass = glass
        self._reviews = reviews
        self._database = database
        self._journal = journal
        self._clock = clock
        self._production = production

    async def recognise(self, caller: Caller) -> None:
        """Be sure that somebody of the place knocks, before what he sends is read. Raises: as ``Gate.recognise``."""
        where = caller.where
        await self._gate.recognise(
            caller.token,
            tenant=caller.tenant,
            environment=caller.environment,
            action=Action.APPROVAL_ASK,
            address=where.address,
            device=where.device,
            certificate=where.certificate,
        )

    async def ask(
        self, caller: Caller, act: str, what: Mapping[str, str], *, reason: str, subject: str = ""
    ) -> dict[str, Any]:
        """Ask for an act. Raises: as ``Gate.admit`` and ``Requests.ask``; RequestRefusedError: no such act, or words
        that are not those of its kind."""
        wanted = next((one for one in ASKING if one == act), None)
        if wanted is None or wanted is Action.RIGHT_RAISE:  # raised where it counts, for who asks: on the machine
            raise RequestRefusedError(reason="act")
        permit = await self._admit(caller, ASKING[wanted])
        if wanted is Action.HABILITATION_GRANT:
            check_habilitation(what, permit.place, permit.account)
        made = await self._requests.ask(permit, wanted, what, reason=reason, subject=subject)
        return self._told(made)

    async def answer(self, caller: Caller, id_: str, verb: str, *, why: str = "", subject: str = "") -> dict[str, Any]:
        """Approve, refuse or withdraw a request. Raises: as ``Gate.admit`` and ``Requests.decide``."""
        verdict = _VERDICTS.get(verb)
        if verdict is None:
            raise NotFoundError()
        seen = await self._admit(caller, Action.APPROVAL_ASK)
        found = await self._requests.find(seen.place, id_)
        needed = Action.APPROVAL_WITHDRAW if verdict == WITHDRAWN else ANSWERING[found.act]
        permit = await self._admit(caller, needed)
        await self._requests.decide(permit, id_, verdict, why=why, subject=subject)
        return self._told(await self._requests.find(permit.place, id_))

    async def requests(self, caller: Caller) -> list[dict[str, Any]]:
        """The newest requests: those that the caller may answer, and his own. Raises: as ``Gate.admit``."""
        permit = await self._admit(caller, Action.APPROVAL_ASK, if_held=set(ANSWERING.values()))
        return [
            self._told(one)
            for one in await self._requests.listing(permit.place)
            if one.asked_by == permit.account or permit.allows(ANSWERING[one.act])
        ]

    async def rights(self, caller: Caller) -> list[dict[str, Any]]:
        """Every habilitation of the place, past ones too; the reading is journaled. Raises: as ``Gate.admit``."""
        permit = await self._admit(caller, Action.RIGHT_READ)
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_RIGHTS, (permit.place.environment_id,))
            names = [column.name for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
        await self._journal.append_now([act_entry(permit, self._clock.now_ms(), {}, count=len(rows))])
        return rows

    async def revoke(self, caller: Caller, id_: str) -> None:
        """End a habilitation of the place. Raises: as ``Gate.admit``; NotFoundError: no live one."""
        permit = await self._admit(caller, Action.HABILITATION_REVOKE)
        if not ID.fullmatch(id_):
            raise NotFoundError()
        now_ms = self._clock.now_ms()
        async with self._database.transaction() as connection:
            found = await connection.execute(_END, (permit.account, now_ms, id_, permit.place.environment_id))
            row = await found.fetchone()
            if row is None or not row[0]:
                raise NotFoundError()
            await self._journal.append(connection, [act_entry(permit, now_ms, {"habilitation": id_})])

    async def break_glass(self, caller: Caller, patient: str, motive: str, minutes: int) -> dict[str, Any]:
        """Open a record outside one's sets. Raises: as ``Gate.admit`` and ``BreakGlass.open``."""
        permit = await self._admit(caller, Action.BREAK_GLASS_OPEN)
        return told_opening(await self._glass.open(permit, patient, motive, minutes))

    async def openings(self, caller: Caller) -> list[dict[str, Any]]:
        """The newest openings: one's own, all of them for who reviews. Raises: as ``Gate.admit``."""
        permit = await self._admit(caller, Action.APPROVAL_ASK, if_held={Action.BREAK_GLASS_REVIEW})
        return [
            told_opening(one)
            for one in await self._glass.listing(permit.place)
            if one.account == permit.account or permit.allows(Action.BREAK_GLASS_REVIEW)
        ]

    async def review(self, caller: Caller, id_: str, verdict: str, *, why: str = "") -> None:
        """Review an opening. Raises: as ``Gate.admit`` and ``BreakGlass.review``."""
        permit = await self._admit(caller, Action.BREAK_GLASS_REVIEW)
        await self._glass.review(permit, id_, verdict, why=why)

    async def campaigns(self, caller: Caller) -> list[dict[str, Any]]:
        """The campaigns of the place. Raises: as ``Gate.admit``."""
        permit = await self._admit(caller, Action.HABILITATION_REVIEW)
        return [_told_campaign(one) for one in await self._reviews.listing(permit.place)]

    async def open_campaign(self, caller: Caller, name: str, due: str) -> dict[str, Any]:
        """Open a campaign, to be ended on a day of Paris. Raises: as ``Gate.admit`` and ``Reviews.open``."""
        permit = await self._admit(caller, Action.HABILITATION_REVIEW)
        day = day_of(due)
        if day is None:
            raise RequestRefusedError(reason="due")
        return _told_campaign(await self._reviews.open(permit, name, end_of_day_ms(day)))

    async def reviewed(self, caller: Caller, id_: str) -> list[dict[str, Any]]:
        """The rights of a campaign and their decisions; the reading is journaled. Raises: as ``Reviews.rights``."""
        permit = await self._admit(caller, Action.HABILITATION_REVIEW)
        rows = await self._reviews.rights(permit.place, id_)
        entry = act_entry(permit, self._clock.now_ms(), {"campaign": id_}, action=Action.RIGHT_READ, count=len(rows))
        await self._journal.append_now([entry])
        return rows

    async def decide(self, caller: Caller, id_: str, habilitation: str, decision: str, *, why: str = "") -> None:
        """Keep or end a right. Raises: as ``Gate.admit`` and ``Reviews.decide``."""
        permit = await self._admit(caller, Action.HABILITATION_REVIEW)
        await self._reviews.decide(permit, id_, habilitation, decision, why=why)

    async def _admit(self, caller: Caller, action: Action, *, if_held: Collection[Action] = ()) -> Permit:
        permit = await self._gate.admit(
            caller.token,
            tenant=caller.tenant,
            environment=caller.environment,
            action=action,
            if_held=if_held,
            address=caller.where.address,
            device=caller.where.device,
            certificate=caller.where.certificate,
        )
        # Looked up after a wait: the account may be closed by now. A program decides on nobody's rights, nor, in
        # production, who shows a stored token: an operator made it, and would answer in somebody's name.
        account = self._gate.snapshot.accounts.get(permit.account)
        stored = self._production and permit.authentication == STORED
        if account is None or account.kind != PERSON or stored:
            await self._gate.refuse(RefusedError(), action, self._gate.bearer(caller.token), caller.where)
        return permit

    def _told(self, one: Request) -> dict[str, Any]:
        """A request for people: never its subject."""
        found: dict[str, Any] = {
            "id": one.id,
            "act": one.act.value,
            "what": dict(one.what),
            "reason": one.reason,
            "asked_by": one.asked_by,
            "asked_ms": one.asked_ms,
            "ends_ms": one.ends_ms,
            "state": one.state(self._clock.now_ms()),
            "names_subject": bool(one.subject),
        }
        if one.decision is not None:
            found |= {"decided_by": one.decision.by, "decided_ms": one.decision.at_ms, "why": one.decision.why}
        if one.used is not None:
            found["outcome"] = one.used
        return found


def _told_campaign(one: Campaign) -> dict[str, Any]:
    told = {"id": one.id, "name": one.name, "opened_by": one.opened_by, "opened_ms": one.opened_ms}
    return told | {"due_ms": one.due_ms, "waiting": one.waiting}


def told_opening(one: Opening) -> dict[str, Any]:
    """An opening for people: the patient by the opaque id that the journal gives him."""
    found: dict[str, Any] = {
        "id": one.id,
        "account": one.account,
        "patient": one.subject.hex(),
        "motive": one.motive,
        "opened_ms": one.opened_ms,
        "ends_ms": one.ends_ms,
        "state": one.verdict or "waiting",
    }
    if one.verdict:
        found |= {"reviewed_by": one.reviewed_by, "reviewed_ms": one.reviewed_ms, "why": one.why}
    return found
