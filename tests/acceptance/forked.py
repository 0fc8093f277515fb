"""Commands in processes forked from one that has Hygie in memory: most of what a short command costs is loading it.

A command stays a process of its own, with its arguments, environment, streams and exit code, and ends as any other.
What is not seen this way is how it loads; services, ``Installation.run`` and the demonstration start from nothing.

The parent sends (JSON: arguments and environment; three descriptors: output, errors, status) over a socket, and reads
the command's number, then its exit code, from the pipe of the status.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import BinaryIO

LOADED = ("hygie.cli.main", "hygie.start", "hygie.upkeep", "hygie.dossiers", "django.db.backends.postgresql.base")
MESSAGE_BYTES_MAX = 128 * 1024  # a command line and an environment; the socket takes 200 KiB


class Forker:
    """The parent's side of one process that forks."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line = [sys.executable, __file__, str(theirs.fileno())]
        environ = {**os.environ, "LC_ALL": "C.UTF-8"}  # of the streams, which are opened once
        self._process = subprocess.Popen(line, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environ)
        theirs.close()
        atexit.register(self.close)

    def close(self) -> None:
        """End it: it reads the end of its socket."""
        self._socket.close()
        self._process.wait()

    def run(
        self, words: Sequence[str], *, environ: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """``hygie`` with these words. Raises: subprocess.TimeoutExpired."""
        message = json.dumps([words, dict(environ)]).encode()
        assert len(message) <= MESSAGE_BYTES_MAX
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            reading, writing = os.pipe()
            with os.fdopen(reading, "rb", buffering=0) as status:
                try:
                    socket.send_fds(self._socket, [message], [out.fileno(), err.fileno(), writing])
                finally:
                    os.close(writing)
                code = _end(status, words, timeout_s)
            return subprocess.CompletedProcess(["hygie", *words], code, _text(out), _text(err))


def _end(status: BinaryIO, words: Sequence[str], timeout_s: float) -> int:
    """Wait until the command has ended. Returns its exit code."""
    said, until = b"", time.monotonic() + timeout_s
    while said.count(b"\n") < 2:
        if not select.select([status], [], [], max(until - time.monotonic(), 0))[0]:
            if said:
                os.kill(int(said.split()[0]), signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(words), timeout_s)
        more = status.read(64)
        assert more, "the process that forks is gone"
        said += more
    return int(said.split()[1])


def _text(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode()


@cache
def forker() -> Forker:
    """The one of this test process."""
    return Forker()


def load() -> None:
    """What commands use; no thread, no file, no connection."""
    for name in LOADED:
        importlib.import_module(name)
    setup = importlib.import_module("hygie.registers.orm").setup
    setup()
    gc.collect()
    gc.freeze()


def serve(link: socket.socket) -> None:
    """Fork a command for each message, until the parent is gone. Returns in a command's process only."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(link, MESSAGE_BYTES_MAX, 3)
        if not message:
            sys.exit(0)
        if os.fork() == 0:
            link.close()
            return _command(message, *descriptors)
        for one in descriptors:
            os.close(one)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue


def _command(message: bytes, out: int, err: int, status: int) -> None:
    """Fork again: the command, and who waits for it and tells how it ended. Returns in the command's process."""
    child = os.fork()
    if child:
        os.write(status, f"{child}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with suppress(BrokenPipeError):  # nobody waits any more: it took too long, and was killed
            os.write(status, f"{code}\n".encode())
        os._exit(0)
    os.close(status)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    words, environ = json.loads(message)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["hygie", *words]


if __name__ == "__main__":
    load()
    serve(socket.socket(fileno=int(sys.argv[1])))
    from hygie.cli.main import main

    main()
