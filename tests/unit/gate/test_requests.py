"""Requests and their answers: what another hand wrote in the tables is not there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from hygie.app import opened
from hygie.base.actions import Action
from hygie.base.clock import SystemClock
from hygie.base.errors import NotFoundError
from hygie.base.permit import Permit, Place
from hygie.gate.break_glass import BreakGlass
from hygie.gate.errors import NotRaisedError, RequestOverError, RequestRefusedError, SamePersonError, TwoPersonsError
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.requests import APPROVED, LIFE_MS, REFUSED, WITHDRAWN, Request, Requests, emergencies
from hygie.gate.reviews import Reviews
from hygie.gate.rights import mac_over, rights_key
from hygie.gate.two_persons import TwoPersons, raised_spans
from tests.unit.vault.conftest import open_house  # noqa: F401 (a fixture)

WHAT = {"account": "marie", "role": "reader", "days": "30"}
SUBJECT = "Patient/secretdejeanne"


class Later(SystemClock):
    """The machine's clock, and what the test adds to it."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


@dataclass
class Stage:
    owner: str
    clock: Later


@asynccontextmanager
async def desk(open_house: Any) -> AsyncIterator[tuple[Stage, Requests, Place]]:  # noqa: F811
    async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
        clock = Later()
        requests = Requests(owner, kms=house.kms, journal=house.journal, clock=clock)
        yield Stage(house.dsns.owner, clock), requests, house.place


def permit(account: str, action: Action, place: Place) -> Permit:
    return Permit(os.urandom(16), account, "", "token", action, place, "h", "", "", "")


async def asked(requests: Requests, place: Place, **more: Any) -> Request:
    act = more.pop("act", Action.HABILITATION_GRANT)
    asking = Action.APPROVAL_ASK if act is Action.HABILITATION_GRANT else act
    return await requests.ask(permit("rita", asking, place), act, more.pop("what", WHAT), reason="soins", **more)


async def approve(requests: Requests, place: Place, one: Request, **more: Any) -> None:
    action = Action.ERASURE_APPROVE if one.act is Action.PATIENT_ERASE else Action.HABILITATION_APPROVE
    await requests.decide(permit("remi", action, place), one.id, APPROVED, **more)


ALTERATIONS = (
    "UPDATE hygie.request SET what = replace(what, 'reader', 'caregiver')",
    "UPDATE hygie.request SET asked_by = 'somebody'",
    "UPDATE hygie.request SET ends_ms = ends_ms + 1000",
    "UPDATE hygie.request SET reason = 'another'",
    "UPDATE hygie.decision SET decided_by = 'somebody'",
    "UPDATE hygie.decision SET decided_ms = decided_ms + 1",
    "UPDATE hygie.decision SET why = 'another'",
)


@pytest.mark.parametrize("statement", ALTERATIONS)
def test_what_was_altered_after_its_approval_is_not_there(open_house: Any, statement: str) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (house, requests, place):
            one = await asked(requests, place)
            await approve(requests, place, one)
            assert [found.id for found in await requests.approved(Action.HABILITATION_GRANT)] == [one.id]
            with psycopg.connect(house.owner) as owner:
                owner.execute(statement.encode())
            assert await requests.approved(Action.HABILITATION_GRANT) == []
            assert await requests.listing(place) == []
            with pytest.raises(NotFoundError):
                await requests.find(place, one.id)

    asyncio.run(main())


def test_a_refusal_does_not_become_an_approval(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (house, requests, place):
            one = await asked(requests, place)
            await requests.decide(permit("remi", Action.HABILITATION_APPROVE, place), one.id, REFUSED)
            with psycopg.connect(house.owner) as owner:
                owner.execute("UPDATE hygie.decision SET verdict = 'approved'")
            assert await requests.approved(Action.HABILITATION_GRANT) == []

    asyncio.run(main())


def test_nobody_answers_too_late_and_an_approval_is_not_kept_for_ever(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (house, requests, place):
            late, kept = await asked(requests, place), await asked(requests, place)
            await approve(requests, place, kept)
            house.clock.ahead_ms = LIFE_MS
            with pytest.raises(RequestOverError):
                await approve(requests, place, late)
            assert await requests.approved(Action.HABILITATION_GRANT) == []
            assert {one.state(house.clock.now_ms()) for one in await requests.listing(place)} == {"over"}

    asyncio.run(main())


def test_an_approval_serves_one_act_once_and_no_other(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (_, requests, place):
            elsewhere = Place(place.tenant_id, os.urandom(16), "")
            one = await asked(requests, place, act=Action.PATIENT_ERASE, what={}, subject=SUBJECT)
            using = permit("local:op", Action.APPROVAL_USE, place)
            with pytest.raises(TwoPersonsError):
                await requests.spend(using, Action.PATIENT_ERASE, {}, subject=SUBJECT)  # nobody approved it
            await approve(requests, place, one, subject=SUBJECT)
            for there, what, subject in (
                (place, {}, "Patient/another"),
                (place, {}, ""),
                (place, {"more": "x"}, SUBJECT),
                (elsewhere, {}, SUBJECT),
            ):
                with pytest.raises(TwoPersonsError):
                    await requests.spend(
                        permit("local:op", Action.APPROVAL_USE, there), Action.PATIENT_ERASE, what, subject=subject
                    )
            at_once = [requests.spend(using, Action.PATIENT_ERASE, {}, subject=SUBJECT) for _ in range(4)]
            outcomes = await asyncio.gather(*at_once, return_exceptions=True)
            assert sum(isinstance(outcome, Request) for outcome in outcomes) == 1

    asyncio.run(main())


def test_who_approves_names_the_patient_again_and_no_table_holds_him(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (house, requests, place):
            one = await asked(requests, place, act=Action.PATIENT_ERASE, what={}, subject=SUBJECT)
            for wrong in ("", "Patient/another"):
                with pytest.raises(Exception, match="HYG-165"):
                    await approve(requests, place, one, subject=wrong)
            await approve(requests, place, one, subject=SUBJECT)
            with psycopg.connect(house.owner) as owner:
                held = str(owner.execute("SELECT r::text, d::text FROM hygie.request r, hygie.decision d").fetchall())
            assert "secretdejeanne" not in held
            assert SUBJECT.encode().hex() not in held

    asyncio.run(main())


def test_who_asked_does_not_answer_nor_who_it_is_for(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (_, requests, place):
            one = await asked(requests, place)
            for who in ("rita", "marie"):
                with pytest.raises(SamePersonError):
                    await requests.decide(permit(who, Action.HABILITATION_APPROVE, place), one.id, APPROVED)

    asyncio.run(main())


RAISED = {"account": "local:alice", "ticket": "INT-1", "minutes": "60", "emergency": "yes"}


async def raised(requests: Requests) -> Request:
    asking = permit("local:alice", Action.RIGHT_RAISE, EVERYWHERE)
    return await requests.ask(asking, Action.RIGHT_RAISE, RAISED, reason="disk")


def test_the_machines_person_does_not_answer_herself_under_her_accounts_name(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (_, requests, _place):
            one = await raised(requests)
            for name in ("alice", "Alice", "local:alice"):
                answering = permit(name, Action.RIGHT_RAISE_APPROVE, EVERYWHERE)
                with pytest.raises(SamePersonError):
                    await requests.decide(answering, one.id, APPROVED)

    asyncio.run(main())


def test_rights_are_raised_for_who_asks(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (_, requests, _place):
            asking = permit("carl", Action.RIGHT_RAISE, EVERYWHERE)
            with pytest.raises(RequestRefusedError):
                await requests.ask(asking, Action.RIGHT_RAISE, RAISED, reason="disk")

    asyncio.run(main())


def test_one_withdraws_what_one_asked_for_oneself(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (house, requests, place):
            asking = permit("marie", Action.APPROVAL_ASK, place)
            one = await requests.ask(asking, Action.HABILITATION_GRANT, WHAT, reason="soins")
            await requests.decide(permit("marie", Action.APPROVAL_WITHDRAW, place), one.id, WITHDRAWN)
            assert (await requests.find(place, one.id)).state(house.clock.now_ms()) == "withdrawn"

    asyncio.run(main())


def test_an_emergency_is_answered_for_and_not_withdrawn(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with desk(open_house) as (house, requests, _place), opened(house.owner, size=1) as owner:
            one = await raised(requests)
            with pytest.raises(RequestRefusedError):
                await requests.decide(permit("local:alice", Action.APPROVAL_WITHDRAW, EVERYWHERE), one.id, WITHDRAWN)
            # one that was withdrawn before this was so
            key, now_ms = await rights_key(requests._kms), house.clock.now_ms()
            mac = mac_over(key, "hygie decision v1", one.id, one.mac, WITHDRAWN, "local:alice", now_ms, "")
            row = (one.id, WITHDRAWN, "local:alice", now_ms, "", mac)
            with psycopg.connect(house.owner, autocommit=True) as connection:
                connection.execute("INSERT INTO hygie.decision VALUES (%s, %s, %s, %s, %s, %s)", row)
                for name in ("sara", "sam"):  # somebody could answer
                    told = (name, name, EVERYWHERE.environment_id, now_ms + LIFE_MS)
                    connection.execute(ACCOUNT, (name,))
                    connection.execute(OFFICER, told)
            async with owner.transaction() as reading:
                assert [(id_, answered) for id_, _, _, answered in await emergencies(reading, key)] == [(one.id, False)]
            with pytest.raises(NotRaisedError):
                await TwoPersons(requests, owner, production=False, now_ms=now_ms).raised("local:alice")

    asyncio.run(main())


def test_an_emergency_is_answered_for_however_late_and_raises_nothing_then(open_house: Any) -> None:  # noqa: F811
    """Nobody answered for a week: it was red, and somebody can still look at what was done."""

    async def main() -> None:
        async with desk(open_house) as (house, requests, _place), opened(house.owner, size=1) as owner:
            one = await raised(requests)
            house.clock.ahead_ms = 2 * LIFE_MS
            now_ms = house.clock.now_ms()
            assert [found.state(now_ms) for found in await requests.listing(EVERYWHERE)] == ["waiting"]
            with pytest.raises(SamePersonError):
                await requests.decide(permit("alice", Action.RIGHT_RAISE_APPROVE, EVERYWHERE), one.id, APPROVED)
            await requests.decide(permit("sara", Action.RIGHT_RAISE_APPROVE, EVERYWHERE), one.id, APPROVED)
            (found,) = await requests.listing(EVERYWHERE)
            assert found.state(now_ms) == "over"
            assert raised_spans(found) == [(one.asked_ms, one.asked_ms + 60 * 60_000)]
            with pytest.raises(RequestOverError):
                await requests.decide(permit("sam", Action.RIGHT_RAISE_APPROVE, EVERYWHERE), one.id, REFUSED)
            async with owner.transaction() as reading:
                key = await rights_key(requests._kms)
                assert [answered for *_, answered in await emergencies(reading, key)] == [True]
            planned = await requests.ask(
                permit("local:alice", Action.RIGHT_RAISE, EVERYWHERE),
                Action.RIGHT_RAISE,
                {**RAISED, "emergency": ""},
                reason="disk",
            )
            house.clock.ahead_ms += LIFE_MS
            with pytest.raises(RequestOverError):  # one that gave nothing yet gives nothing late
                await requests.decide(permit("sara", Action.RIGHT_RAISE_APPROVE, EVERYWHERE), planned.id, APPROVED)

    asyncio.run(main())


def test_who_is_behind_a_terminal_reviews_nothing_of_his_own(open_house: Any) -> None:  # noqa: F811
    """The same person under both names, wherever two are needed."""

    async def main() -> None:
        async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
            rooms, place = {"kms": house.kms, "journal": house.journal, "clock": house.clock}, house.place
            now_ms = house.clock.now_ms()
            with psycopg.connect(house.dsns.owner, autocommit=True) as connection:
                connection.execute(ACCOUNT, ("lea",))
                connection.execute(
                    "INSERT INTO hygie.habilitation (id, account, environment, role, reason, approver, starts_ms,"
                    " ends_ms) VALUES ('h1', 'lea', %s, 'reader', 'soins', 'chief', 0, %s)",
                    (place.environment_id, now_ms + LIFE_MS),
                )
            glass, reviews = BreakGlass(owner, **rooms), Reviews(owner, **rooms)
            one = await glass.open(permit("lea", Action.BREAK_GLASS_OPEN, place), "Patient/x", "on-call", 10)
            campaign = await reviews.open(permit("rita", Action.HABILITATION_REVIEW, place), "revue", now_ms + LIFE_MS)
            for name in ("lea", "local:lea", "Lea"):
                with pytest.raises(SamePersonError):
                    await glass.review(permit(name, Action.BREAK_GLASS_REVIEW, place), one.id, "justified")
                reviewer = permit(name, Action.HABILITATION_REVIEW, place)
                with pytest.raises(SamePersonError):
                    await reviews.decide(reviewer, campaign.id, "h1", "keep")

    asyncio.run(main())


ACCOUNT = (
    "INSERT INTO hygie.account (id, kind, label, professional_id, created_ms, ends_ms)"
    " VALUES (%s, 'person', '', '', 0, 9000000000000)"
)
OFFICER = (
    "INSERT INTO hygie.habilitation (id, account, environment, role, reason, approver, starts_ms, ends_ms)"
    " VALUES (%s, %s, %s, 'security-officer', 'stage', 'chief', 0, %s)"
)
