"""A real installation to attack: its processes by name, its journal read back, clients that keep count."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from hygie.app import House, open_administration, open_house, opened
from hygie.base.permit import Place
from hygie.base.settings import WatchSettings, default_settings, load_settings, write_settings
from hygie.journal.checkpoint import parse_checkpoint, parse_note
from hygie.journal.entry import Entry
from hygie.journal.tiles import CHECKPOINT, PREFIX
from hygie.probes.rows import probe_access
from hygie.proof.checks.tech_5 import REVIEW_HOURS_MAX, exceptions
from hygie.proof.facts import AccessFacts
from hygie.proof.model import Context, Verdict
from hygie.sites.errors import SiteUnavailableError
from hygie.watch.ruleset import load_rules
from tests.acceptance.conftest import Answer, Installation, new_installation, populate

PROC = Path("/proc")
NOTICED_S = 30.0  # from an act to its finding: two seconds on a quiet machine
SERVICES = ("postgres", "kms", "witness", "work", "watch", "serve")

__all__ = ["Answer", "Installation"]


@contextmanager
def attacked(
    *, processes: int = 1, settings: dict[str, str] | None = None, rules: Path | None = None, **fields: object
) -> Iterator[Installation]:
    """A running installation with its tenant ``chu``, environment ``prod`` and account ``app``; removed at the end.

    Args: settings: lines of ``hygie.toml`` to change: name -> value as TOML; rules: the folder of a SOC's own;
    fields: of the settings, as they are read.
    """
    folder = Path(tempfile.mkdtemp(prefix="hygie-x-"))
    made = new_installation(folder)
    changes = {"processes": str(processes), **(settings or {})}
    path = made.data / "hygie.toml"
    for name, value in changes.items():
        path.write_text(re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", path.read_text()))
    if rules is not None:
        fields["watch"] = WatchSettings(rules=str(rules))
    if fields:
        write_settings(made.data, msgspec.structs.replace(load_settings(made.data), **fields))
    try:
        made.up()
        populate(made, operator="local:test", days=30, token_days=1)
        yield made
    finally:
        with suppress(OSError):
            made.down()
        _end_postgres(made)
        shutil.rmtree(folder, ignore_errors=True)


def ask(
    made: Installation,
    path: str,
    token: str | None,
    *,
    method: str = "GET",
    body: object = None,
    source: str = "127.0.0.1",
    purpose: str = "",
) -> Answer:
    """One request on a connection of its own, so to whichever process takes it. source: the address it comes from;
    purpose: of use, as it is stated."""
    connection = connected(made, source)
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    if purpose:
        headers["X-Purpose-Of-Use"] = purpose
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/fhir+json"
    try:
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def connected(made: Installation, source: str = "127.0.0.1") -> http.client.HTTPSConnection:
    """A connection of one's own, not yet open."""
    return http.client.HTTPSConnection(
        "127.0.0.1", made.port, timeout=30, context=trust(made), source_address=(source, 0)
    )


def trust(made: Installation) -> ssl.SSLContext:
    """What a client of this installation trusts."""
    return ssl.create_default_context(cafile=str(next(made.ca_files())))


def client(made: Installation) -> Installation:
    """The same installation through a connection of its own, for another thread."""
    return replace(made, process=None, _connection=None)


def pids(made: Installation) -> dict[str, list[int]]:
    """The live processes of an installation, by name."""
    found: dict[str, list[int]] = {name: [] for name in SERVICES}
    wanted = str(made.data)
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "--data" in words and words[words.index("--data") + 1] == wanted:
                name = words[words.index("--data") + 2]
                if name in found:
                    found[name].append(int(folder.name))
    with suppress(OSError, ValueError):
        pid = int((made.data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
        if (PROC / str(pid) / "comm").read_text().strip() == "postgres":
            found["postgres"].append(pid)
    return found


def serving_alone(made: Installation) -> Iterator[int]:
    """Each hosting process in turn, the others being stopped (SIGSTOP): what is asked meanwhile, this one answers."""
    everyone = pids(made)["serve"]
    for one in everyone:
        others = [pid for pid in everyone if pid != one]
        with stopped(others):
            yield one


@contextmanager
def stopped(targets: Iterable[int]) -> Iterator[None]:
    """Processes that neither die nor answer."""
    held = list(targets)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in held:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def kill(made: Installation, name: str, how: int = signal.SIGKILL) -> int:
    """Send a signal (kill -9) to every process of that name. Returns: how many there were."""
    targets = pids(made)[name]
    for pid in targets:
        with suppress(ProcessLookupError):
            os.kill(pid, how)
    return len(targets)


def place(made: Installation, tenant: str = "chu", environment: str = "prod") -> Place:
    """The ids behind two names."""

    async def main() -> Place:
        async with open_house(made.data) as house, open_administration(house, "local:test") as acts:
            return (await acts.environment(tenant, environment)).place

    return asyncio.run(main())


def opaque_ids(made: Installation, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """The names under which catalogue and journal know objects of (type, id)."""
    where = place(made)

    async def main() -> dict[tuple[str, str], bytes]:
        async with open_house(made.data) as house:
            index = (await house.context(where)).index
            return {pair: index.object_id(*pair) for pair in pairs}

    return asyncio.run(main())


async def _published(house: House, seconds: float) -> None:
    """Wait until every committed entry has its index, and the checkpoint that the sites show covers it."""
    end = time.monotonic() + seconds
    async with opened(house.dsns.sealer, size=1) as database:
        while True:
            async with database.transaction() as connection:
                cursor = await connection.execute(
                    "SELECT (SELECT count(*) FROM hygie.journal_pending), size FROM hygie.journal_head"
                )
                row = await cursor.fetchone()
            if row is not None and row[0] == 0 and await _shown(house) >= row[1]:
                break
            assert time.monotonic() < end, "the sealer does not seal"
            await asyncio.sleep(0.1)


async def _shown(house: House) -> int:
    """Size of the largest tree whose checkpoint a site shows."""
    size = 0
    with suppress(SiteUnavailableError):
        async for _, note in house.sites.copies(f"{PREFIX}{CHECKPOINT}"):
            size = max(size, parse_checkpoint(parse_note(note).text).size)
    return size


def whole_journal(made: Installation, *, seconds: float = 90.0) -> list[Entry]:
    """Every entry of the published journal, opened with the installation's own keys, oldest first."""

    async def main() -> list[Entry]:
        async with open_house(made.data) as house:
            await _published(house, seconds)
            async with opened(house.dsns.sealer, size=1) as database:
                reader = await house.journal_reader(database)
                found = [await reader.open(index, leaf) async for index, leaf in reader.entries()]
                return [item.entry for item in found if item.entry is not None]

    return asyncio.run(main())


def entries(made: Installation, **fields: object) -> list[Entry]:
    """The entries of the journal whose fields have these values."""
    return [
        entry for entry in whole_journal(made) if all(getattr(entry, name) == value for name, value in fields.items())
    ]


def verify(made: Installation, folder: Path) -> subprocess.CompletedProcess[str]:
    """Export the whole journal to a new ``folder`` and check it with ``hygie-verify``, as a stranger would."""

    async def main() -> None:
        async with open_house(made.data) as house:
            await _published(house, 90.0)
            async with opened(house.dsns.sealer, size=1) as database:
                await (await house.journal_reader(database)).export(folder)

    asyncio.run(main())
    key = made.data / "witness" / "log.key"
    return subprocess.run(
        [sys.executable, "-m", "hygie.verify", str(folder), "--key", str(key), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _end_postgres(made: Installation) -> None:
    """Whatever a test left behind ends with it."""
    for pid in pids(made)["postgres"]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
        for _ in range(100):
            if not (PROC / str(pid)).exists():
                break
            time.sleep(0.05)


def access_facts(made: Installation) -> AccessFacts:
    """What checks are told of accounts, rights and their reviews."""

    async def look() -> AccessFacts:
        async with open_house(made.data) as house:
            return await probe_access(house)

    return asyncio.run(look())


def last_verdicts(made: Installation, id_: str) -> list[Verdict]:
    """What the check of exceptional accesses says of one alone, at the last instant of its time and just after."""
    fact = access_facts(made)
    (one,) = [each for each in fact.exceptions if each["id"] == id_]
    last_ms = one["at_ms"] + REVIEW_HOURS_MAX * 3_600_000
    alone = replace(fact, exceptions=(one,))
    return [exceptions(alone, Context(default_settings(), at_ms)).verdict for at_ms in (last_ms, last_ms + 1)]


def noticed(made: Installation, rule: str, *, seconds: float = NOTICED_S, **group: object) -> dict[str, Any]:
    """The finding that the watch of this installation opened by a shipped rule, as ``hygie finding list`` shows it.

    Args: rule: its name; seconds: waited for it; group: values by which findings of one rule are told apart.
    Raises: AssertionError: it never came.
    """
    title = next(one.card.title for one in load_rules().rules if one.card.name == rule)

    def found() -> list[dict[str, Any]]:
        listed = [one for one in made.hygie("finding", "list") if one["title"] == title]
        return [one for one in listed if group.items() <= json.loads(one["group"]).items()]

    return dict(made.wait_for(found, seconds=seconds)[0])
