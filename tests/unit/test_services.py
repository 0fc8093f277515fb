"""What a process says of an accident: where it happened, never what it was about."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from hygie import app, services, upkeep
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


def test_the_sealer_ends_after_the_upkeep_and_publishes_what_it_wrote_last(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    stop = asyncio.Event()

    class Sealing:
        async def recover(self) -> None:
            told.append("recovered")

        async def run(self, ending: asyncio.Event, *, interval_ms: int) -> None:
            await ending.wait()
            told.append("sealer ends")

        async def seal_once(self) -> int:
            told.append("sealed")
            return 1

    class Keeping:
        def __init__(self, *_: object) -> None:
            pass

        async def run(self, stop: asyncio.Event) -> None:
            await stop.wait()
            await asyncio.sleep(0.02)  # an evaluation under way
            told.append("upkeep wrote")

    @asynccontextmanager
    async def open_house(_: Path) -> AsyncIterator[object]:
        async def sealer(_: object) -> Sealing:
            return Sealing()

        settings = SimpleNamespace(journal=SimpleNamespace(publish_interval_ms=500))
        yield SimpleNamespace(sealer=sealer, dsns=SimpleNamespace(sealer=""), settings=settings)

    @asynccontextmanager
    async def opened(*_: object, **__: object) -> AsyncIterator[None]:
        yield

    def stop_event() -> asyncio.Event:
        asyncio.get_running_loop().call_later(0.02, stop.set)
        return stop

    monkeypatch.setattr(app, "open_house", open_house)
    monkeypatch.setattr(app, "opened", opened)
    monkeypatch.setattr(upkeep, "Upkeep", Keeping)
    monkeypatch.setattr(services, "_stop_event", stop_event)
    monkeypatch.setattr(services, "say_ready", lambda _: told.append("ready"))
    asyncio.run(services._work(Path("unused"), None))
    assert told == ["recovered", "ready", "upkeep wrote", "sealer ends", "sealed"]


def test_no_credential_is_named_in_the_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The library of security keys tells each ceremony, with what the browser sent."""
    for name in ("harden_process", "allow_many_files"):
        monkeypatch.setattr(services, name, lambda: None)
    monkeypatch.setattr(logging.root, "handlers", [])
    services.begin("test")
    logging.getLogger("fido2.server").info("Credential authenticated: %s", "c0ffee")
    assert "c0ffee" not in capsys.readouterr().err
