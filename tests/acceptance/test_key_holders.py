"""Who opens the keys at a start: k of n people with their shares, or a passphrase; what is said without them."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Installation, free_port, populate

PATIENT = {"resourceType": "Patient", "id": "p0", "name": [{"family": "Partage"}]}


@pytest.fixture
def place() -> Iterator[Installation]:
    """A data folder where nothing is yet."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-a-"))
    made = Installation(folder / "data", free_port())
    try:
        yield made
    finally:
        made.down()
        shutil.rmtree(folder, ignore_errors=True)


def prepared(place: Installation, *words: str) -> tuple[Path, list[Path]]:
    """``hygie init`` with three shares, two of which open; the folder and the files they were written in."""
    into = place.data.parent / "holders"
    made = place.hygie("init", "--port", str(place.port), "--shares", "3", "--threshold", "2", *words)
    return into, [Path(name) for name in made.get("share_files", [])]


def opening(*files: Path) -> list[str]:
    return [word for file in files for word in ("--share-file", str(file))]


def test_two_holders_of_three_open_what_init_sealed(place: Installation) -> None:
    into, files = prepared(place, "--shares-into", str(place.data.parent / "holders"))
    assert sorted(into.iterdir()) == files
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    texts = [file.read_text().strip() for file in files]
    kept = b"".join(path.read_bytes() for path in place.data.rglob("*") if path.is_file())
    assert not any(text.encode() in kept for text in texts), "a share lies in the data folder"
    # nobody, one holder, one holder twice, a stranger
    assert place.hygie("up", exit_code=60)["error"]["code"] == "HYG-695"
    assert place.hygie("up", *opening(files[0]), exit_code=10)["error"]["code"] == "HYG-133"
    assert place.hygie("up", *opening(files[0], files[0]), exit_code=10)["error"]["code"] == "HYG-133"
    other = Installation(place.data.parent / "other", free_port())
    _, theirs = prepared(other, "--shares-into", str(place.data.parent / "strangers"))
    assert place.hygie("up", *opening(files[0], theirs[1]), exit_code=10)["error"]["code"] == "HYG-132"
    # two holders
    place.up(*opening(files[2], files[0]))
    populate(place)
    assert place.fhir("PUT", "Patient/p0", PATIENT).status == 201
    for pid in processes_of(place):
        seen = Path(f"/proc/{pid}/cmdline").read_bytes()
        if os.geteuid() == 0:  # a process that lets nobody look gives its environment to root alone
            seen += Path(f"/proc/{pid}/environ").read_bytes()
        assert not any(text.encode() in seen for text in texts)
    # the copies of the keys open by the same holders, and by nobody at a script's end
    place.hygie("backup", "run")
    assert asked_without_terminal(place, "drill", "key-loss")["code"] == "HYG-193"
    assert place.hygie("drill", "key-loss", *opening(files[0], files[1]))["passed"]
    place.down()
    # a command that starts the installation by itself takes them too
    shutil.rmtree(place.data / "postgres")
    assert place.hygie("rebuild", "--from", "paris", exit_code=60)["error"]["code"] == "HYG-695"
    assert place.hygie("rebuild", "--from", "paris", *opening(files[0], files[1]))["whole"]
    # and people at a terminal, one of whom mistypes first
    said = typed(place, ["paper, not a share", texts[1], texts[1], texts[2]])
    assert "Key share refused: mistyped" in said
    assert texts[1] not in said
    assert place.fhir("GET", "Patient/p0").json["name"] == PATIENT["name"]


def processes_of(place: Installation) -> list[int]:
    """Every process that was started on this data folder."""
    named = str(place.data).encode()
    return [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cmdline") if named in p.read_bytes()]


def typed(place: Installation, lines: list[str]) -> str:
    """``hygie up --ask`` at a terminal, until it serves; what the terminal showed."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "hygie", "--data", str(place.data), "--lang", "en", "up", "--ask"]
    place.process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, text=True, start_new_session=True
    )
    os.close(theirs)
    said, end = b"", time.monotonic() + 60
    try:
        while b"Hygie serves" not in said:
            assert time.monotonic() < end, said.decode()
            if select.select([ours], [], [], 0.1)[0]:
                said += os.read(ours, 4096)
            hidden = not termios.tcgetattr(ours)[3] & termios.ECHO
            if lines and hidden and said.rstrip().endswith(b"/2:"):
                os.write(ours, f"{lines.pop(0)}\n".encode())
                said += b" (typed)"
    finally:
        os.close(ours)
    assert not lines
    return said.decode()


def test_holders_come_one_by_one_to_a_key_process_that_waits(place: Installation) -> None:
    _, files = prepared(place, "--shares-into", str(place.data.parent / "holders"))
    told, tells = os.pipe()
    words = [sys.executable, "-m", "hygie", "--data", str(place.data), "kms", "--ready-fd", str(tells)]
    process = subprocess.Popen(words, pass_fds=(tells,), stderr=subprocess.DEVNULL)
    os.close(tells)
    try:
        assert os.read(told, 1) == b"\n"
        assert asked_without_terminal(place, "unseal")["code"] == "HYG-193"
        assert place.hygie("unseal", *opening(files[1])) == {"open": False, "missing": 1}
        assert place.hygie("unseal", *opening(files[1])) == {"open": False, "missing": 1}
        assert place.hygie("unseal", *opening(files[0])) == {"open": True, "missing": 0}
        assert place.hygie("unseal") == {"open": True, "missing": 0}
    finally:
        os.close(told)
        process.terminate()
        process.wait(30)


def test_shares_are_shown_once_and_never_put_beside_what_they_open(place: Installation) -> None:
    refused = place.hygie("init", "--shares", "3", "--shares-into", str(place.data / "shares"), exit_code=60)
    assert refused["error"]["code"] == "HYG-697"
    assert not place.data.exists()
    shown = place.run("init", "--shares", "3", "--port", str(place.port))
    assert shown.returncode == 0, shown.stderr
    printed = [line.split()[1] for line in shown.stdout.splitlines() if "hygie-" in line and "share" not in line]
    shares = [text for text in printed if text.startswith("hygie-")]
    assert len(set(shares)) == 3
    assert "given once" in shown.stderr
    again = place.hygie("init", "--shares", "3", exit_code=60)
    assert again["error"]["code"] == "HYG-690"
    # settings that want shares, but no keys: init makes them
    for path in (place.data / "kms").iterdir():
        path.unlink()
    assert place.hygie("up", exit_code=60)["error"]["code"] == "HYG-696"
    made = place.hygie("init", "--shares", "5")
    assert (len(made["shares"]), made["threshold"]) == (5, 3)
    assert not set(made["shares"]) & set(shares)


def test_a_passphrase_that_nobody_gives_or_that_is_wrong_is_told_as_such(place: Installation) -> None:
    place.hygie("init", "--port", str(place.port))
    assert place.hygie("up", exit_code=60)["error"]["code"] == "HYG-694"
    for words in (("up", "--ask"), ("restore", "latest", "--into", str(place.data / "n"), "--from", str(place.data))):
        refused = asked_without_terminal(place, *words)
        assert refused["code"] == "HYG-193"
    assert not any((place.data / "kms").iterdir())
    credential = place.data.parent / "credential"
    credential.touch(mode=0o600)
    credential.write_text("girafe lampion cuivre orage")
    settings = place.data / "hygie.toml"
    settings.write_text(settings.read_text().replace("[kms]\n", f'[kms]\ncredential = "{credential}"\n'))
    place.up()
    place.down(how=signal.SIGTERM)
    credential.write_text("girafe lampion cuivre orange")
    assert place.hygie("up", exit_code=10)["error"]["code"] == "HYG-131"
    # keys that are not there are not made again: what they sealed is
    keys = place.data / "kms"
    keys.rename(place.data.parent / "away")
    keys.mkdir(mode=0o700)
    assert place.hygie("up", exit_code=60)["error"]["code"] == "HYG-698"
    assert list(keys.iterdir()) == []


def asked_without_terminal(place: Installation, *words: str) -> dict[str, str]:
    """The error of a command that would ask, its standard input being closed."""
    done = subprocess.run(
        [sys.executable, "-m", "hygie", "--data", str(place.data), "--json", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 10, done.stderr
    (line,) = done.stderr.strip().splitlines()
    error: dict[str, str] = json.loads(line)["error"]
    return error
