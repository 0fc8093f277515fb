"""A SOC's collector in a process of its own: mutual TLS, messages counted in octets (RFC 5425).

It writes down which entries of the journal it took before it ends a connection, and so says that it took them.  It ends
by kill -9: what it had not written down then, it never took.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installation import free_port
from hygie.base.soc import SyslogExport
from hygie.watch.syslog_receiver import split
from tests.unit.watch.soc_receiver import Papers, papers

READ_BYTES = 262_144
_INDEX = re.compile(rb'hygie - journal \[\S+ origin="[^"]*" index="(\d+)"')


@dataclass(frozen=True, slots=True)
class Taken:
    """What came. lost: entries below a size that never did; twice: those that came again."""

    lost: int
    twice: int


class Collector:
    """One collector, that can be away. Args: folder: of its certificates and of what it took."""

    def __init__(self, folder: Path) -> None:
        self._files: Papers = papers(folder)
        self._into = folder / "taken"
        self._into.touch()
        self._port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def export(self, name: str = "bench") -> SyslogExport:
        """The settings that feed it."""
        files = self._files
        return SyslogExport(
            name=name,
            host="localhost",
            port=self._port,
            certificate=str(files.client),
            key=str(files.client_key),
            authority=str(files.authority),
            since="beginning",
        )

    def begin(self) -> None:
        """Take what comes; returns once it listens."""
        files = (self._files.server, self._files.server_key, self._files.authority, self._into)
        words = [sys.executable, "-m", "benchmarks.collector", str(self._port), *map(str, files)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError("the collector did not start")

    def leave(self) -> None:
        """Be gone at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def taken(self, size: int) -> Taken:
        """Of the first ``size`` entries of the journal."""
        found = array("Q")
        data = self._into.read_bytes()
        found.frombytes(data[: len(data) // 8 * 8])
        seen = {one for one in found if one < size}
        return Taken(size - len(seen), sum(1 for one in found if one < size) - len(seen))


@contextmanager
def collecting(folder: Path) -> Iterator[Collector]:
    """A collector that listens, gone at the end."""
    made = Collector(folder)
    made.begin()
    try:
        yield made
    finally:
        made.leave()


def main() -> None:
    """The process: port, certificate, key, the clients' authority, and the file of what was taken."""
    port, certificate, key, authority, into = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    kept = os.open(into, os.O_WRONLY | os.O_APPEND)
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        print("ready", flush=True)
        while True:
            link, _ = listener.accept()
            threading.Thread(target=_take, args=(link, context, kept), daemon=True).start()


def _take(link: socket.socket, context: ssl.SSLContext, kept: int) -> None:
    """One connection to its end."""
    with suppress(OSError), context.wrap_socket(link, server_side=True) as secure:
        buffer = bytearray()
        while data := secure.recv(READ_BYTES):
            buffer += data
        found = [_INDEX.search(one) for one in split(buffer)]
        os.write(kept, array("Q", [int(one[1]) for one in found if one is not None]).tobytes())
        secure.unwrap()


if __name__ == "__main__":
    main()
