"""What takes two persons goes on taking two when these two are gone, and they have a successor after a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from hygie.app import opened
from hygie.base.actions import Action
from hygie.base.roles import Role
from hygie.gate.administration import Administration
from hygie.gate.errors import NotRaisedError, TwoPersonsError
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.officers import SUCCESSION_MS
from hygie.gate.requests import Requests
from hygie.gate.two_persons import TwoPersons
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter
from tests.unit.gate.test_requests import Later, permit
from tests.unit.vault.conftest import open_house  # noqa: F401 (a fixture)

DAY_MS = 86_400_000
DAYS = 5  # of an officer's right
OFFICERS = ("sara", "sam")


class Heard(JournalWriter):
    """A journal whose entries the test reads too."""

    said: list[Entry]

    async def append(self, connection: Any, entries: Sequence[Entry]) -> None:
        self.said = [*getattr(self, "said", ()), *entries]
        await super().append(connection, entries)


@dataclass
class Stage:
    """An installation with two security officers, who are told by id."""

    acts: Administration
    requests: Requests
    clock: Later
    persons: Callable[[], TwoPersons]
    journal: Heard
    rights: list[str]

    def succession(self, right: str) -> str | None:
        """What the entry of a right's grant says of it."""
        (one,) = [
            one for one in self.journal.said if one.detail.get("habilitation") == right and one.detail.get("print")
        ]
        return one.detail.get("succession")

    async def names(self, who: str) -> str:
        return await self.acts.grant(
            *(who, "hygie", "platform"), role=Role.SECURITY_OFFICER, reason="named", approver="direction", days=DAYS
        )

    async def emergency(self) -> None:
        words = {"account": "local:test", "ticket": "T-1", "minutes": "60", "emergency": "yes"}
        asking = permit("local:test", Action.RIGHT_RAISE, EVERYWHERE)
        await self.requests.ask(asking, Action.RIGHT_RAISE, words, reason="disk")


@asynccontextmanager
async def staffed(open_house: Any, *, production: bool) -> AsyncIterator[Stage]:  # noqa: F811
    async def live(tenant: str, name: str) -> list[tuple[str, str]]:
        return []

    async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
        clock = Later()
        journal = Heard(owner, house.kms, clock)
        requests = Requests(owner, kms=house.kms, journal=journal, clock=clock)

        def persons() -> TwoPersons:
            return TwoPersons(requests, owner, production=production, now_ms=clock.now_ms())

        async def raised() -> None:
            await persons().raised("local:test")

        acts = Administration(
            owner,
            owner_dsn=house.dsns.owner,
            kms=house.kms,
            journal=journal,
            clock=clock,
            operator="local:test",
            go_live=live if production else None,
            raised=raised,
        )
        for who in (*OFFICERS, "own", "other"):
            await acts.create_account(who, kind="person", label="", professional_id="", days=1_000)
        stage = Stage(acts, requests, clock, persons, journal, [])
        stage.rights += [await stage.names(who) for who in OFFICERS]
        yield stage
        await journal.close()


async def revoke(stage: Stage) -> None:
    await stage.emergency()
    for one in stage.rights:
        await stage.acts.revoke_habilitation(one)


async def suspend(stage: Stage) -> None:
    await stage.emergency()
    for one in stage.rights:
        await stage.acts.suspend_habilitation(one)


async def expire(stage: Stage) -> None:
    stage.clock.ahead_ms += DAYS * DAY_MS


GONE = [revoke, suspend, expire]


@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("leave", GONE)
def test_who_is_left_alone_is_not_one_person_who_does_all(open_house: Any, leave: Any, production: bool) -> None:  # noqa: F811
    async def main() -> None:
        async with staffed(open_house, production=production) as stage:
            await leave(stage)
            with pytest.raises(TwoPersonsError):  # nobody takes the place of who was just put out of it
                await stage.names("own")
            stage.clock.ahead_ms += 3_600_000  # the emergency is over
            with pytest.raises(NotRaisedError):
                await stage.persons().raised("local:test")
            assert await stage.persons().needed(Action.KEY_ROTATE, EVERYWHERE)
            with pytest.raises(NotRaisedError):
                await stage.acts.create_tenant("more", "")

    asyncio.run(main())


@pytest.mark.parametrize("leave", GONE)
def test_one_successor_is_named_after_a_while_and_said(open_house: Any, leave: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with staffed(open_house, production=True) as stage:
            await leave(stage)
            stage.clock.ahead_ms += SUCCESSION_MS - 60_000
            await stage.emergency()
            with pytest.raises(TwoPersonsError):
                await stage.names("own")
            stage.clock.ahead_ms += 60_000
            with pytest.raises(TwoPersonsError):  # no other right, even so
                await stage.acts.grant(
                    *("other", "hygie", "platform"), role=Role.OPERATOR, reason="named", approver="direction", days=1
                )
            named = await stage.names("own")
            with pytest.raises(TwoPersonsError):  # the second one is approved by the first
                await stage.names("other")
            assert stage.succession(named) == "yes"

    asyncio.run(main())


def test_the_first_two_succeed_nobody(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with staffed(open_house, production=True) as stage:
            assert [stage.succession(one) for one in stage.rights] == [None, None]

    asyncio.run(main())
