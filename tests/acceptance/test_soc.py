"""A SOC fed by a running installation: what is journaled comes there, whatever dies or hangs meanwhile."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hygie.base.settings import load_settings
from hygie.base.soc import MetricsSettings, OcsfExport, SyslogExport
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, kill
from tests.unit.watch.soc_receiver import Collector, Papers, collecting, papers
from tests.unit.watch.test_exposition import read


@dataclass
class World:
    """An installation, its SOC, and the files of two more exports: of the whole, and of the client ``chu``."""

    made: Installation
    soc: Collector
    files: Papers
    whole: Path
    client: Path

    def lines(self, path: Path) -> list[Any]:
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def journal(self) -> int:
        """Entries so far."""
        return int(self.made.hygie("journal", "status")["size"])

    def all_came(self, size: int) -> bool:
        """Whether every entry up to there came to the SOC, from the first that did."""
        seen = set(self.soc.indexes())
        return bool(seen) and set(range(min(seen), size)) <= seen

    def write(self, count: int) -> None:
        for _ in range(count):
            assert self.made.fhir("POST", "Patient", {"resourceType": "Patient"}).status == 201


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("soc")
    files = papers(folder / "papers")
    with collecting(files) as soc:
        port = soc.port
    exports = (
        SyslogExport(
            name="soc",
            host="localhost",
            port=port,
            certificate=str(files.client),
            key=str(files.client_key),
            authority=str(files.authority),
            since="beginning",
        ),
        OcsfExport(name="whole", path=str(folder / "whole.jsonl"), since="beginning"),
        OcsfExport(name="client", path=str(folder / "client.jsonl"), tenant="chu", since="beginning"),
    )
    metrics = MetricsSettings(port=free_port())
    with attacked(soc=exports, metrics=metrics) as made:
        yield World(made, soc, files, folder / "whole.jsonl", folder / "client.jsonl")


def test_what_is_written_while_the_soc_is_away_comes_when_it_is_back(world: World) -> None:
    world.write(100)
    first = {one["name"]: one for one in world.made.hygie("soc", "status")}
    world.made.wait_for(lambda: "HYG-4W7" in code(world))
    assert first["soc"]["sent"] == 0
    size = world.journal()
    with collecting(world.files, port=world.soc.port, into=world.soc):
        world.made.wait_for(lambda: world.all_came(size), seconds=60)
        assert min(world.soc.indexes()) == 0
        world.write(20)
    world.write(100)  # it is away again
    size = world.journal()
    with collecting(world.files, port=world.soc.port, into=world.soc):
        world.made.wait_for(lambda: world.all_came(size), seconds=60)
        world.made.wait_for(lambda: code(world) == "", seconds=60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def metrics(world: World, path: str = "/metrics") -> tuple[int, str]:
    port = load_settings(world.made.data).metrics.port
    assert port is not None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_metrics_are_read_and_name_nobody(world: World) -> None:
    status, text = metrics(world)
    assert status == 200
    told = read(text)
    assert {"hygie_journal_entries", "hygie_export_sent_events_total", "hygie_findings_open"} <= set(told)
    assert re.search(r'^hygie_journal_events_total\{action="object:create",outcome="done"\} \d+$', text, re.M)
    assert re.search(r'^hygie_certificate_expiry_timestamp_seconds\{certificate="soc.soc"\} \d+$', text, re.M)
    names = {"action", "outcome", "kind", "site", "check", "verdict", "level", "export", "certificate", "version"}
    assert set(re.findall(r'[{,]([a-z_]+)="', text)) <= names
    assert "127.0.0.1" not in text
    assert "app" not in re.findall(r'="([^"]*)"', text)
    assert metrics(world, "/")[0] == 404
    flows = world.made.hygie("flows", "show")
    assert "metrics" in json.dumps(flows)
    assert "hygie_findings_open" in world.made.hygie("soc", "alerts")["alerts"]


def code(world: World) -> str:
    (one,) = [one for one in world.made.hygie("soc", "status") if one["name"] == "soc"]
    return str(one["code"])


def test_a_watch_killed_again_and_again_loses_none(world: World) -> None:
    with collecting(world.files, port=world.soc.port, into=world.soc):
        world.soc.pause_s = 0.05
        for _ in range(3):
            world.write(40)
            kill(world.made, "watch")
            time.sleep(0.5)
        world.soc.pause_s = 0.0
        size = world.journal()
        world.made.wait_for(lambda: world.all_came(size), seconds=90)
        world.made.wait_for(lambda: complete(world, size), seconds=60)


def complete(world: World, size: int) -> bool:
    lines = world.lines(world.whole)
    found = {one["metadata"]["sequence"] for one in lines if one["metadata"]["log_name"] == "journal"}
    return set(range(size)) <= found


def test_findings_measures_and_verdicts_leave_too_and_a_client_gets_its_own(world: World) -> None:
    world.made.hygie("raise", "INT-2026-0001", "--reason", "disk", "--emergency")
    world.made.wait_for(lambda: any(one["class_uid"] == 2004 for one in world.lines(world.whole)), seconds=60)
    (opened,) = [one for one in world.lines(world.whole) if one["unmapped"].get("action") == "finding:open"][-1:]
    assert opened["finding_info"]["title"]
    world.made.wait_for(
        lambda: {"journal", "measurement"} <= {one["metadata"]["log_name"] for one in world.lines(world.whole)}
    )
    world.made.wait_for(lambda: bool(world.lines(world.client)), seconds=60)
    tenants = {one["unmapped"].get("tenant") for one in world.lines(world.client)}
    assert len(tenants) == 1
    assert None not in tenants
    everything = world.whole.read_text()
    assert not re.search(r'"(family|given|birthDate)"', everything)


def test_a_trial_is_sent_by_hand(world: World) -> None:
    with collecting(world.files, port=world.soc.port, into=world.soc):
        assert world.made.hygie("soc", "test", "soc") == {"export": "soc"}
    assert any(b"hygie - test [" in one for one in world.soc.came)
    assert world.made.hygie("soc", "test", "soc", exit_code=40)["error"]["code"] == "HYG-4W7"
    world.made.hygie("soc", "test", "pigeon", exit_code=30)


def test_an_export_without_a_client_of_that_name_says_so(world: World) -> None:
    path = world.made.data / "hygie.toml"
    kept = world.made.data / "kept"
    shutil.copy(path, kept)
    try:
        path.write_text(path.read_text().replace('tenant = "chu"', 'tenant = "chx"'))
        kill(world.made, "watch")
        log = world.made.data / "logs" / "watch.log"
        world.made.wait_for(lambda: "export client: HYG-4W9" in log.read_text(), seconds=60)
    finally:
        shutil.move(kept, path)
        kill(world.made, "watch")
