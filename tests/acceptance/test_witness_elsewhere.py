"""A witness of somebody else: another process, another folder, reached by https, known by the key that was brought."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hygie.journal.checkpoint import Checkpoint, VerifierKey, parse_checkpoint, parse_note, verify_cosignature
from hygie.journal.errors import CheckpointInvalidError
from hygie.server.certificates import own_certificate
from tests.acceptance.conftest import Installation, free_port
from tests.attack.installation import pids

PATIENT = {"resourceType": "Patient", "name": [{"family": "Tiers"}]}


@contextmanager
def witness_at(folder: Path, port: int, log_key: Path) -> Iterator[str]:
    """``hygie witness`` as its own administrator starts it, with the journal's public key alone; its own key."""
    files = own_certificate(folder / "tls", ["127.0.0.1"])
    words = ["--data", str(folder), "--json", "witness", "--log-key", str(log_key), "--listen", f"127.0.0.1:{port}"]
    words += ["--name", "third.example/1", "--certificate", str(files.certificate), "--key", str(files.key)]
    process = subprocess.Popen([sys.executable, "-m", "hygie", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["key"]
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def cosigned(installation: Installation, key: VerifierKey) -> Checkpoint | None:
    """The checkpoint that a site shows, if this witness cosigned it."""
    note = (installation.data / "sites" / "paris" / "journal" / "checkpoint").read_bytes()
    try:
        verify_cosignature(note, witness_key=key)
    except CheckpointInvalidError:
        return None
    return parse_checkpoint(parse_note(note).text)


def test_a_witness_elsewhere_cosigns_and_its_key_is_left_alone(installation: Installation) -> None:
    folder, port = installation.data.parent / "third", free_port()
    log_key = installation.data.parent / "log.key"
    log_key.write_text(installation.hygie("journal", "key")["log"])
    installation.down()
    tls = folder / "tls"
    settings = installation.data / "hygie.toml"
    where = f'[witness]\nurl = "https://127.0.0.1:{port}"\nauthority = "{tls / "ca.pem"}"\n'
    settings.write_text(re.sub(r"(?m)^\[witness\]\n", where, settings.read_text()))
    known = installation.data / "witness" / "witness.pub"
    # the key of the witness that ran here is not the key of one elsewhere; nor is nothing
    assert installation.hygie("up", exit_code=60)["error"]["code"] == "HYG-622"
    known.unlink()
    assert installation.hygie("up", exit_code=60)["error"]["code"] == "HYG-622"
    with witness_at(folder, port, log_key) as text:
        known.write_text(f"{text}\n")
        key = VerifierKey.parse(text)
        assert key.name == "third.example/1"
        installation.up()
        assert pids(installation)["witness"] == []
        assert installation.fhir("POST", "Patient", PATIENT).status == 201
        first = installation.wait_for(lambda: cosigned(installation, key))
    # gone, it stops nothing; back, it cosigns what continues what it had cosigned
    assert installation.fhir("POST", "Patient", PATIENT).status == 201
    installation.wait_for(lambda: cosigned(installation, key) is None)
    with witness_at(folder, port, log_key) as text, socket.create_connection(("127.0.0.1", port)) as silent:
        assert VerifierKey.parse(text) == key
        assert installation.fhir("POST", "Patient", PATIENT).status == 201
        after = installation.wait_for(lambda: cosigned(installation, key))
        assert after.size > first.size
        # a stranger who never says hello in TLS loses his place: asyncio's own patience is a minute
        silent.settimeout(40)
        assert silent.recv(1) == b""
    assert known.read_text() == f"{text}\n"


@pytest.mark.parametrize(("words", "code"), [(("--log-key", "absent"), 2), ((), 60)])
def test_a_witness_without_its_journal_does_not_start(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hygie", "--data", str(tmp_path), "witness", *words],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
