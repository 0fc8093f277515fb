"""A real installation for one benchmark: what ``hygie init`` and ``hygie up`` give, in a folder that is removed.

``HYGIE_BENCH_PROCESSES`` sets the number of hosting processes (default: what ``hygie init`` chooses);
``HYGIE_BENCH_FOLDER`` the place of the data, when the system's temporary folder is not on a real disk.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.client import Target
from benchmarks.machine import Meter, children_of
from hygie.app import House, initialise_stores, open_administration, open_house
from hygie.base.layout import DataFolder
from hygie.base.roles import Role
from hygie.base.settings import Settings, default_settings, load_settings, write_settings
from hygie.database.cluster import Dsns
from hygie.gate.administration import Administration
from hygie.gate.recorded import Environment
from hygie.services import certificate_files
from hygie.start import draw_credential

T = TypeVar("T")

TENANT = "bench"
STOP_S_MAX = 60
_GROUPS = {" serve ": "serve", " work ": "work", " watch ": "watch", " kms ": "kms", " witness ": "witness"}


class Installation:
    """One data folder and the processes that serve it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.folder = DataFolder.at(data)
        self._process: subprocess.Popen[str] | None = None
        self._more: dict[int, str] = {}

    # -- life -----------------------------------------------------------------------------------------------------

    def prepare(self, **fields: object) -> None:
        """Settings, folders, credential: as ``hygie init``, on a free port. fields: settings, as they are read."""
        settings = default_settings(language="en", port=free_port())
        processes = int(os.environ.get("HYGIE_BENCH_PROCESSES", settings.host.processes))
        self.folder.create()
        credential = draw_credential(self.folder)
        settings = msgspec.structs.replace(
            settings,
            host=msgspec.structs.replace(settings.host, processes=processes),
            kms=msgspec.structs.replace(settings.kms, credential=str(credential)),
            **fields,
        )
        initialise_stores(settings, self.folder)
        write_settings(self.data, settings)

    def up(self) -> None:
        """Start everything and wait until it serves. Raises: RuntimeError: with the ends of the logs."""
        words = ("--data", str(self.data), "--lang", "en", "--json", "up")
        with (self.folder.logs / "up.log").open("wb") as said:  # no pipe: whatever outlives its parent would hold it
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hygie", *words], stdout=subprocess.PIPE, stderr=said, text=True
            )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"hygie up: exit {self._process.wait(STOP_S_MAX)}\n{self.logs()}")

    def down(self) -> None:
        """Stop everything."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdout is not None
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def logs(self) -> str:
        """The end of each log."""
        return "\n".join(
            f"--- {p.name}\n{p.read_text(errors='replace')[-2000:]}" for p in self.folder.logs.glob("*.log")
        )

    # -- what is in it --------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """As written."""
        return load_settings(self.data)

    def dsns(self) -> Dsns:
        """How the database is reached."""

        async def ask(house: House) -> Dsns:
            return house.dsns

        return self.inside(ask)

    def inside(self, act: Callable[[House], Awaitable[T]]) -> T:
        """Run something with the house open in this process."""

        async def main() -> T:
            async with open_house(self.data) as house:
                return await act(house)

        return asyncio.run(main())

    def administer(self, act: Callable[[Administration], Awaitable[T]]) -> T:
        """Run an act of administration."""

        async def main(house: House) -> T:
            async with open_administration(house, "local:bench") as acts:
                return await act(acts)

        return self.inside(main)

    def environment(self, name: str, *, kind: str = "test") -> tuple[Environment, Target]:
        """A new environment, an application entitled in it, and what its client needs."""

        async def act(acts: Administration) -> tuple[Environment, str]:
            if not any(row["name"] == TENANT for row in await acts.listing("tenant")):
                await acts.create_tenant(TENANT, "Benchmarks")
            made = await acts.create_environment(TENANT, name, kind)
            account = f"app-{name}"
            await acts.create_account(account, kind="application", label=account, professional_id="", days=1)
            await acts.grant(account, TENANT, name, role=Role.APPLICATION, reason="benchmark", approver="chief", days=1)
            _, token = await acts.create_token(account, TENANT, name, days=1)
            return made, token

        made, token = self.administer(act)
        return made, self.target(name, token)

    def target(self, name: str, token: str, *, port: int | None = None) -> Target:
        """An environment's address. port: of a process that serves the same data elsewhere."""
        settings = self.settings
        authority = certificate_files(settings, self.folder).authority
        assert authority is not None
        port = settings.host.port if port is None else port
        return Target(f"https://{settings.host.address}:{port}/{TENANT}/{name}/fhir", str(authority), token)

    # -- what it costs --------------------------------------------------------------------------------------------

    def count(self, pid: int, group: str) -> None:
        """Count one more process, started by a benchmark, in a group."""
        self._more[pid] = group

    @contextmanager
    def held(self, group: str) -> Iterator[None]:
        """The processes of a group neither run nor die meanwhile."""
        assert self._process is not None
        word = next(one for one, name in _GROUPS.items() if name == group)
        pids = [pid for pid, command in children_of(self._process.pid).items() if word in f"{command} "]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def meter(self) -> Meter:
        """CPU time by group of processes."""
        assert self._process is not None
        roots = dict(self._more)
        for pid, command in children_of(self._process.pid).items():
            group = next((name for word, name in _GROUPS.items() if word in f"{command} "), None)
            if group is not None:
                roots[pid] = group
        postmaster = self.folder.postgres / "postmaster.pid"
        if postmaster.exists():
            roots[int(postmaster.read_text().split("\n", 1)[0])] = "postgres"
        return Meter(roots)


@contextmanager
def running(**fields: object) -> Iterator[Installation]:
    """An installation that serves, stopped and removed at the end. fields: of its settings, as they are read."""
    where = os.environ.get("HYGIE_BENCH_FOLDER")
    folder = Path(tempfile.mkdtemp(prefix="hygie-bench-", dir=where))
    made = Installation(folder / "data")
    try:
        made.prepare(**fields)
        made.up()
        yield made
    finally:
        made.down()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
