"""``hygie demo`` as a newcomer types it: every step holds, anyone's client connects, the data are served again.

Sabotage: with a planted name in any file of the data folder it ends with an error that names the file.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hygie.synthetic.patients import bundle_bytes, identity, planted_words
from tests.acceptance.conftest import Installation, free_port

PATIENTS = 4
DEMO_S_MAX = 600  # only a demonstration that hangs lasts so long, on a machine as busy as it may be
DEMO_PROCESSOR_S_MAX = 120  # of all its processes: it lasts a minute on two idle cores
STEPS = [
    *("start", "people", "registers", "load", "doors", "plaintext", "absence", "scrub", "backup", "rebuild", "erase"),
    *("drills", "journal", "publications", "plaintext-again", "status", "leaver", "posture", "dossier"),
]


def command(data: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "hygie", "--data", str(data), "--lang", "en", "demo", *words]


def environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HYGIE_", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C.UTF-8"}


def demo(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(data, *words), capture_output=True, text=True, timeout=DEMO_S_MAX, env=environ(), check=False
    )


def plain_get(connection: dict[str, str], path: str) -> Any:
    """What any client does with ``connection.json``."""
    asked = urllib.request.Request(
        f"{connection['base_url']}/{path}", headers={"Authorization": f"Bearer {connection['token']}"}
    )
    with urllib.request.urlopen(asked, context=ssl.create_default_context(cafile=connection["ca_file"])) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="hygie-d-"))
    made = Installation(folder / "data", free_port())
    try:
        yield made
    finally:
        with suppress(OSError):
            made.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def told(place: Installation) -> dict[str, Any]:
    """The first run, with a folder of somebody's files, good and bad; it stays until it has been asked."""
    files = place.data.parent / "files"
    files.mkdir()
    (files / "good.json").write_bytes(bundle_bytes(77))
    (files / "not-json.json").write_text("{")
    (files / "refused.json").write_text('{"resourceType":"Patient","birthDate":"yesterday"}')
    (files / "lines.ndjson").write_text('{"resourceType":"Basic","id":"b1","code":{"text":"x"}}\n')
    words = ("--patients", str(PATIENTS), "--port", str(place.port), "--stay", "--load", str(files))
    line = [*command(place.data, *words), "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        answer = process.stdout.readline()
        if not answer:
            raise AssertionError(process.stderr.read())
        connection = json.loads((place.data / "connection.json").read_text())
        found = plain_get(connection, "Patient?_count=50")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, process.stderr.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(answer), "connection": connection, "found": found, "processor_s": spent_s}


def test_every_step_holds_and_says_how_long_it_took(told: dict[str, Any]) -> None:
    assert [step["step"] for step in told["steps"]] == STEPS
    assert all(step["seconds"] >= 0 for step in told["steps"])
    assert told["processor_s"] < DEMO_PROCESSOR_S_MAX


def test_anyones_files_are_loaded_and_refusals_counted_by_reason(told: dict[str, Any]) -> None:
    load = next(step for step in told["steps"] if step["step"] == "load")
    assert load["patients"] == PATIENTS
    assert load["folder"]["files"] == 4
    assert load["folder"]["resources"] > 20
    refusals = load["folder"]["refusals"]
    assert refusals.pop("not JSON") == 1
    ((reason, count),) = refusals.items()
    assert reason.startswith("422 HYG-173 The resource")
    assert count == 1


def test_the_connection_file_serves_any_client_and_nobody_else(told: dict[str, Any], place: Installation) -> None:
    connection = told["connection"]
    assert set(connection) == {"base_url", "ca_file", "token"}
    assert stat.S_IMODE((place.data / "connection.json").stat().st_mode) == 0o600
    families = {entry["resource"]["name"][0]["family"] for entry in told["found"]["entry"]}
    kept = (*range(PATIENTS - 1), 77)  # the last one was erased
    assert families == {identity(seed).family.upper() for seed in kept}


def test_the_data_are_served_again(told: dict[str, Any], place: Installation) -> None:
    place.up()
    try:
        assert len(plain_get(told["connection"], "Patient?_count=50")["entry"]) == PATIENTS
        assert plain_get(told["connection"], "Basic/b1")["code"]["text"] == "x"
    finally:
        place.down()


def test_a_planted_name_in_any_file_ends_the_story(told: dict[str, Any], place: Installation) -> None:
    leak = place.data / "logs" / "leak.log"
    leak.write_bytes(b"\0\0name=" + planted_words(1)[0].upper().encode("utf-16-le"))
    done = demo(place.data, "--patients", str(PATIENTS))
    assert done.returncode == 50, done.stdout + done.stderr
    assert "HYG-591" in done.stderr
    assert "logs/leak.log" in done.stderr
    assert planted_words(1)[0].upper() not in done.stdout + done.stderr
    assert "✗  6" in done.stdout
    leak.unlink()


def test_a_second_run_takes_the_folder_up_again(told: dict[str, Any], place: Installation) -> None:
    done = demo(place.data, "--patients", str(PATIENTS), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    again = json.loads(done.stdout)
    load = next(step for step in again["steps"] if step["step"] == "load")
    assert (load["known"], load["bundles"]) == (PATIENTS, 0)  # the erased one came again before the leak was found
    assert again["connection"] == told["steps"][1]["connection"]
    assert json.loads(Path(again["connection"]).read_text())["token"] != told["connection"]["token"]


def test_a_folder_that_is_not_a_demonstration_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "somebody.txt").write_text("precious")
    done = demo(tmp_path, "--patients", "2")
    assert done.returncode == 10, done.stdout + done.stderr
    assert "HYG-191" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["somebody.txt"]
    installed = Installation(tmp_path / "installed", free_port())
    installed.hygie("init", "--port", str(installed.port))
    before = sorted(path.name for path in installed.data.iterdir())
    assert demo(installed.data).returncode == 10
    assert sorted(path.name for path in installed.data.iterdir()) == before
