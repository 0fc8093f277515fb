"""The supervisor behind ``hygie up``: starts processes, keeps them alive, stops them in reverse order.

A child says that it is ready by one newline on an inherited file descriptor. A secret reaches it through an inherited
pipe: never its arguments, never its environment. Each child also inherits the read end of a *lifeline*: when the
supervisor dies, however it dies, the pipe closes and the child stops by itself (``base.lifeline``), so that nothing is
left behind to hold a socket or a lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Literal

from hygie.base.errors import UnavailableError
from hygie.base.lifeline import LIFELINE_VARIABLE

READY_FD = "{ready_fd}"
SECRET_FD = "{secret_fd}"  # noqa: S105 (a place in the arguments, not a secret)
SECRET_BYTES_MAX = 4096  # fits in a pipe that nobody reads yet (PIPE_BUF on every system)
LOG_BYTES_MAX = 10 * 1024 * 1024  # a month of a quiet service
LOG_FILES_MAX = 5
LINE_BYTES_MAX = 64 * 1024
BACKOFF_S_MIN = 0.2
BACKOFF_S_MAX = 30.0
HEALTHY_AFTER_S = 60.0  # a child that lived this long starts its backoff afresh
EXIT_SETTINGS = 60  # SettingsError: the same settings will be refused again

State = Literal["waiting", "starting", "ready", "restarting", "refused", "stopped"]


class ServiceFailedError(UnavailableError):
    """A child ended, or stayed silent, before it was ready."""

    code = "HYG-492"
    fr = "Le processus {service} n'a pas démarré (code {exit_code}) : voir {log}."
    en = "The process {service} did not start (code {exit_code}): see {log}."


@dataclass(frozen=True, slots=True)
class Service:
    """One child process.

    arguments: after ``python -m hygie``; ``{ready_fd}`` and ``{secret_fd}`` are replaced by descriptor numbers.
    secret: bytes put in the pipe of ``{secret_fd}``, at most 4,096. program: instead of ``python -m hygie``.
    pass_fds: descriptors it inherits under the same numbers.
    """

    name: str
    arguments: tuple[str, ...]
    secret: bytes | None = field(default=None, repr=False)
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 15.0
    program: tuple[str, ...] = (sys.executable, "-m", "hygie")
    pass_fds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What the supervisor knows of one child. pid: 0 when none; restarts: since the supervisor started."""

    name: str
    state: State
    pid: int
    restarts: int
    exit_code: int | None


@dataclass(slots=True)
class _Child:
    service: Service
    state: State = "waiting"
    process: asyncio.subprocess.Process | None = None
    watch: asyncio.Task[None] | None = None
    drain: asyncio.Task[None] | None = None
    restarts: int = 0
    exit_code: int | None = None
    backoff_s: float = BACKOFF_S_MIN
    ready_at_s: float = 0.0


class Supervisor:
    """Keeps a list of services running. Args: logs: folder of ``<name>.log``, rotated."""

    def __init__(self, services: Sequence[Service], *, logs: Path) -> None:
        self._children = {service.name: _Child(service) for service in services}
        assert len(self._children) == len(services), "two services have one name"
        self._logs = logs
        self._lifeline: tuple[int, int] | None = None

    async def start_one(self, name: str) -> None:
        """Start one service that is stopped, and wait until it is ready; it is kept alive from then on.

        Raises: ServiceFailedError (HYG-492).
        """
        child = self._children[name]
        assert child.state in {"waiting", "stopped", "refused"}, child.state
        self._lifeline = self._lifeline or os.pipe()
        try:
            await self._launch(child)
        except BaseException:
            await self._end(child)
            raise
        child.watch = asyncio.create_task(self._keep_alive(child), name=f"watch {name}")

    async def stop(self) -> None:
        """Stop every service, the last started first."""
        for child in reversed(self._children.values()):
            await self._end(child)
        if self._lifeline is not None:
            for descriptor in self._lifeline:
                os.close(descriptor)
            self._lifeline = None

    def status(self) -> list[ServiceStatus]:
        """Every service, in starting order."""
        return [
            ServiceStatus(
                name=child.service.name,
                state=child.state,
                pid=child.process.pid if child.process is not None and child.process.returncode is None else 0,
                restarts=child.restarts,
                exit_code=child.exit_code,
            )
            for child in self._children.values()
        ]

    def log_of(self, name: str) -> Path:
        """The log file of one service."""
        return self._logs / f"{name}.log"

    async def _launch(self, child: _Child) -> None:
        """One attempt: spawn, then wait for readiness."""
        child.state = "starting"
        ready, said = os.pipe()
        try:
            await self._spawn(child, said)
            await self._wait_ready(child, ready)
        finally:
            os.close(ready)
        child.ready_at_s = time.monotonic()
        child.state = "ready"

    async def _spawn(self, child: _Child, ready_fd: int) -> None:
        """ready_fd is closed here, whatever happens: only the child may hold it, or its end would go unseen."""
        service = child.service
        assert self._lifeline is not None
        secret_fd = _pipe_with(service.secret) if service.secret is not None else None
        try:
            numbers = {READY_FD: str(ready_fd), SECRET_FD: str(secret_fd)}
            arguments = [_filled(argument, numbers) for argument in service.arguments]
            passed = [fd for fd in (ready_fd, secret_fd, self._lifeline[0], *service.pass_fds) if fd is not None]
            child.process = await asyncio.create_subprocess_exec(
                *service.program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=passed,
                env=os.environ | {LIFELINE_VARIABLE: str(self._lifeline[0])},
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops in its own order
                umask=0o077,
            )
        finally:
            for descriptor in (ready_fd, secret_fd):
                if descriptor is not None:
                    os.close(descriptor)
        child.exit_code = None
        assert child.process.stdout is not None
        child.drain = asyncio.create_task(_drain(child.process.stdout, self.log_of(service.name)))

    async def _wait_ready(self, child: _Child, ready_fd: int) -> None:
        service = child.service
        assert child.process is not None
        ready = asyncio.ensure_future(_newline_on(ready_fd))
        ended = asyncio.ensure_future(child.process.wait())
        try:
            await asyncio.wait({ready, ended}, timeout=service.ready_timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done() or ready.exception() is not None or ended.done():
                if ended.done():
                    child.exit_code = ended.result()
                raise ServiceFailedError(
                    service=service.name, exit_code=child.exit_code, log=str(self.log_of(service.name))
                )
        finally:
            for task in (ready, ended):
                task.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    async def _keep_alive(self, child: _Child) -> None:
        while True:
            assert child.process is not None
            child.exit_code = await child.process.wait()
            if child.drain is not None:
                await child.drain
            if child.exit_code == EXIT_SETTINGS:
                child.state = "refused"
                return
            if time.monotonic() - child.ready_at_s > HEALTHY_AFTER_S:
                child.backoff_s = BACKOFF_S_MIN
            child.state = "restarting"
            await asyncio.sleep(child.backoff_s)
            child.backoff_s = min(child.backoff_s * 2, BACKOFF_S_MAX)
            child.restarts += 1
            try:
                await self._launch(child)
            except (ServiceFailedError, OSError):  # its log and its state say so; tried again, later and later
                await _kill(child.process, timeout_s=0.0)

    async def _end(self, child: _Child) -> None:
        if child.watch is not None:
            child.watch.cancel()
            await asyncio.gather(child.watch, return_exceptions=True)
            child.watch = None
        if child.process is not None:
            child.exit_code = await _kill(child.process, timeout_s=child.service.stop_timeout_s)
        if child.drain is not None:
            await asyncio.gather(child.drain, return_exceptions=True)
        if child.state != "waiting":
            child.state = "stopped"


async def _kill(process: asyncio.subprocess.Process, *, timeout_s: float) -> int:
    """SIGTERM to the child, SIGKILL to all it started once the time is over; its exit code."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), timeout_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    return await process.wait()


def _pipe_with(secret: bytes) -> int:
    """The read end of a pipe that already holds ``secret``."""
    assert len(secret) <= SECRET_BYTES_MAX, "a secret must fit in a pipe"
    reader, writer = os.pipe()
    try:
        os.write(writer, secret)
    finally:
        os.close(writer)
    return reader


def _filled(argument: str, numbers: Mapping[str, str]) -> str:
    for place, number in numbers.items():
        argument = argument.replace(place, number)
    return argument


async def _newline_on(descriptor: int) -> None:
    """Returns when a byte comes; never returns when the other side closes without one (its end is seen elsewhere)."""
    loop = asyncio.get_running_loop()
    come: asyncio.Future[bool] = loop.create_future()

    def readable() -> None:
        loop.remove_reader(descriptor)
        if not come.done():
            come.set_result(bool(os.read(descriptor, 1)))

    loop.add_reader(descriptor, readable)
    try:
        if not await come:
            await loop.create_future()
    finally:
        loop.remove_reader(descriptor)


class _PrivateLog(RotatingFileHandler):
    """A rotated log that only its owner reads. One that cannot be opened is tried again at each line."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "a", LOG_BYTES_MAX, LOG_FILES_MAX, encoding="utf-8", delay=True, errors="replace")

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own name)
        """A full disk loses lines of the log; it must not stop the service, nor print what it said elsewhere."""
        del record


async def _drain(stream: asyncio.StreamReader, path: Path) -> None:
    """Copy what a child says into its log, line by line, until it ends."""
    log = _PrivateLog(path)
    try:
        pending = b""
        while chunk := await stream.read(LINE_BYTES_MAX):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > LINE_BYTES_MAX:
                lines, pending = [*lines, pending], b""
            for line in lines:
                _write(log, line)
        if pending:
            _write(log, pending)
    finally:
        log.close()


def _write(log: RotatingFileHandler, line: bytes) -> None:
    log.handle(logging.makeLogRecord({"msg": line.decode(errors="replace")}))
