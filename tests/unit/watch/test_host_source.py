"""Logs of machines through a whole watch, on a real database with a clock that is set: followed, kept, silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg
import pytest

from hygie.app import opened
from hygie.base.host_logs import HostLogSettings, SyslogReceiverSettings
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, default_settings
from hygie.database.cluster import Dsns
from hygie.database.errors import DatabaseUnavailableError
from hygie.database.pool import Database
from hygie.handling import cards
from hygie.watch import findings, memory
from hygie.watch.findings import Act, Finding
from hygie.watch.messages import SILENT_CARD
from hygie.watch.ruleset import RuleSet, load_rules
from hygie.watch.syslog_spool import Spool
from hygie.watching import Watch
from tests.unit.journal.stage import MemoryMonthKeys

NOON = 1_795_824_000_000  # 2026-11-28T00:00:00Z
MINUTE = 60_000
RULES = RuleSet([one for one in load_rules().rules if one.card.file == "host.yml"])


@dataclass
class Stage:
    """One watch, its clock and the log ``auth`` of the machine ``web1``."""

    database: Database
    folder: Path
    settings: Settings
    now: int = NOON
    keys: MemoryMonthKeys = field(default_factory=MemoryMonthKeys)

    @property
    def log(self) -> Path:
        return self.folder / "auth.log"

    def now_ms(self) -> int:
        return self.now

    def house(self) -> Any:
        return SimpleNamespace(
            settings=self.settings, folder=DataFolder.at(self.folder), clock=self, month_keys=self.keys
        )

    async def begun(self) -> Watch:
        """As a new process would."""
        reader: Any = None
        watch = Watch(self.house(), self.database, reader, RULES)
        await watch.begin()
        return watch

    def says(self, message: str, *, tag: str = "sshd", times: int = 1) -> None:
        with self.log.open("a") as file:
            file.write(f"2026-11-28T00:00:00Z web9 {tag}[1]: {message}\n" * times)

    async def listed(self) -> list[Finding]:
        async with self.database.transaction() as connection:
            return await findings.listed(connection)

    async def closed(self, one: Finding) -> None:
        async with self.database.transaction() as connection:
            await findings.act(connection, one.id, Act("closed", "local:paul", "vu avec Paul"), self.now)


async def read(watch: Watch) -> list[Finding]:
    """One turn of the machines' logs."""
    return await watch.follow(watch._host)


@pytest.fixture(scope="module")
def dsns(new_database: Callable[[], Dsns]) -> Dsns:
    return new_database()


def on(dsns: Dsns, folder: Path, act: Callable[[Stage], Awaitable[None]], **asked: Any) -> None:
    """One act on a stage that remembers nothing. Args: asked: of the settings."""
    log = HostLogSettings(name="auth", path=str(folder / "auth.log"), format="syslog", host="web1", silent_minutes=10)
    with psycopg.connect(dsns.owner) as owner:
        owner.execute(
            "TRUNCATE hygie.finding, hygie.finding_act, hygie.finding_evidence, hygie.notice, hygie.watch_cursor,"
            " hygie.watch_state"
        )
    (folder / "auth.log").write_text("before\n")
    (folder / "logs" / "postgres").mkdir(parents=True)
    (folder / "logs" / "postgres" / "postgres-Sat.log").touch()
    settings = msgspec.structs.replace(default_settings(), **{"host_logs": (log,), **asked})

    async def main() -> None:
        async with opened(dsns.watch, size=2) as database:
            await act(Stage(database, folder, settings))

    asyncio.run(main())


def test_lines_become_findings_that_name_them(dsns: Dsns, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        watch = await stage.begun()
        stage.says("Failed password for root from 192.0.2.7 port 51000 ssh2", times=6)
        stage.says("Accepted publickey for root from 192.0.2.7 port 51000 ssh2")
        assert [one.title for one in await read(watch)] == ["After several failures, one address got into a machine"]
        (found,) = await stage.listed()
        assert json.loads(found.grouping) == {"address": "192.0.2.7", "host": "web1"}
        async with stage.database.transaction() as connection:
            evidence = await findings.evidence_of(connection, found.id)
        assert [source for source, _, _ in evidence] == ["host"] * 6

    on(dsns, tmp_path, act)


def test_what_could_not_be_written_down_is_read_again_and_counted_once(
    dsns: Dsns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise psycopg.OperationalError

    async def act(stage: Stage) -> None:
        watch = await stage.begun()
        stage.says("new user: name=eve, UID=1001, GID=1001", tag="useradd", times=3)
        with monkeypatch.context() as patch:
            patch.setattr(memory, "move", fails)
            with pytest.raises(DatabaseUnavailableError):
                await read(watch)
        assert await stage.listed() == []
        await read(watch)
        stage.says("new user: name=eve, UID=1001, GID=1001", tag="useradd", times=2)
        await read(await stage.begun())  # another process goes on from there
        assert [one.count for one in await stage.listed()] == [5]

    on(dsns, tmp_path, act)


def test_a_log_without_its_rhythm_is_a_finding_again_after_it_was_closed(dsns: Dsns, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        watch = await stage.begun()
        stage.now += 9 * MINUTE
        await read(watch)
        assert await watch.tick() == []
        stage.now += 2 * MINUTE
        assert await watch.tick() == []  # nobody has looked since: it may have spoken
        await read(watch)
        (found,) = await watch.tick()
        assert (found.rule, json.loads(found.grouping)) == (SILENT_CARD.id, {"host": "web1", "log": "auth"})
        assert cards(stage.house())[found.rule].todo  # what people are shown
        assert await watch.tick() == []  # the same one grows
        await stage.closed(found)
        assert len(await watch.tick()) == 1
        (found,) = await stage.listed()
        await stage.closed(found)
        stage.says("anything")
        await read(watch)
        assert await watch.tick() == []
        stage.now += 11 * MINUTE
        assert await (await stage.begun()).tick() == []  # a new process has to look first, too

    on(dsns, tmp_path, act)


def test_a_disk_that_hangs_is_a_finding_of_all_logs(dsns: Dsns, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        watch = await stage.begun()
        await read(watch)
        assert await watch.tick() == []
        stage.now += 6 * MINUTE
        await read(watch)
        assert await watch.tick() == []
        stage.now += 6 * MINUTE
        (found,) = await watch.tick()
        assert json.loads(found.grouping) == {"log": "*"}

    on(dsns, tmp_path, act)


def test_each_expected_sender_has_its_rhythm(dsns: Dsns, tmp_path: Path) -> None:
    receiver = SyslogReceiverSettings(
        address="127.0.0.1", certificate="c", key="k", authority="a", senders=("web1", "db1"), silent_minutes=60
    )

    async def act(stage: Stage) -> None:
        watch = await stage.begun()
        stage.now += 59 * MINUTE
        stage.says("anything")
        spool = Spool(stage.folder / "watch")
        await spool.put([{"at": stage.now, "host": "web1", "line": "anything"}])
        spool.close()
        await read(watch)
        stage.now += 2 * MINUTE
        await read(watch)
        (found,) = await watch.tick()
        assert json.loads(found.grouping) == {"host": "db1", "log": "received"}

    on(dsns, tmp_path, act, syslog_receiver=receiver)


def test_a_log_that_cannot_be_read_is_told_once(dsns: Dsns, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        watch = await stage.begun()
        stage.log.unlink()
        assert [one.title for one in await read(watch)] == ["A log cannot be read"]
        await read(await stage.begun())
        assert [one.count for one in await stage.listed()] == [1]

    on(dsns, tmp_path, act)


def test_what_is_not_of_the_format_is_counted(dsns: Dsns, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        watch = await stage.begun()
        with stage.log.open("ab") as file:
            file.write(b"\xff\xfe\nnothing\n" + b"x" * 100_000 + b"\n")
        await read(watch)
        assert {json.loads(one.grouping)["event"] for one in await stage.listed()} == {"log.unread", "log.cut"}

    on(dsns, tmp_path, act)


def test_marks_that_somebody_spoilt_begin_again(dsns: Dsns, tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        await stage.begun()
        async with stage.database.transaction() as connection:
            await memory.move(connection, "host", 7, stage.now, {"logs": {"auth": {"mark": "x"}}})
        watch = await stage.begun()
        stage.says("new user: name=eve, UID=1001, GID=1001", tag="useradd")
        assert len(await read(watch)) == 1

    on(dsns, tmp_path, act)
