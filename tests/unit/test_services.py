"""What a process says of an accident: where it happened, never what it was about."""

from __future__ import annotations

import asyncio
import gc
import io
import logging

import pytest

from hygie.services import Discreet, discreet_loop


def spoil(name: str) -> None:
    raise ValueError(f"value of {name}")


def test_an_exception_is_logged_without_its_text() -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(Discreet("%(message)s"))
    log = logging.getLogger("hygie.test.parts")
    log.addHandler(handler)
    try:
        spoil("Jeanne")
    except ValueError:
        log.exception("failed", stack_info=True)
    finally:
        log.removeHandler(handler)
    assert "Jeanne" not in said.getvalue()
    assert "ValueError at " in said.getvalue()
    assert len(said.getvalue().splitlines()) == 2


def test_a_task_that_nobody_waits_for_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        spoil("Jeanne")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(discreet_loop)
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        del task
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert "Jeanne" not in caplog.text
    assert "test_services.py:" in caplog.text
