"""Sessions as people read them: the host's officers by name and recording, a client by role and pseudonym.

To look at a recording, or behind a pseudonym, takes the duty of security officer or DPO, a reference to why, and an
entry that is durable first: on the host's side, and on the client's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hygie.app import House
from hygie.base.actions import Action
from hygie.base.civil import paris_date
from hygie.database.pool import Database
from hygie.interventions.errors import RecordingDamagedError, ReplayRefusedError, SessionNotFoundError
from hygie.interventions.iolog import Recording
from hygie.interventions.pseudonyms import pseudonym, pseudonym_key, role_of
from hygie.interventions.sealed import meaning_of, open_recording
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.writer import JournalWriter
from hygie.machines import tenant_id_of
from hygie.perimeter import Known
from hygie.proof.interventions import INTERVENTION, window_of
from hygie.proving import ProofPlane, with_proof
from hygie.recordings import REGISTER
from hygie.registers.chain import RecordVersion
from hygie.registers.errors import RegisterNotFoundError
from hygie.registers.people import has_left
from hygie.registers.rules import KEY

ENTITLED = frozenset({"rssi", "dpo"})
_SHOWN = ("kind", "host", "run_as", "started_at", "ended_at", "wrong")


@dataclass(frozen=True, slots=True)
class Officer:
    """Whoever looks. Args: records: opened as the sealer; operator: of the machine, as the journal names him."""

    house: House
    records: Database
    journal: JournalWriter
    operator: str

    async def replay(self, key: str, *, why: str, tenant: str = "") -> Recording:
        """The recording of a session.

        Args: why: key of what it is looked at for; tenant: whose session it must be, when it is asked for a client.
        Raises: SessionNotFoundError; ReplayRefusedError, journaled; RecordingDamagedError, journaled.
        """

        def read(plane: ProofPlane) -> tuple[RecordVersion, list[RecordVersion], bytes]:
            try:
                record = plane.registers.get(REGISTER, key)
                if (tenant and record.tenant != tenant) or not record.fields.get("recording"):
                    raise SessionNotFoundError()
                sealed = plane.registers.document(str(record.fields["recording"]))[2]
            except RegisterNotFoundError as error:
                raise SessionNotFoundError() from error
            return record, Known(plane.registers).of("person"), sealed

        record, people, sealed = await with_proof(self.house, self.operator, read)
        tenant_id = await tenant_id_of(self.records, record.tenant) or PLATFORM
        detail = {"session": key, "for": _code(why)}
        me = self._entitled(people)
        if me is None or record.fields["account"] == me.fields.get("account") or not detail["for"]:
            await self._tell(Action.INTERVENTION_REPLAY, "refused", detail)
            raise ReplayRefusedError()
        kind, _, month = str(record.fields["sealed_in"]).partition(" ")
        month_key = await self.house.month_keys.month_key(tenant_id, kind, month)
        meaning, sha256 = meaning_of(tenant_id, kind, month, key), str(record.fields["sha256"])
        try:
            recording = open_recording(sealed, month_key=month_key, meaning=meaning, sha256=sha256)
        except RecordingDamagedError as error:
            await self._tell(Action.INTERVENTION_REPLAY, "unknown", detail | {"code": error.code})
            raise
        await self._tell(Action.INTERVENTION_REPLAY, "done", detail, tenant_id, me)
        return recording

    async def identify(self, tenant: str, name: str, *, why: str) -> dict[str, str]:
        """Who is behind a pseudonym that a client read: account and name.

        Raises: SessionNotFoundError: nobody of the register; ReplayRefusedError, journaled.
        """
        people = await with_proof(self.house, self.operator, lambda plane: Known(plane.registers).of("person"))
        tenant_id = await tenant_id_of(self.records, tenant)
        if tenant_id is None:
            raise SessionNotFoundError()
        key = await pseudonym_key(self.house.kms)
        accounts = {str(one.fields["account"]): one for one in people if one.fields.get("account")}
        found = [one for account, one in accounts.items() if pseudonym(key, tenant_id, account) == name]
        detail, me = {"for": _code(why)}, self._entitled(people)
        if me is None or not detail["for"]:
            await self._tell(Action.INTERVENTION_IDENTIFY, "refused", detail)
            raise ReplayRefusedError()
        if not found:
            raise SessionNotFoundError()
        await self._tell(Action.INTERVENTION_IDENTIFY, "done", detail | {"pseudonym": name}, tenant_id, me)
        return {"account": str(found[0].fields["account"]), "name": str(found[0].fields["name"])}

    def _entitled(self, people: Sequence[RecordVersion]) -> RecordVersion | None:
        """The person behind this terminal, when she has the duty to look."""
        today = paris_date(self.house.clock.now_ms())
        account = self.operator.rpartition(":")[2]
        return next(
            (
                one
                for one in people
                if one.fields.get("account") == account
                and not has_left(one, today)
                and ENTITLED & set(one.fields.get("duties", ()))
            ),
            None,
        )

    async def _tell(
        self,
        action: Action,
        outcome: str,
        detail: dict[str, str],
        tenant_id: bytes = PLATFORM,
        me: RecordVersion | None = None,
    ) -> None:
        sides = [(PLATFORM, self.operator, detail)]
        if tenant_id != PLATFORM and me is not None:
            who = pseudonym(await pseudonym_key(self.house.kms), tenant_id, str(me.fields["account"]))
            sides.append((tenant_id, who, detail | {"role": role_of(me.fields.get("duties", ()))}))
        at_ms = self.house.clock.now_ms()
        await self.journal.append_now(
            [
                Entry(
                    action=action,
                    outcome=outcome,
                    kind="security" if outcome == "refused" else "access",
                    at_ms=at_ms,
                    tenant_id=side,
                    account=account,
                    authentication="local",
                    detail=said,
                )
                for side, account, said in sides
            ]
        )


async def sessions(house: House, records: Database, operator: str, tenant: str = "") -> list[dict[str, Any]]:
    """Sessions, oldest first: all of them by account, or those of one client by role and pseudonym."""
    found, people = await with_proof(house, operator, lambda plane: _read(plane, REGISTER))
    told = await _Naming.of(house, records, people, tenant)
    staff = {one.fields.get("account") for one in people}
    rows = []
    for one in sorted(found, key=lambda record: str(record.fields["started_at"])):
        if tenant and one.tenant != tenant:
            continue
        row: dict[str, Any] = {"session": one.key, "state": one.state, "intervention": one.fields.get("intervention")}
        row |= told.who(str(one.fields["account"]), str(one.fields.get("operator", "")))
        row |= {name: one.fields.get(name) for name in _SHOWN}
        if tenant and row["run_as"] in staff:
            row["run_as"] = None  # root and postgres are nobody; a colleague is
        rows.append(row | ({} if tenant else {"tenant": one.tenant}))
    return rows


async def interventions(house: House, records: Database, operator: str, tenant: str = "") -> list[dict[str, Any]]:
    """Interventions: all of them, or those of one client, whose staff has a role and a pseudonym."""
    found, people = await with_proof(house, operator, lambda plane: _read(plane, INTERVENTION))
    told = await _Naming.of(house, records, people, tenant)
    accounts = {one.key: str(one.fields.get("account", "")) for one in people}
    rows = []
    for one in found:
        if tenant and one.tenant != tenant:
            continue
        begins_ms, ends_ms = window_of(one.fields)
        row: dict[str, Any] = {"intervention": one.key, "state": one.state, "kind": one.fields["kind"]}
        title = told.title(str(one.fields["title"]), people)
        row |= {"title": title, "begins_ms": begins_ms or None, "ends_ms": ends_ms or None}
        person = str(one.fields["operator"])
        row |= told.who(accounts.get(person, ""), person)
        row |= {"health_data": one.fields["health_data"]} | ({} if tenant else {"tenant": one.tenant})
        rows.append(row)
    return rows


@dataclass(frozen=True, slots=True)
class _Naming:
    """How staff is named: for the host (key None), or for one client."""

    duties: dict[str, tuple[str, ...]]
    key: bytes | None
    tenant_id: bytes

    @classmethod
    async def of(cls, house: House, records: Database, people: Sequence[RecordVersion], tenant: str) -> _Naming:
        """Raises: SessionNotFoundError: no such client here."""
        duties = {one.key: tuple(map(str, one.fields.get("duties", ()))) for one in people}
        if not tenant:
            return cls(duties, None, PLATFORM)
        tenant_id = await tenant_id_of(records, tenant)
        if tenant_id is None:
            raise SessionNotFoundError()
        return cls(duties, await pseudonym_key(house.kms), tenant_id)

    def title(self, text: str, people: Sequence[RecordVersion]) -> str:
        """What somebody typed, without the names of staff when a client reads it."""
        if self.key is None:
            return text
        for one in people:
            account = str(one.fields.get("account", ""))
            for name in (str(one.fields["name"]), account):
                if name:
                    hidden = pseudonym(self.key, self.tenant_id, account or one.key)
                    text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", hidden, text, flags=re.IGNORECASE)
        return text

    def who(self, account: str, person: str) -> dict[str, str]:
        """The columns that say who acted."""
        if self.key is None:
            return {"account": account}
        return {"role": role_of(self.duties.get(person, ())), "staff": pseudonym(self.key, self.tenant_id, account)}


def _read(plane: ProofPlane, register: str) -> tuple[list[RecordVersion], list[RecordVersion]]:
    known = Known(plane.registers)
    return known.of(register), known.of("person")


def _code(why: str) -> str:
    """A key of a register; empty for other words, which no entry repeats."""
    return why if len(why) <= 64 and KEY.fullmatch(why) else ""
