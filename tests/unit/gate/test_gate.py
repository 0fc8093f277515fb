"""What the gate makes of limits and openings, and of an account that is closed while it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.base.errors import RefusedError
from hygie.base.permit import PatientScope, Permit
from hygie.base.roles import Role
from hygie.gate.break_glass import PURPOSE, BreakGlass
from hygie.gate.errors import AdministrationError
from hygie.gate.narrowing import Limits
from hygie.gate.requests import Requests
from hygie.gate.reviews import Reviews
from hygie.gate.rights_desk import Caller, RightsDesk
from tests.unit.gate.peoples_stage import WARD, Stage, staged

HERE = ("chu", "prod")
TREAT = frozenset({"TREAT"})
SET = frozenset({"Group/a"})


def run(open_house: Any, main: Callable[[Stage], Awaitable[None]]) -> None:
    async def on_stage() -> None:
        async with open_house() as house, staged(house) as stage:
            await main(stage)

    asyncio.run(on_stage())


async def person(stage: Stage, name: str, role: Role, limits: Limits) -> str:
    """An account with one habilitation, and its token."""
    await stage.person(name)
    how = {"role": role, "reason": "stage", "approver": "chief", "days": 30}
    await stage.acts.grant(name, *HERE, **how, limits=limits)  # type: ignore[arg-type]
    return (await stage.acts.create_token(name, *HERE, days=1))[1]


async def admit(stage: Stage, token: str, action: Action = Action.OBJECT_READ, purpose: str = "") -> Permit:
    return await stage.gates[0].admit(token, tenant=HERE[0], environment=HERE[1], action=action, purpose=purpose)


def rooms(stage: Stage) -> dict[str, Any]:
    return {"kms": stage.house.kms, "journal": stage.house.journal, "clock": stage.clock}


def rights_desk(stage: Stage, *, production: bool = False) -> RightsDesk:
    parts, database = rooms(stage), stage.house.database
    made = (Requests(database, **parts), BreakGlass(database, **parts), Reviews(database, **parts))
    where = {"database": database, "journal": stage.house.journal, "clock": stage.clock}
    return RightsDesk(stage.gates[0], *made, **where, production=production)  # type: ignore[arg-type]


def test_a_broken_glass_opens_nothing_for_who_is_limited_to_purposes_alone(open_house: Any) -> None:
    """He has no set that a patient could be added to: it would have opened the whole environment."""

    async def main(stage: Stage) -> None:
        token = await person(stage, "carer", Role.CAREGIVER, Limits(purposes=TREAT))
        assert (await admit(stage, token, purpose="TREAT")).patients is None
        permit = await admit(stage, token, Action.BREAK_GLASS_OPEN)
        await BreakGlass(stage.house.database, **rooms(stage)).open(permit, "Patient/p1", "on-call", 30)
        with pytest.raises(RefusedError):
            await admit(stage, token, purpose=PURPOSE)

    run(open_house, main)


@pytest.mark.parametrize("purposes", [frozenset[str](), TREAT])
def test_a_broken_glass_adds_its_patient_and_sets_keep_their_purposes(
    open_house: Any, purposes: frozenset[str]
) -> None:
    async def main(stage: Stage) -> None:
        token = await person(stage, "carer", Role.CAREGIVER, Limits(patients=SET, purposes=purposes))
        permit = await admit(stage, token, Action.BREAK_GLASS_OPEN)
        opening = await BreakGlass(stage.house.database, **rooms(stage)).open(permit, "Patient/p1", "on-call", 30)
        broken = PatientScope(subjects=frozenset({opening.subject}))
        own = PatientScope(sets=frozenset({"a"}))
        found = (await admit(stage, token, purpose=PURPOSE)).patients
        assert found == (broken if purposes else own | broken)
        assert (await admit(stage, token, purpose="TREAT")).patients == own

    run(open_house, main)


def test_an_account_that_is_closed_while_it_is_asked_is_refused(open_house: Any, monkeypatch: Any) -> None:
    async def main(stage: Stage) -> None:
        token = await person(stage, "rita", Role.RIGHTS_OFFICER, Limits())
        gate, desk, caller = stage.gates[0], rights_desk(stage), Caller(token, *HERE, WARD)
        assert await desk.requests(caller) == []

        async def meanwhile(*_: Any, **__: Any) -> None:
            await stage.acts.disable_account("rita")
            await gate.refresh()

        monkeypatch.setattr(gate.rates, "charge", meanwhile)
        with pytest.raises(RefusedError):
            await desk.requests(caller)

    run(open_house, main)


def test_in_production_nobody_answers_by_a_token_that_an_operator_made(open_house: Any) -> None:
    """Whoever makes a token for an officer would be the second person of what he asks himself."""

    async def main(stage: Stage) -> None:
        token = await person(stage, "rita", Role.RIGHTS_OFFICER, Limits())  # made in a trial, or before this was so
        caller = Caller(token, *HERE, WARD)
        assert await rights_desk(stage).requests(caller) == []
        with pytest.raises(RefusedError):
            await rights_desk(stage, production=True).requests(caller)

    run(open_house, main)


def test_in_production_no_token_is_made_for_a_person(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        async def go_live(*_: str) -> Sequence[tuple[str, str]]:
            return ()

        await stage.person("rita")
        await stage.acts.create_account("lab", kind="application", label="", professional_id="", days=3)
        stage.acts._go_live = go_live
        how: dict[str, Any] = {"days": 1, "exception": "she cannot sign in, says who runs this"}
        with pytest.raises(AdministrationError):
            await stage.acts.create_token("rita", *HERE, **how)
        with pytest.raises(AdministrationError):
            await stage.acts.create_token("lab", *HERE, days=1)
        await stage.acts.create_token("lab", *HERE, **how)

    run(open_house, main)
