"""Two processes tell one another which environments ask."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from hygie.base.turns import Turns
from hygie.gate import activity
from hygie.gate.activity import share_activity


def test_an_environment_that_asks_elsewhere_is_heard_of(open_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "TELL_S", 0.05)

    async def main() -> None:
        async with open_house() as house:
            here, there = Turns(), Turns()
            tasks = [asyncio.create_task(share_activity(one, house.hot)) for one in (here, there)]
            (await here.take("chu/prod")).end()
            (await there.take("clinic/prod")).end()
            await asyncio.sleep(0.3)
            assert here.elsewhere == there.elsewhere == {"chu/prod", "clinic/prod"}

            monkeypatch.setattr(here, "recent", list)  # it rests: it asks nothing, and thinks itself alone
            await asyncio.sleep(0.2)
            assert here.elsewhere == frozenset()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    asyncio.run(main())
