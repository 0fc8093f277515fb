"""The supervisor, with real children: order, readiness, secrets, restarts, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hygie import processes as module
from hygie.processes import Service, ServiceFailedError, Supervisor

CHILD = """
import os, signal, sys, time
from hygie.base.lifeline import hold_lifeline
hold_lifeline()
name, ready, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def note(word):
    with open(os.path.join(folder, "order"), "a") as file:
        file.write(word + " " + name + "\\n")
def end(*_):
    note("end")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("start")
print("hello from", name, "100%", flush=True)
{body}
os.write(ready, b"\\n")
while True:
    time.sleep(0.05)
"""


def service(folder: Path, name: str, body: str = "", **fields: Any) -> Service:
    program = (sys.executable, "-c", CHILD.format(body=textwrap.dedent(body)))
    fields = {"arguments": (name, "{ready_fd}", str(folder)), "stop_timeout_s": 5.0} | fields
    return Service(name=name, program=program, **fields)


async def start(supervisor: Supervisor) -> None:
    """Every service in order, each once the one before is ready."""
    try:
        for status in supervisor.status():
            await supervisor.start_one(status.name)
    except ServiceFailedError:
        await supervisor.stop()
        raise


def order(folder: Path) -> list[str]:
    path = folder / "order"
    return path.read_text().split("\n")[:-1] if path.exists() else []


async def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """A zombie waits for its parent (here a shell of the tests) and runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_services_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    async def main() -> None:
        services = [
            service(tmp_path, "kms", "time.sleep(0.3)"),
            service(tmp_path, "witness"),
            service(tmp_path, "work"),
        ]
        supervisor = Supervisor(services, logs=tmp_path)
        await start(supervisor)
        assert [status.state for status in supervisor.status()] == ["ready"] * 3
        pids = [status.pid for status in supervisor.status()]
        await supervisor.stop()
        assert not any(is_alive(pid) for pid in pids)

    asyncio.run(main())
    assert order(tmp_path) == [
        *("start kms", "start witness", "start work"),
        *("end work", "end witness", "end kms"),
    ]


def test_a_secret_reaches_the_child_and_no_list_of_processes(tmp_path: Path) -> None:
    secret = b"girafe lampion cuivre orage"
    body = f"""
    got = os.read(int(sys.argv[4]), 4096)
    assert os.read(int(sys.argv[4]), 4096) == b""
    with open({str(tmp_path / "got")!r}, "wb") as file:
        file.write(got)
    """

    async def main() -> None:
        kms = service(
            tmp_path, "kms", body, arguments=("kms", "{ready_fd}", str(tmp_path), "{secret_fd}"), secret=secret
        )
        assert secret.decode() not in repr(kms)
        supervisor = Supervisor([kms], logs=tmp_path)
        await start(supervisor)
        pid = supervisor.status()[0].pid
        if sys.platform.startswith("linux"):
            for place in ("cmdline", "environ"):
                assert secret not in Path(f"/proc/{pid}/{place}").read_bytes()
        (tmp_path / "got").unlink()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: (tmp_path / "got").exists() and supervisor.status()[0].state == "ready")
        await supervisor.stop()

    asyncio.run(main())
    assert (tmp_path / "got").read_bytes() == secret, "also after a restart"
    assert secret not in (tmp_path / "kms.log").read_bytes()


def test_a_killed_service_comes_back_and_the_others_stay(tmp_path: Path) -> None:
    async def main() -> None:
        supervisor = Supervisor([service(tmp_path, "a"), service(tmp_path, "b")], logs=tmp_path)
        await start(supervisor)
        before = supervisor.status()
        os.kill(before[1].pid, signal.SIGKILL)
        await until(lambda: supervisor.status()[1].restarts == 1 and supervisor.status()[1].state == "ready")
        after = supervisor.status()
        assert after[0].pid == before[0].pid
        assert after[1].pid not in {0, before[1].pid}
        await supervisor.stop()

    asyncio.run(main())


def test_a_service_that_keeps_dying_is_tried_later_and_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_S_MIN", 0.1)

    async def main() -> None:
        body = "if os.path.exists(os.path.join(folder, 'broken')): sys.exit(1)"
        supervisor = Supervisor([service(tmp_path, "a", body)], logs=tmp_path)
        supervisor._children["a"].backoff_s = 0.1
        await start(supervisor)
        (tmp_path / "broken").touch()
        started = time.monotonic()
        os.kill(supervisor.status()[0].pid, signal.SIGKILL)
        await until(lambda: supervisor.status()[0].restarts == 4)
        assert time.monotonic() - started >= 0.1 + 0.2 + 0.4 + 0.8
        (tmp_path / "broken").unlink()
        await until(lambda: supervisor.status()[0].state == "ready")
        await supervisor.stop()

    asyncio.run(main())


@pytest.mark.parametrize("body", ["sys.exit(3)", "os.close(ready)\nsys.exit(3)"])
def test_a_service_that_dies_before_it_is_ready_stops_the_start(tmp_path: Path, body: str) -> None:
    async def main() -> None:
        supervisor = Supervisor([service(tmp_path, "a"), service(tmp_path, "b", body)], logs=tmp_path)
        with pytest.raises(ServiceFailedError) as caught:
            await start(supervisor)
        assert caught.value.facts["service"] == "b"
        assert caught.value.facts["exit_code"] == 3
        assert [status.pid for status in supervisor.status()] == [0, 0]

    asyncio.run(main())
    assert order(tmp_path)[-1] == "end a"


def test_a_service_that_never_says_ready_is_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        mute = service(tmp_path, "mute", "time.sleep(60)", ready_timeout_s=0.5)
        supervisor = Supervisor([mute], logs=tmp_path)
        with pytest.raises(ServiceFailedError):
            await start(supervisor)
        assert supervisor.status()[0].pid == 0

    asyncio.run(main())


def test_refused_settings_are_not_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        body = "if os.path.exists(os.path.join(folder, 'weak')): sys.exit(60)"
        supervisor = Supervisor([service(tmp_path, "a", body)], logs=tmp_path)
        await start(supervisor)
        (tmp_path / "weak").touch()
        os.kill(supervisor.status()[0].pid, signal.SIGKILL)
        await until(lambda: supervisor.status()[0].state == "refused")
        assert supervisor.status()[0].exit_code == 60
        (tmp_path / "weak").unlink()
        await supervisor.start_one("a")
        await supervisor.stop()

    asyncio.run(main())


def test_a_deaf_service_and_its_own_children_are_killed(tmp_path: Path) -> None:
    body = f"""
    import subprocess
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with open({str(tmp_path / "pid")!r}, "w") as file:
        file.write(str(grandchild.pid))
    """

    async def main() -> None:
        supervisor = Supervisor([service(tmp_path, "deaf", body, stop_timeout_s=0.3)], logs=tmp_path)
        await start(supervisor)
        grandchild = int((tmp_path / "pid").read_text())
        assert is_alive(grandchild)
        await supervisor.stop()
        await until(lambda: not is_alive(grandchild))

    asyncio.run(main())


def test_logs_are_private_whole_and_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_BYTES_MAX", 2000)
    body = 'for n in range(200): print("line", n, "%s {}", flush=True)\nprint("no end of line", end="", flush=True)'

    async def main() -> None:
        supervisor = Supervisor([service(tmp_path, "a", body)], logs=tmp_path)
        await start(supervisor)
        await supervisor.stop()

    asyncio.run(main())
    logs = sorted(tmp_path.glob("a.log*"))
    assert 2 <= len(logs) <= module.LOG_FILES_MAX + 1
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in logs)
    assert all(path.stat().st_size <= 2000 for path in logs)
    assert (tmp_path / "a.log").read_text().splitlines()[-2:] == ["line 199 %s {}", "no end of line"]


RUN = """
import asyncio, os, sys
from pathlib import Path
from hygie.processes import Service, Supervisor
folder = Path(sys.argv[1])
program = (sys.executable, "-c", (folder / "child.py").read_text())
services = [Service(name=n, arguments=(n, "{ready_fd}", str(folder)), program=program) for n in ("a", "b")]
async def main():
    supervisor = Supervisor(services, logs=folder)
    for one in services:
        await supervisor.start_one(one.name)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def supervised(folder: Path) -> subprocess.Popen[str]:
    (folder / "child.py").write_text(CHILD.format(body=""))
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder)], stdout=subprocess.PIPE, text=True)


def read_until(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError(f"never said: {line}")


def test_a_log_that_cannot_be_opened_stops_no_service(tmp_path: Path) -> None:
    """A full disk refuses new files: the child's words are read all the same, and it is started again when it dies."""
    logs = tmp_path / "logs"

    async def main() -> None:
        body = "print('x' * 200_000, flush=True)"  # more than a pipe holds: it would wait for a reader
        supervisor = Supervisor([service(tmp_path, "a", body)], logs=logs)
        await start(supervisor)
        os.kill(supervisor.status()[0].pid, signal.SIGKILL)
        await until(lambda: supervisor.status()[0].restarts == 1 and supervisor.status()[0].state == "ready")
        logs.mkdir()
        os.kill(supervisor.status()[0].pid, signal.SIGKILL)
        await until(lambda: supervisor.status()[0].restarts == 2 and supervisor.status()[0].state == "ready")
        await supervisor.stop()

    asyncio.run(main())
    assert "hello from a 100%" in (logs / "a.log").read_text()


def test_nothing_is_left_behind_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    process = supervised(tmp_path)
    read_until(process, "ready")
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len([line for line in order(tmp_path) if line.startswith("end")]) < 2:
        time.sleep(0.02)
    assert {"end a", "end b"} <= set(order(tmp_path))
