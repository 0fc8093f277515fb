"""What is measured for the watch, on a running installation: each act becomes a finding."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hygie.app import House, open_house, opened
from hygie.database.pool import Database
from hygie.probes import capacity
from hygie.probes.program import ROOT, manifest
from hygie.surveys import Program, run_capacity, run_listening, run_samples
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, noticed

LISTENER = """import socket, time
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
time.sleep(600)
"""


class Told(NamedTuple):
    """What the system says of a file system: a hundred blocks, of which four are free."""

    f_blocks: int = 100
    f_bfree: int = 4
    f_bavail: int = 4
    f_frsize: int = 4096


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked() as made:
        yield made


def turn(made: Installation, act: Callable[[House, Database, Database], Awaitable[Any]]) -> Any:
    """One turn of a survey, as ``hygie work`` does it, now."""

    async def main() -> Any:
        async with (
            open_house(made.data) as house,
            opened(house.dsns.sealer, size=1) as records,
            opened(house.dsns.hosting, size=1) as hosting,
        ):
            return await act(house, records, hosting)

    return asyncio.run(main())


def test_a_disk_that_is_nearly_full_is_noticed(made: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert turn(made, run_capacity)
    monkeypatch.setattr(capacity.os, "statvfs", lambda _: Told())
    assert not turn(made, run_capacity)
    assert noticed(made, "capacity-critical")["level"] == "critical"
    assert noticed(made, "capacity-low")["level"] == "medium"


def test_objects_that_are_encrypted_in_place_are_noticed(made: Installation) -> None:
    for _ in range(12):
        assert made.fhir("POST", "Patient", {"resourceType": "Patient"}).status == 201
    assert turn(made, run_samples)
    for path in (made.data / "sites" / "paris").glob("packs/*/*.pack"):
        path.chmod(0o600)
        path.write_bytes(os.urandom(path.stat().st_size))
    assert not turn(made, run_samples)
    assert noticed(made, "objects-encrypted")["level"] == "critical"


def test_objects_that_vanish_are_noticed(made: Installation) -> None:
    def gone() -> bool:
        """They are put back; what is written between two looks may hide as many."""
        for path in (made.data / "sites" / "paris").glob("packs/*/*.pack"):
            path.unlink(missing_ok=True)
        return any(one["title"].startswith("Objects vanished") for one in made.hygie("finding", "list"))

    made.wait_for(gone, seconds=60.0)
    assert noticed(made, "objects-vanished")["level"] == "medium"


def test_a_changed_file_of_hygie_is_noticed(made: Installation, tmp_path: Path) -> None:
    copy = tmp_path / "hygie"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    start = manifest(copy)
    assert start == manifest()
    (copy / "app.py").write_text("# taken over")

    async def look(house: House, records: Database, _: Database) -> Any:
        return await Program(house, records, start, copy).run()

    (found,) = turn(made, look)
    assert (found["how"], found["files"]) == ("running", "app.py")
    assert noticed(made, "program-changed")["level"] == "high"

    async def look_again(house: House, records: Database, _: Database) -> Any:
        return await Program(house, records, start, copy).run()

    assert {one["how"] for one in turn(made, look_again)} == {"running", "stopped"}


def test_a_new_port_is_noticed(made: Installation, tmp_path: Path) -> None:
    async def listening(house: House, records: Database, _: Database) -> Any:
        return await run_listening(house, records)

    turn(made, listening)  # learns, where hygie work has not looked yet
    (tmp_path / "hygie").write_text(LISTENER)
    words = [sys.executable, str(tmp_path / "hygie"), "--data", str(made.data), "serve"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline())
        try:
            turn(made, listening)
            found = noticed(made, "new-port")
            assert found["level"] == "high"
        finally:
            process.kill()


def test_the_watch_kept_all_that_it_was_told(made: Installation) -> None:
    log = (made.data / "logs" / "watch.log").read_text()
    assert "upkeep: DataError" not in log
