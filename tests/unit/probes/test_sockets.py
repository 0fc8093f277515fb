"""Sockets as the kernel tells them, and whose they are."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hygie.base.layout import DataFolder
from hygie.probes import zones
from hygie.probes.flows import look, parties
from hygie.probes.machine import parent_of
from hygie.probes.sockets import (
    ESTABLISHED,
    LISTENING,
    UNIX_ESTABLISHED,
    UNIX_LISTENING,
    holders,
    tcp_sockets,
    unix_sockets,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's /proc and sock_diag")
PROC = Path("/proc")
SLEEP = "print('here', flush=True); import time; time.sleep(60)"
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 4242 1
   1: 0100007F:20FB 0200000A:D431 01 00000000:00000000 00:00000000 00000000   998        0 4243 1
"""
TABLE6 = """\
  sl  local_address remote_address st
   0: 00000000000000000000000001000000:20FB 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 51 1
   1: 0000000000000000FFFF00000100007F:20FB 0000000000000000FFFF00000200000A:D431 01 0:0 00:0 0 0 0 52 1
   2: B80D0120000000000000000001000000:20FB 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 53 1
"""


def test_the_tables_of_tcp_are_read(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TABLE)
    (tmp_path / "net" / "tcp6").write_text(TABLE6)
    found = list(tcp_sockets(tmp_path))
    assert found[0] == ("4242", LISTENING, "127.0.0.1", 8443, "0.0.0.0", 0, 998)
    assert found[1] == ("4243", ESTABLISHED, "127.0.0.1", 8443, "10.0.0.2", 54321, 998)
    assert [one.address for one in found[2:]] == ["::1", "127.0.0.1", "2001:db8::1"]
    assert found[3].far_address == "10.0.0.2"
    assert list(tcp_sockets(tmp_path / "absent")) == []


def test_both_ends_of_a_unix_socket_are_told(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as calling:
        listening.bind(str(path))
        listening.listen()
        calling.connect(str(path))
        answering, _ = listening.accept()
        with answering:
            found = unix_sockets()
            held = holders(PROC)
    mine = [one for one in found if one.name == str(path)]
    assert sorted(one.state for one in mine) == [UNIX_ESTABLISHED, UNIX_LISTENING]
    peer = next(one.peer for one in mine if one.state == UNIX_ESTABLISHED)
    assert held[peer] == os.getpid()
    assert next(one.uid for one in found if one.inode == peer) in {os.geteuid(), -1}


def test_an_abstract_socket_has_its_name() -> None:
    name = f"hygie-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}")
        listening.listen()
        assert f"@{name}" in {one.name for one in unix_sockets()}


@pytest.mark.parametrize(
    ("name", "told"), [(b"\xff.s", "\\xff.s"), (b"a\nb", "a\\x0ab"), (b"\xc3\xa9t\xc3\xa9", "été")]
)
def test_a_name_of_any_bytes_stops_nobody_from_looking(tmp_path: Path, name: bytes, told: str) -> None:
    pid = str(os.getpid())
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as abstract:
        listening.bind(os.fsencode(tmp_path) + b"/" + name)
        abstract.bind(b"\0hygie\0" + pid.encode() + name)
        for one in (listening, abstract):
            one.listen()
        names = {one.name for one in unix_sockets()}
    assert {f"{tmp_path}/{told}", f"@hygie\\x00{pid}{told}"} <= names


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    alive: list[subprocess.Popen[bytes]] = []
    yield alive
    for one in alive:
        os.killpg(one.pid, signal.SIGKILL)  # what it started too
        one.communicate()


def test_a_process_is_of_its_own_party_or_of_what_started_it(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    folder = DataFolder.at(tmp_path / "data")
    child = "import os; os.posix_spawn('/bin/sleep', ['sleep', '60'], {}); " + SLEEP

    def begin(*words: str, code: str = SLEEP) -> int:
        # The words of the command line are all that is looked at: the program under the name of hygie is Python's.
        one = subprocess.Popen(
            ["hygie", "-c", code, *words],
            executable=sys.executable,
            stdout=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )
        started.append(one)
        assert one.stdout is not None
        one.stdout.readline()
        return one.pid

    ours, other = str(folder.path), str(tmp_path / "other")
    serving = begin("--data", ours, "serve", code=child)
    asking = begin("--data", ours, "status")
    unsaid = begin("status")
    strangers = [begin("--data", other, "serve"), begin(f"--data={other}", "status")]
    keys = begin("--data", other, "kms")
    found, elsewhere = parties(folder)
    assert found[serving] == "serve"
    (its_child,) = (pid for pid in found if parent_of(PROC / str(pid)) == serving)
    assert found[its_child] == "serve"
    assert found[asking] == found[unsaid] == found[os.getpid()] == "administration"
    assert not set(strangers) & set(found)
    assert elsewhere == {**elsewhere, keys: "kms"}
    assert keys not in found


def test_nothing_of_this_installation_is_seen_where_none_runs(tmp_path: Path) -> None:
    facts = look((), DataFolder.at(tmp_path / "data"))
    assert {one.party for one in facts.listening} | {one.caller for one in facts.links} <= {
        "administration",
        "client",
    }


def test_modes_tell_whether_another_account_gets_to_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o666)
        assert zones._closed(path)
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o011:
                break
        else:
            raise AssertionError("a folder of tests is closed")
        path.chmod(0o600)
        folder.chmod(0o755)
        assert zones._closed(path)
