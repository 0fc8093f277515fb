"""sshd's log is followed through what happens to logs, and says when it cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hygie.interventions.errors import LogUnreadableError
from hygie.interventions.login_log import KEPT_MS, LoginLog
from tests.unit.interventions.stage import START_MS


def line(port: int) -> str:
    return f"2027-01-15T08:00:00Z vm-1 sshd[1]: Accepted password for root from 192.0.2.7 port {port} ssh2\n"


def ports(log: LoginLog, now_ms: int = START_MS) -> list[int]:
    log.follow(now_ms)
    return [one.port for one in log.known]


def test_it_is_followed_through_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "sshd.log"
    path.write_text(line(1) + line(2)[:40])
    log = LoginLog(path)
    assert ports(log) == [1]
    with path.open("a") as file:
        file.write(line(2)[40:])
    assert ports(log) == [1, 2], "a line in two pieces"
    with path.open("a") as file:
        file.write(line(3))
    path.rename(tmp_path / "sshd.log.1")
    path.write_text(line(4))
    assert ports(log) == [1, 2, 3, 4], "what was written just before the rotation too"
    path.write_text("")
    assert ports(log) == [1, 2, 3, 4]
    with path.open("a") as file:
        file.write(line(5))
    assert ports(log) == [1, 2, 3, 4, 5], "copied and cut"
    assert ports(log, START_MS + KEPT_MS + 1) == []
    log.close()


def test_a_rotation_that_came_while_nobody_looked_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sshd.log"
    path.write_text(line(2))
    (tmp_path / "sshd.log.1").write_text(line(1))
    log = LoginLog(path)
    assert ports(log) == [1, 2]
    assert ports(log) == [1, 2]
    log.close()
    path.replace(tmp_path / "sshd.log.1")
    path.write_text(line(3))
    assert ports(log) == [1, 2, 3], "and what was known is known once"
    assert ports(LoginLog(path)) == [2, 3]


def test_what_is_written_into_the_renamed_file_is_read_a_turn_later(tmp_path: Path) -> None:
    path = tmp_path / "sshd.log"
    path.write_text(line(1))
    log = LoginLog(path)
    assert ports(log) == [1]
    late = path.open("a")
    path.rename(tmp_path / "sshd.log.1")
    path.write_text(line(3))
    assert ports(log) == [1, 3]
    late.write(line(2))
    late.close()  # sshd's log daemon was told of the rotation by now
    assert ports(log) == [1, 3, 2]
    assert ports(log) == [1, 3, 2]
    log.close()


def test_one_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent", "pipe", "."):
        with pytest.raises(LogUnreadableError):
            LoginLog(tmp_path / name).follow(START_MS)
