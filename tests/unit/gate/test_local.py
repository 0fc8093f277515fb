"""What the machine's operator does is in the journal before it begins and after it ended."""

from __future__ import annotations

import asyncio

import pytest

from hygie.base.actions import Action
from hygie.base.errors import InvalidRequestError, RefusedError
from hygie.gate.local import LOCAL_ACTIONS, LocalOperator
from tests.unit.gate.peoples_stage import journaled


def test_an_act_has_an_intent_and_an_outcome_under_one_permit(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            operator = LocalOperator(house.journal, house.clock, "local:root")
            async with operator.act(Action.KEY_ROTATE, house.place, purpose="yearly", detail={"level": "epoch"}) as act:
                assert [entry.outcome for entry in await journaled(house)] == ["intent"]
                assert act.permit.allows(Action.KEY_ROTATE)
                act.detail["epoch"] = "2"
                act.count = 7
            intent, done = await journaled(house)
            assert (intent.outcome, done.outcome) == ("intent", "done")
            assert intent.detail == {"level": "epoch"}
            assert done.detail == {"level": "epoch", "epoch": "2"}
            assert done.count == 7
            for entry in (intent, done):
                assert entry.permit_id == act.permit.permit_id
                assert (entry.account, entry.authentication, entry.kind) == ("local:root", "local", "administration")
                assert entry.environment_id == house.place.environment_id
                assert entry.purpose == "yearly"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("raised", "code"), [(InvalidRequestError(reason="x"), "HYG-100"), (KeyError("p1"), "KeyError")]
)
def test_an_act_that_fails_is_unknown_by_its_code_alone(open_house, raised: Exception, code: str) -> None:
    async def main() -> None:
        async with open_house() as house:
            operator = LocalOperator(house.journal, house.clock, "local:root")
            with pytest.raises(type(raised)):
                async with operator.act(Action.SITE_SCRUB, house.place):
                    raise raised
            entries = await journaled(house)
            assert [entry.outcome for entry in entries] == ["intent", "unknown"]
            assert entries[1].detail == {"code": code}

    asyncio.run(main())


def test_health_data_are_not_the_operators(open_house) -> None:
    async def main() -> None:
        async with open_house() as house:
            operator = LocalOperator(house.journal, house.clock, "local:root")
            for action in (Action.OBJECT_READ, Action.OBJECT_SEARCH, Action.OBJECT_CREATE, Action.OBJECT_EXPORT):
                assert action not in LOCAL_ACTIONS
                with pytest.raises(RefusedError):
                    operator.permit(action, house.place)
                with pytest.raises(RefusedError):
                    async with operator.act(action):
                        raise AssertionError("begun")
            assert await journaled(house) == []

    asyncio.run(main())
