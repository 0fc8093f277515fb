"""The loops of the working process: one that fails is tried again, and none is put off by what it waited for."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from hygie import upkeep
from hygie.base.errors import UnavailableError


@pytest.mark.parametrize("error", [UnavailableError(part="x"), OSError(), psycopg.errors.UndefinedFunction("secret")])
def test_a_loop_that_fails_is_tried_again_and_tells_no_text(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        turns = 0

        async def act() -> None:
            nonlocal turns
            turns += 1
            if turns == 3:
                stop.set()
            raise error

        await asyncio.wait_for(upkeep._every(stop, 0.001, act), 20)
        assert turns == 3

    asyncio.run(main())
    assert len(caplog.records) == 3
    assert "secret" not in caplog.text


def test_a_loop_that_waited_for_a_hung_medium_is_not_put_off_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(upkeep, "monotonic", lambda: now_s)

    async def main() -> None:
        stop = asyncio.Event()
        turns = 0

        async def act() -> None:
            nonlocal turns, now_s
            turns += 1
            now_s += 36_000  # ten hours
            if turns == 2:
                stop.set()

        await asyncio.wait_for(upkeep._every(stop, 0.001, act), 20)
        assert turns == 2

    asyncio.run(main())
