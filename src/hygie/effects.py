"""What follows by itself from what registers say, done by ``hygie work`` and told in the registers.

The account of somebody whose end date has come is closed the same day (Paris), with every right and token; the
habilitations of somebody whose training or undertaking lapsed are suspended, and taken up again when it is renewed; an
expiry that time alone has made happen is recorded, with its tasks; a certification date is warned of on its day, once.
An account that was opened for an intervention is closed with it; an intervention that is over is revoked for sshd.
A write of the registers is acted on within seconds, what time alone makes happen within half a minute.
Each act is journaled. One that was cut short is done again at the next turn: each looks first at what is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date

from hygie.app import House, open_administration
from hygie.base.civil import paris_date
from hygie.database.pool import Database
from hygie.gate.administration import Administration
from hygie.gate.errors import ForgedRightsError
from hygie.machines import Revocations
from hygie.perimeter import Known
from hygie.proof.certification.agenda import WARNING, agenda_on, expiries, warnings
from hygie.proof.fitness import Fitness, fitness_of
from hygie.proof.interventions import ending_accounts
from hygie.proving import ProofPlane, with_proof
from hygie.registers.chain import RecordVersion
from hygie.registers.rules import Change
from hygie.segments import rows
from hygie.segments.format import RECORDS

EFFECTS_EVERY_S = 30.0  # between what time makes happen and its effect
NEWS_EVERY_S = 1.0  # between a write of registers and the turn that acts on it; to look is one small query
PERSON = "person"
REASON = "hygie work"

log = logging.getLogger("hygie.effects")


@dataclass(frozen=True, slots=True)
class Done:
    """What one turn did. closed: accounts; suspended, resumed: habilitations; recorded: keys of records written."""

    closed: Sequence[str] = ()
    suspended: Sequence[str] = ()
    resumed: Sequence[str] = ()
    recorded: Sequence[str] = ()


class RegisterNews:
    """Hears that registers were written, by whichever process. Args: records: opened as the sealer or the owner.

    heard: set at each look that finds more than the one before; the effects' own writes are heard too, and their next
    turn finds nothing to do.
    """

    def __init__(self, records: Database) -> None:
        self._records = records
        self._seen: int | None = None
        self.heard = asyncio.Event()

    async def look(self) -> None:
        """Compare the last write with the one seen before. Raises: DatabaseUnavailableError."""
        async with self._records.transaction() as connection:
            last = (await rows.head_of(connection, RECORDS)).seq
        if self._seen is not None and last != self._seen:
            self.heard.set()
        self._seen = last


class Effects:
    """The effects on one installation. Args: operator: who acts, as journal and registers name him."""

    def __init__(self, house: House, operator: str) -> None:
        self._house = house
        self._operator = operator
        self._revocations = Revocations(house, operator)

    async def run(self) -> Done:
        """One turn. Raises: what the journal, the KMS and the database raise; the next turn begins again."""
        now_ms = self._house.clock.now_ms()
        today = paris_date(now_ms)

        def read(plane: ProofPlane) -> tuple[Fitness, list[RecordVersion], dict[str, str]]:
            known = Known(plane.registers)
            return fitness_of(known.of, today), known.of(PERSON), ending_accounts(known.of, now_ms)

        fitness, people, ending = await with_proof(self._house, self._operator, read)
        done, there = Done(), set[str]()
        if fitness.gone or fitness.lapsed or fitness.fit or ending:
            async with open_administration(self._house, self._operator) as acts:
                closed = await _close(acts, {*fitness.gone, *ending})
                done = Done(closed, *await _hold(acts, fitness))
                there = {str(row["id"]) for row in await acts.listing("account")}
        told = _told(people, fitness, there, today)

        def write(plane: ProofPlane) -> list[RecordVersion]:
            written = plane.registers.write(told) if told else []
            known = Known(plane.registers)
            agenda = agenda_on(known.of, today)
            if passed := expiries(agenda):
                written += plane.registers.write(passed)
                agenda = agenda_on(Known(plane.registers).of, today)
            if due := warnings(agenda, known.of(WARNING), today):
                written += plane.registers.write(due)
            return written

        written = await with_proof(self._house, self._operator, write)
        done = replace(done, recorded=[f"{one.register} {one.key}" for one in written])
        counts = [len(one) for one in (done.closed, done.suspended, done.resumed, done.recorded)]
        await self._revocations.keep()
        if any(counts):
            log.info("effects: %d closed, %d suspended, %d resumed, %d recorded", *counts)
        return done


async def _close(acts: Administration, over: Collection[str]) -> list[str]:
    """End every token and habilitation of accounts that are over, then the accounts. Returns those closed."""
    if not over:
        return []
    for row in await acts.listing("token"):
        if row["account"] in over and row["revoked_ms"] is None:
            await acts.revoke_token(row["id"])
    for row in await acts.listing("habilitation"):
        if row["account"] in over and row["revoked_ms"] is None:
            await acts.revoke_habilitation(row["id"])
    wanted = [str(row["id"]) for row in await acts.listing("account") if row["id"] in over and row["state"] == "open"]
    for account in wanted:
        await acts.disable_account(account)
    return wanted


async def _hold(acts: Administration, fitness: Fitness) -> tuple[list[str], list[str]]:
    """Suspend the habilitations of who lapsed, take up those of who is fit again."""
    suspended, resumed = [], []
    for row in await acts.listing("habilitation"):
        if row["revoked_ms"] is not None:
            continue
        try:
            if row["account"] in fitness.lapsed and row["suspended_ms"] is None:
                await acts.suspend_habilitation(row["id"])
                suspended.append(str(row["id"]))
            elif row["account"] in fitness.fit and row["suspended_ms"] is not None:
                await acts.resume_habilitation(row["id"])
                resumed.append(str(row["id"]))
        except ForgedRightsError as error:  # it gives nothing, and the comparison with the journal names it
            log.error("effects: %s", error.code)
    return suspended, resumed


def _told(people: Sequence[RecordVersion], fitness: Fitness, accounts: set[str], today: date) -> list[Change]:
    """What the records of those who left are to say, once: their state, and the day on which access was closed."""
    found: list[Change] = []
    for record in people:
        account = str(record.fields.get("account", ""))
        closed_on = str(record.fields.get("access_closed_on", ""))
        if fitness.gone.get(account) != record.key or account not in accounts:
            continue
        left_on = str(record.fields.get("ends_on", ""))
        if record.state == "left":  # it may be written before the end date: what was told then holds
            left_on = min(left_on, paris_date(record.at_ms).isoformat())
        if closed_on and closed_on >= left_on:
            continue
        fields = {"access_closed_on": today.isoformat()}
        found.append(Change(PERSON, fields, record.key, "left", reason=REASON, version=record.version))
    return found
