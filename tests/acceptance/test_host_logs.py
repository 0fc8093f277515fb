"""Logs of machines in a running installation: a real rsyslog, to a file and over TLS; PostgreSQL's own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hygie.base.host_logs import HostLogSettings, SyslogReceiverSettings
from hygie.base.layout import DataFolder
from hygie.database.embedded import EmbeddedPostgres
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, kill
from tests.unit.watch.authority import Authority

RSYSLOGD = Path("/usr/sbin/rsyslogd")
NOTICED_S = 30.0  # two seconds on a quiet machine
CONFIGURATION = """
global(workDirectory="{folder}" DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile="{authority}"
       DefaultNetstreamDriverCertFile="{certificate}" DefaultNetstreamDriverKeyFile="{key}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" RateLimit.Interval="0")
action(type="omfile" file="{folder}/auth.log" template="RSYSLOG_FileFormat")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="octet-counted"
       template="RSYSLOG_SyslogProtocol23Format" StreamDriver="gtls" StreamDriverMode="1"
       StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost"
       action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="LinkedList")
"""


@dataclass
class Machine:
    """One machine: its log, and how a program of it writes there."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        return self.folder / "auth.log"

    def says(self, tag: str, *messages: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.connect(str(self.folder / "log"))
            for one in messages:
                link.send(f"<86>Nov 28 10:00:00 {tag}[12]: {one}".encode())


@dataclass
class Followed:
    made: Installation
    machine: Machine

    def finding(self, title: str, host: str, *, count: int = 1) -> dict[str, Any]:
        """The finding of one title and machine, once it has counted so many."""

        def found() -> list[dict[str, Any]]:
            return [
                one
                for one in self.made.hygie("finding", "list")
                if one["title"].startswith(title)
                and json.loads(self.made.hygie("finding", "show", one["id"])["group"]).get("host", "") == host
            ]

        self.made.wait_for(lambda: any(one["count"] >= count for one in found()), seconds=NOTICED_S)
        (one,) = found()
        return one


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    if not RSYSLOGD.exists() or not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
        pytest.skip("no rsyslog with its TLS driver: run scripts/test-packages as root")
    folder = tmp_path_factory.mktemp("machine")
    (folder / "auth.log").touch()
    authority = Authority(folder / "authority")
    server, sender = authority.give("localhost"), authority.give("web1")
    port = free_port()
    logs = (HostLogSettings(name="auth", path=str(folder / "auth.log"), format="syslog", host="paris"),)
    receiver = SyslogReceiverSettings(
        address="127.0.0.1",
        port=port,
        certificate=str(server.certificate),
        key=str(server.key),
        authority=str(authority.file),
        senders=("web1",),
    )
    (folder / "rsyslog.conf").write_text(
        CONFIGURATION.format(
            folder=folder, authority=authority.file, certificate=sender.certificate, key=sender.key, port=port
        )
    )
    with ExitStack() as stack:
        made = stack.enter_context(attacked(host_logs=logs, syslog_receiver=receiver))
        process = subprocess.Popen(
            [RSYSLOGD, "-n", "-f", folder / "rsyslog.conf", "-i", folder / "pid"], stderr=subprocess.DEVNULL
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        made.wait_for((folder / "log").exists)
        yield Followed(made, Machine(folder, process))


def test_who_guessed_is_found_from_the_file_and_over_tls(followed: Followed) -> None:
    guesses = ["Failed password for root from 192.0.2.7 port 51000 ssh2"] * 6
    began_s = time.monotonic()
    followed.machine.says("sshd", *guesses, "Accepted password for root from 192.0.2.7 port 51000 ssh2")
    for host in ("paris", "web1"):
        assert followed.finding("After several failures", host)["level"] == "high"
        assert followed.finding("root signed in", host)["level"] == "high"
    print(f"from seven lines to four findings that a command shows: {time.monotonic() - began_s:.1f} s")
    shown = followed.made.hygie("finding", "show", followed.finding("After several failures", "web1")["id"])
    assert shown["threat"] == "T-68"
    assert shown["evidence"][0]["source"] == "host"
    assert not list((followed.made.data / "watch").glob("*"))[1:]  # what was read does not stay


def test_the_receiver_is_on_a_line_of_the_flow_matrix(followed: Followed) -> None:
    told = followed.made.hygie("flows", "show")
    (line,) = [one for one in told["lines"] if one["called"] == "watch" and one["where"]]  # nobody asks for metrics
    assert (line["caller"], line["listens"]) == ("client", "yes")
    # Only root is told whose the ends of a connection are: the watch lets nobody else look into it.
    assert line["links"] == (1 if os.geteuid() == 0 else 0)
    assert told["undeclared"] == []


def test_a_watch_killed_in_the_middle_and_a_rotation_lose_nothing_and_count_once(followed: Followed) -> None:
    machine, line = followed.machine, "new user: name=eve, UID=1001, GID=1001, home=/home/eve, shell=/bin/sh, from=none"
    for part in range(4):
        machine.says("useradd", *[line] * 100)
        if part == 1:
            machine.log.rename(machine.folder / "auth.log.1")
            machine.process.send_signal(signal.SIGHUP)
        if part == 2:
            assert kill(followed.made, "watch") == 1
        time.sleep(0.3)
    assert followed.finding("An account of a machine was made", "paris", count=400)["count"] == 400
    time.sleep(2)
    assert followed.finding("An account of a machine was made", "paris", count=400)["count"] == 400
    over_tls = followed.finding("An account of a machine was made", "web1", count=200)["count"]
    print(f"of 400 lines over TLS, with a kill in the middle: {over_tls}")
    assert over_tls <= 400


def test_a_log_that_is_emptied_is_told(followed: Followed) -> None:
    os.truncate(followed.machine.log, 0)
    assert followed.finding("A log was cut", "paris")["level"] == "high"


def test_postgresql_refuses_and_it_is_told(followed: Followed) -> None:
    folder = DataFolder.at(followed.made.data)
    dsn = EmbeddedPostgres(folder.path, folder.run).dsn("hygie_watch")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn, password="wrong")
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT 'Zyglotte' FROM hygie.token")
    assert followed.finding("Somebody could not prove", "")["level"] == "medium"
    found = followed.finding("A role of PostgreSQL tries", "")
    assert found["count"] == 1  # and Hygie's own work is refused nothing
    assert json.loads(followed.made.hygie("finding", "show", found["id"])["group"])["role"] == "hygie_watch"
    assert not [one for one in (folder.logs / "postgres").iterdir() if b"Zyglotte" in one.read_bytes()]
