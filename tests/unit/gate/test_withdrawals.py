"""What the host withdraws is in the journal of whose it is, and a refusal in its place withdraws nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from hygie.app import opened
from hygie.base.actions import Action
from hygie.base.errors import NotFoundError
from hygie.base.permit import Place
from hygie.base.roles import Role
from hygie.gate.administration import Administration
from hygie.gate.allowance_acts import AllowanceActs
from hygie.gate.errors import AdministrationError
from hygie.gate.place_acts import PlaceActs
from hygie.journal.entry import PLATFORM
from tests.unit.gate.test_officers import Heard
from tests.unit.vault.conftest import open_house  # noqa: F401 (a fixture)


@dataclass
class Stage:
    """One client, ``chu``, with one environment, and what is said of both."""

    acts: Administration
    journal: Heard
    place: Place
    owner: str

    def said(self, action: Action) -> list[tuple[bytes, bytes]]:
        """Whose entries of an act are."""
        return [(one.tenant_id, one.environment_id) for one in self.journal.said if one.action is action]

    @property
    def of_client(self) -> tuple[bytes, bytes]:
        return self.place.tenant_id, PLATFORM

    @property
    def of_environment(self) -> tuple[bytes, bytes]:
        return self.place.tenant_id, self.place.environment_id


@asynccontextmanager
async def client(open_house: Any) -> AsyncIterator[Stage]:  # noqa: F811
    async with open_house() as house, opened(house.dsns.owner, size=2) as owner:
        journal = Heard(owner, house.kms, house.clock)
        acts = Administration(
            *(owner,),
            owner_dsn=house.dsns.owner,
            kms=house.kms,
            journal=journal,
            clock=house.clock,
            operator="local:test",
        )
        await acts.create_tenant("chu", "CHU")
        async with owner.transaction() as connection:  # hygie_env_1 is the stage's own
            await connection.execute("SELECT setval('hygie.environment_number', 40)")
        place = (await acts.create_environment("chu", "prod", "production")).place
        await acts.create_account("marie", kind="person", label="", professional_id="", days=30)
        yield Stage(acts, journal, place, house.dsns.owner)
        await journal.close()


async def granted(stage: Stage, *, tenant: str = "chu", place: str = "prod", role: Role = Role.READER) -> str:
    return await stage.acts.grant("marie", tenant, place, role=role, reason="soins", approver="paul", days=1)


def test_a_right_of_a_client_is_withdrawn_in_its_journal(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with client(open_house) as stage:
            acts, here = stage.acts, stage.of_environment
            one = await granted(stage)
            await acts.suspend_habilitation(one)
            await acts.revoke_habilitation(one)
            assert stage.said(Action.HABILITATION_SUSPEND) == stage.said(Action.HABILITATION_REVOKE) == [here]
            token, _ = await acts.create_token("marie", "chu", "prod", days=1)
            await acts.revoke_token(token)
            assert stage.said(Action.TOKEN_REVOKE) == [here]
            (row,) = await acts.listing("habilitation")
            assert row["revoked_by"] == "local:test"
            ours = await granted(stage, tenant="hygie", place="platform", role=Role.OPERATOR)
            await acts.revoke_habilitation(ours)
            assert stage.said(Action.HABILITATION_REVOKE) == [here, (PLATFORM, PLATFORM)]
            with pytest.raises(NotFoundError):
                await acts.revoke_habilitation("0" * 16)

    asyncio.run(main())


def test_a_limit_or_a_list_of_a_client_is_withdrawn_in_its_journal(open_house: Any) -> None:  # noqa: F811
    async def main() -> None:
        async with client(open_house) as stage:
            limits, places = AllowanceActs(stage.acts), PlaceActs(stage.acts)
            words = {"reason": "test", "days": 1}
            for kind, subject, name in (
                ("tenant", "chu", "points"),
                ("environment", "chu/prod", "bytes"),
                ("account", "marie", "points"),
            ):
                await limits.remove(await limits.set(kind, subject, name, 7, **words))
            whose = [stage.of_client, stage.of_environment, (PLATFORM, PLATFORM)]
            assert stage.said(Action.LIMIT_SET) == stage.said(Action.LIMIT_REMOVE) == whose
            for subject in ("chu", "chu/prod"):
                await places.remove_rule(await places.allow(subject, ["FR"], **words))
            assert stage.said(Action.COUNTRY_REMOVE) == stage.said(Action.COUNTRY_SET) == whose[:2]

    asyncio.run(main())


def test_what_takes_a_place_withdraws_what_had_it_or_nothing(open_house: Any) -> None:  # noqa: F811
    """A client's list that a refusal took away would leave his data open to all of Europe."""

    async def main() -> None:
        async with client(open_house) as stage:
            limits, places = AllowanceActs(stage.acts), PlaceActs(stage.acts)
            words = {"reason": "test", "days": 1}
            narrow = await places.allow("chu", ["FR"], **words)
            limit = await limits.set("tenant", "chu", "points", 7, **words)
            with pytest.raises(AdministrationError):
                await places.allow("chu", ["DE"], reason="", days=1)
            with psycopg.connect(
                stage.owner, autocommit=True
            ) as plain:  # the table's own rule refuses, at the very end
                plain.execute("ALTER TABLE hygie.country_rule ADD CONSTRAINT only_france CHECK (countries = 'FR')")
                plain.execute("ALTER TABLE hygie.allowance ADD CONSTRAINT only_seven CHECK (value = 7)")
            with pytest.raises(AdministrationError):
                await places.allow("chu", ["DE"], **words)
            with pytest.raises(AdministrationError):
                await limits.set("tenant", "chu", "points", 8, **words)
            assert [one["id"] for one in await places.rules() if one["revoked_ms"] is None] == [narrow]
            assert [one["id"] for one in await limits.listing() if one["revoked_ms"] is None] == [limit]
            again = await places.allow("chu", ["FR"], **words)
            assert [one["id"] for one in await places.rules() if one["revoked_ms"] is None] == [again]
            assert (
                stage.said(Action.COUNTRY_REMOVE) == [stage.of_client] * 2
            )  # one of them with an act that was not done

    asyncio.run(main())
