"""A real installation behind its real doors: ``hygie`` as people type it, FHIR over HTTPS as applications speak it.

One installation a module: ``hygie init``, ``hygie up`` on a free port, a tenant ``chu`` with the environment ``prod``,
an account ``app`` (role application) with its token.  Ready in some five seconds, stopped and removed at the end::

    def test_x(installation):
        patient = installation.fhir("POST", "Patient", {"resourceType": "Patient"}).json
        answer = installation.hygie("erase", "chu", "prod", patient["id"], …)      # parsed --json answer
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hygie.app import open_administration, open_house
from hygie.base.roles import Role
from hygie.cli.acts import operator_name
from hygie.journal.checkpoint import parse_checkpoint, parse_note
from tests.acceptance.forked import forker

UP_S_MAX = 90
COMMAND_S_MAX = 180
WAIT_S_MAX = 90.0  # what comes within seconds; a site that failed rests up to a minute, and this machine may be busy


class CommandFailedError(AssertionError):
    """A command ended with another code than expected."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of an OperationOutcome."""
        return str(self.json["issue"][0]["details"]["coding"][0]["code"])


@dataclass
class Installation:
    """One data folder; ``up`` and ``down`` start and stop what serves it."""

    data: Path
    port: int
    token: str = ""
    process: subprocess.Popen[str] | None = None
    _connection: http.client.HTTPSConnection | None = field(default=None, repr=False)

    # --- the command line

    def run(self, *words: str, language: str = "en") -> subprocess.CompletedProcess[str]:
        """A command, as it ends: nothing is checked."""
        return subprocess.run(
            [*_program(), "--data", str(self.data), "--lang", language, *words],
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            env=_environ(),
            check=False,
        )

    def hygie(self, *words: str, exit_code: int = 0) -> Any:
        """A command with ``--json``: its answer, or its error's when another exit code is expected."""
        if "PYTHONPATH" in os.environ:  # what a test puts there is loaded by a process that starts from nothing
            done = self.run("--json", *words)
        else:
            line = ("--data", str(self.data), "--lang", "en", "--json", *words)
            done = forker().run(line, environ=_environ(), timeout_s=COMMAND_S_MAX)
        if done.returncode != exit_code:
            raise CommandFailedError(f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        text = done.stdout if exit_code == 0 else done.stderr.strip().rsplit("\n", 1)[-1]
        return json.loads(text) if text.strip() else None

    def up(self, *words: str) -> None:
        """Start everything and wait until it serves."""
        assert self.process is None
        self.process = subprocess.Popen(
            [*_program(), "--data", str(self.data), "--json", "up", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environ(),
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            raise CommandFailedError(f"up: exit {self.process.wait()}\n{self.process.stderr.read()}\n{self.logs()}")

    def down(self, *, how: int = signal.SIGTERM) -> None:
        """Stop everything; with SIGKILL the children notice by themselves."""
        self.close_connection()
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(UP_S_MAX)
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def logs(self) -> str:
        """The ends of all logs, for a failure's message."""
        paths = sorted((self.data / "logs").glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in paths)

    # --- the FHIR face

    def fhir(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        place: str = "chu/prod",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One FHIR request over a kept connection."""
        sent = {"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})}
        data: bytes | None = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/fhir+json")
        for attempt in (1, 2):
            connection = self._connected()
            try:
                connection.request(method, f"/{place}/fhir/{path}".rstrip("/"), data, sent)
                answer = connection.getresponse()
                return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
            except (http.client.HTTPException, OSError):
                self.close_connection()
                if attempt == 2 or method not in ("GET", "PUT"):
                    raise
        raise AssertionError("unreachable")

    def close_connection(self) -> None:
        """Forget the kept connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            trusted = ssl.create_default_context(cafile=str(next(self.ca_files())))
            self._connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=trusted)
        return self._connection

    def ca_files(self) -> Iterator[Path]:
        """Certificates that a client of this installation trusts."""
        yield from sorted(path for path in (self.data / "tls").iterdir() if b"CERTIFICATE" in path.read_bytes())

    # --- waiting

    def wait_for(self, what: Callable[[], object], *, seconds: float = WAIT_S_MAX) -> Any:
        """Call until the answer is true. Raises: AssertionError: it never was."""
        end = time.monotonic() + seconds
        while True:
            found = what()
            if found:
                return found
            assert time.monotonic() < end, f"waited {seconds} s\n{self.logs()}"
            time.sleep(0.1)

    def journal_published(self, *sites: str) -> None:
        """Wait until what was journaled before this call is published, and shown by each of these sites."""
        told = self.hygie("journal", "status")
        wanted = told["size"] + told["pending"]
        self.wait_for(lambda: self.hygie("journal", "status")["published"] >= wanted)
        for site in sites:
            self.wait_for(lambda site=site: self.journal_shown(site) >= wanted)

    def journal_shown(self, site: str) -> int:
        """Size of the journal that a site shows."""
        note = (self.data / "sites" / site / "journal" / "checkpoint").read_bytes()
        return parse_checkpoint(parse_note(note).text).size


def _program() -> list[str]:
    return [sys.executable, "-m", "hygie"]


def _environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HYGIE_", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C.UTF-8", "HYGIE_TRACE": "1"}


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def new_installation(folder: Path) -> Installation:
    """An installation prepared by ``hygie init``, one hosting process, not started."""
    credential = folder / "credential"
    credential.touch(mode=0o600)
    credential.write_text(secrets.token_urlsafe(24))
    made = Installation(folder / "data", free_port())
    made.hygie("init", "--port", str(made.port), "--credential", str(credential))
    settings = made.data / "hygie.toml"
    settings.write_text(re.sub(r"(?m)^processes = \d+$", "processes = 1", settings.read_text()))
    return made


def populate(made: Installation, *, operator: str = "", days: int = 180, token_days: float = 30) -> None:
    """The tenant, the environment, the account, its habilitation and its token: what five commands do, at once."""

    async def main() -> str:
        async with open_house(made.data) as house, open_administration(house, operator or operator_name()) as acts:
            await acts.create_tenant("chu", "chu")
            await acts.create_environment("chu", "prod", "production")
            await acts.create_account("app", kind="application", label="app", professional_id="", days=days)
            how = {"reason": "acceptance", "approver": "chief"}
            await acts.grant("app", "chu", "prod", role=Role.APPLICATION, days=days, **how)
            return (await acts.create_token("app", "chu", "prod", days=token_days))[1]

    made.token = asyncio.run(main())


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """A running installation for the tests of one module."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-a-"))
    made = new_installation(folder)
    try:
        made.up()
        populate(made)
        yield made
    finally:
        with suppress(OSError):
            made.down()
        shutil.rmtree(folder, ignore_errors=True)
