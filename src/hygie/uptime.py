"""Availability of an installation: each minute asked, kept, held to each client's contract, told to the watch.

Source: docs/adr/0037-availability.md.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from hygie.app import House, opened, raised_for
from hygie.availability import store
from hygie.availability.ask import DEADLINE_S, Door, Seen, Target, ask, read_targets
from hygie.availability.clients import Counted, client_minutes, held_to
from hygie.availability.errors import ProbeTargetError, WindowRefusedError
from hygie.availability.minutes import (
    DOWN,
    LOCAL,
    MINUTE_MS,
    Outage,
    Period,
    Run,
    Span,
    compact,
    periods_until,
)
from hygie.availability.results import read_results
from hygie.availability.store import Served, Window
from hygie.availability.terms import IN_FORCE, Terms, terms_of
from hygie.availability.windows import WINDOW_MINUTES_MAX, check_year, declared_detail
from hygie.backups.run import measure
from hygie.base.actions import Action
from hygie.base.civil import paris_date
from hygie.base.clock import iso_ms
from hygie.base.errors import HygieError, NotFoundError
from hygie.database.pool import Database
from hygie.gate.rights import rights_key
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.writer import JournalWriter
from hygie.probes.door import authority_of
from hygie.proving import ProofPlane, with_proof
from hygie.registers.engine import Asked

KIND, TENANT_KIND = "availability", "availability-tenant"  # of its measurements
TARGETS_FILE = "availability.targets"  # lines of ``client/environment token Type/id``; private
AT_ONCE = 16  # probes
DOWN_MINUTES = 2  # one after the other, before anybody is woken
MONTHS = 13
TERMS_EVERY_MINUTES = 10  # contracts change seldom
REASON_MIN, REASON_MAX = 3, 500

log = logging.getLogger("hygie.availability")


@dataclass(frozen=True, slots=True)
class Told:
    """One client: its terms, its periods (oldest first), its windows and whether each counts."""

    tenant: str
    terms: Terms
    periods: Sequence[Counted]
    windows: Sequence[tuple[Window, bool]]


class Uptime:
    """The platform's own probe. Args: records: a pool of the sealer's role; operator: who acts, for the registers;
    deadline_s: of one probe."""

    def __init__(self, house: House, records: Database, operator: str, *, deadline_s: float = DEADLINE_S) -> None:
        self._house = house
        self._records = records
        self._operator = operator
        self._deadline_s = deadline_s
        self._terms: Mapping[str, Terms] = {}
        self._terms_at = -TERMS_EVERY_MINUTES
        self._told_until: int | None = None  # outages that ended before were told; at a start, those that are over

    async def run(self, stop: asyncio.Event, *, after_s: float) -> None:
        """Once in each minute until ``stop``; a turn that fails is logged, and its minute counts as down."""
        await _pause(stop, after_s)
        last = -1
        while not stop.is_set():
            minute = self._house.clock.now_ms() // MINUTE_MS
            if minute != last:
                last = minute
                try:
                    await self.turn(minute)
                except (HygieError, OSError, psycopg.Error) as error:
                    log.warning("probe: %s", error.code if isinstance(error, HygieError) else type(error).__name__)
            await _pause(stop, (MINUTE_MS - self._house.clock.now_ms() % MINUTE_MS) / 1000 + 0.5)

    async def turn(self, minute: int) -> None:
        """Ask every production environment, keep what was seen as of ``minute``, and tell what is not as promised.

        Raises: HygieError, psycopg.Error: nothing of this minute was kept.
        """
        house = self._house
        key = await rights_key(house.kms)
        async with self._records.transaction() as connection:
            places = await store.served(connection)
        accounts = await asyncio.to_thread(_targets, house)
        door = _door(house)
        gate = asyncio.Semaphore(AT_ONCE)

        async def look(one: Served) -> Seen:
            async with gate:
                target = accounts.get(one.path) or Target(one.path)
                return await asyncio.to_thread(ask, door, target, deadline_s=self._deadline_s)

        seen = await asyncio.gather(*(look(one) for one in places))
        async with self._records.transaction() as connection:
            for one, what in zip(places, seen, strict=True):
                run = Run(LOCAL, minute, minute, what.state, what.reason, what.ms)
                await store.keep(connection, key, one.environment_id, [run])
            await store.let_go(connection, minute)
        await self._tell(key, places, minute)

    async def _tell(self, key: bytes, places: Sequence[Served], minute: int) -> None:
        """Measure: fine or not as a whole, and each client that is not."""
        if not 0 <= minute - self._terms_at < TERMS_EVERY_MINUTES:
            self._terms, self._terms_at = await contracts(self._house, self._operator), minute
        told = await _told(self._records, key, places, self._terms, _Range(minute + 1, 1))
        ids = {one.tenant: one.tenant_id for one in places}
        since = minute - 1 if self._told_until is None else self._told_until
        wrong: list[dict[str, Any]] = []
        for one in told:
            now = one.periods[-1]
            long = [out for out in now.tally.outages if out.end > since and _length(out) >= DOWN_MINUTES]
            allowed, left = now.account.allowed, now.account.left
            budget = "kept" if not now.is_telling else "spent" if left < 0 else "half" if 2 * left < allowed else "kept"
            if long or budget != "kept":
                state = "down" if long else "up"
                facts: dict[str, Any] = {"tenant": ids[one.tenant].hex(), "state": state, "budget": budget}
                wrong.append(facts | {"minutes": _length(long[-1]) if long else 0, "left": left})
        at_ms = self._house.clock.now_ms()
        for facts in wrong:
            await measure(self._records, at_ms, TENANT_KIND, passed=False, facts=facts)
        await measure(
            self._records,
            at_ms,
            KIND,
            passed=not wrong,
            facts={
                "places": len(places),
                "clients": len(told),
                "down": _count(wrong, "down"),
                "spent": _count(wrong, "spent"),
            },
        )
        self._told_until = minute


async def contracts(house: House, operator: str) -> Mapping[str, Terms]:
    """The terms of each client's contract in force, by the client's name; the newest where it has several."""

    def read(plane: ProofPlane) -> dict[str, Terms]:
        records = plane.registers.current(Asked("contract"))
        live = sorted((one for one in records if one.state in IN_FORCE), key=lambda one: one.seq)
        return {one.tenant: terms_of(one.key, one.fields) for one in live}

    return await with_proof(house, operator, read)


async def show(
    house: House, operator: str, *, tenant: str = "", month: Period | None = None, months: int = MONTHS
) -> list[Told]:
    """Each client's periods, or one calendar month of it. Raises: NotFoundError: no such client in production."""
    key, terms = await rights_key(house.kms), await contracts(house, operator)
    async with opened(house.dsns.sealer, size=1) as records:
        async with records.transaction() as connection:
            places = [one for one in await store.served(connection) if not tenant or one.tenant == tenant]
        if tenant and not places:
            raise NotFoundError()
        return await _told(records, key, places, terms, _Range(house.clock.now_ms() // MINUTE_MS, months, month))


@dataclass(frozen=True, slots=True)
class _Range:
    """What is asked for. until: the first minute that is not over; months: how many back; month: that one alone."""

    until: int
    months: int
    month: Period | None = None


async def _told(
    records: Database, key: bytes, places: Sequence[Served], terms: Mapping[str, Terms], asked: _Range
) -> list[Told]:
    today = paris_date((asked.until - 1) * MINUTE_MS)
    found = []
    for tenant in dict.fromkeys(one.tenant for one in places):
        own = terms.get(tenant, Terms())
        periods = [asked.month] if asked.month else periods_until(today, own.rhythm, asked.months)
        theirs = [one for one in places if one.tenant == tenant]
        async with records.transaction() as connection:
            client = await client_minutes(connection, key, theirs, since=periods[0].span.start, until=asked.until)
        counted = await asyncio.to_thread(held_to, client, own, periods)
        found.append(Told(tenant, own, counted, client.windows))
    return found


async def declare(
    house: House, database: Database, operator: str, *, tenants: Sequence[str], span: Span, reason: str
) -> list[Window]:
    """Declare a planned window for these clients (all: none named), each by its contract's notice; all or none.

    Args: database: opened as the owner. Raises: WindowRefusedError: too late, too long, no reason; WindowsSpentError:
    no room in a client's year; NotFoundError.
    """
    now_ms = house.clock.now_ms()
    if not 0 < span.end - span.start <= WINDOW_MINUTES_MAX:
        raise WindowRefusedError(reason="1 min – 3 d")
    if not REASON_MIN <= len(reason) <= REASON_MAX:
        raise WindowRefusedError(reason=f"reason: {REASON_MIN}-{REASON_MAX}")
    key, terms = await rights_key(house.kms), await contracts(house, operator)
    async with database.transaction() as connection:
        places = await store.served(connection)
    ids = {one.tenant: one.tenant_id for one in places if not tenants or one.tenant in tenants}
    if not ids or set(tenants) - set(ids):
        raise NotFoundError()
    made = []
    for name, id_ in ids.items():
        hours = terms.get(name, Terms()).notice_hours
        one = Window(secrets.token_hex(8), id_, span, reason, now_ms, hours)
        if not one.in_time:
            raise WindowRefusedError(
                reason_fr=f"préavis de {hours} h pour {name}", reason_en=f"{name} has {hours} h of notice"
            )
        made.append(one)
    async with _writing(house, database, operator) as (connection, journal):
        for name, one in zip(ids, made, strict=True):
            await store.one_by_one(connection, one.tenant_id)
            known = await store.windows_of(connection, key, one.tenant_id)
            check_year(name, [each for each, _ in known], one)
            await store.declare(connection, key, one)
            entry = _entry(Action.AVAILABILITY_DECLARE, one.tenant_id, now_ms, operator, declared_detail(one))
            await journal.append(connection, [entry])
    return made


async def take_in(house: House, operator: str, path: Path) -> dict[str, int]:
    """Take in what an outside probe measured; minutes that are there already stay. Returns how many, by place.

    Raises: ResultsInvalidError: none of the probes of the settings wrote it; NotFoundError: no
    such place; OSError.
    """
    keys = {one.name: one.key for one in house.settings.probes}
    now_ms = house.clock.now_ms()
    results = await asyncio.to_thread(read_results, path, keys, now_minute=now_ms // MINUTE_MS)
    key = await rights_key(house.kms)
    async with opened(house.dsns.sealer, size=2) as records:
        async with records.transaction() as connection:
            places = {one.path: one for one in await store.served(connection)}
        if set(results.minutes) - set(places):
            raise NotFoundError()
        async with _writing(house, records, operator) as (connection, journal):
            for path_, minutes in results.minutes.items():
                place, runs = places[path_], compact(results.source, minutes)
                await store.keep(connection, key, place.environment_id, runs)
                detail = {"probe": results.source, "digest": results.digest.hex(), "environment": place.name}
                detail |= {"from": _iso(runs[0].first), "to": _iso(runs[-1].last + 1)}
                detail["down"] = str(sum(one.last - one.first + 1 for one in runs if one.state == DOWN))
                entry = _entry(Action.AVAILABILITY_IMPORT, place.tenant_id, now_ms, operator, detail)
                await journal.append(connection, [replace(entry, count=len(minutes))])
    return {place: len(minutes) for place, minutes in results.minutes.items()}


async def cancel(house: House, database: Database, operator: str, id_: str) -> None:
    """Withdraw a window before it begins. Args: database: opened as the owner.

    Raises: WindowRefusedError: there is none such, or it began, or it was withdrawn.
    """
    now_ms = house.clock.now_ms()
    async with _writing(house, database, operator) as (connection, journal):
        tenant_id = await store.cancel(connection, id_, now_ms)
        if tenant_id is None:
            raise WindowRefusedError(
                reason_fr="inconnue, commencée ou retirée", reason_en="unknown, begun or withdrawn"
            )
        entry = _entry(Action.AVAILABILITY_CANCEL, tenant_id, now_ms, operator, {"window": id_})
        await journal.append(connection, [entry])


@asynccontextmanager
async def _writing(
    house: House, database: Database, operator: str
) -> AsyncIterator[tuple[psycopg.AsyncConnection[Any], JournalWriter]]:
    """One transaction of an operator, with its entries. Raises: NotRaisedError."""
    journal = JournalWriter(database, house.month_keys, house.clock)
    try:
        raised = raised_for(house, database, journal, operator)
        if raised is not None:
            await raised()
        async with database.transaction() as connection:
            yield connection, journal
    finally:
        await journal.close()


def _entry(action: Action, tenant_id: bytes, at_ms: int, operator: str, detail: dict[str, str]) -> Entry:
    return Entry(
        action=action,
        outcome="done",
        kind="administration",
        at_ms=at_ms,
        tenant_id=tenant_id,
        environment_id=PLATFORM,
        account=operator,
        authentication="local",
        detail=detail,
    )


def _targets(house: House) -> dict[str, Target]:
    """Accounts of the probe, by place; a file that cannot be read leaves the doors to be asked, and is logged."""
    try:
        return {one.place: one for one in read_targets(house.folder.path / TARGETS_FILE)}
    except FileNotFoundError:
        return {}
    except (ProbeTargetError, OSError) as error:
        log.warning("%s: %s", TARGETS_FILE, error.code if isinstance(error, HygieError) else type(error).__name__)
        return {}


def _door(house: House) -> Door:
    host = house.settings.host
    address = "127.0.0.1" if host.address in {"0.0.0.0", "::"} else host.address  # noqa: S104
    return Door(address, host.port, authority_of(house))


def _count(wrong: Sequence[Mapping[str, Any]], word: str) -> int:
    return sum(word in facts.values() for facts in wrong)


def _length(outage: Outage) -> int:
    return outage.end - outage.start


def _iso(minute: int) -> str:
    return iso_ms(minute * MINUTE_MS)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await stop.wait()
    except TimeoutError:
        pass
