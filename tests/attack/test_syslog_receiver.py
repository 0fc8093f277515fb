"""The receiver of logs, in front of senders who lie, dawdle, flood or are strangers: T-68."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from hygie.base.clock import SystemClock
from hygie.base.host_logs import SyslogReceiverSettings
from hygie.server.certificates import CertificateFiles
from hygie.watch import syslog_receiver, syslog_spool
from hygie.watch.host_files import Place, read
from hygie.watch.host_lines import read_line
from hygie.watch.syslog_receiver import MESSAGE_BYTES_MAX, FrameError, SyslogReceiver, split
from hygie.watch.syslog_spool import PREFIX, Spool
from tests.unit.watch.authority import Authority

WAIT_S = 10.0
LINE = b"<86>1 2026-11-28T01:02:03Z web1 sshd 12 - - Accepted password for root from 192.0.2.7 port 51000 ssh2"


class Receiving:
    """A receiver on a loop of its own, as ``hygie watch`` runs it."""

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self.ours, self.strangers = Authority(folder / "ours"), Authority(folder / "strangers")
        self.folder = folder / "watch"
        server = self.ours.give("localhost")
        settings = SyslogReceiverSettings(
            address="127.0.0.1",
            port=port,  # any: settings that are read cannot ask for it
            certificate=str(server.certificate),
            key=str(server.key),
            authority=str(self.ours.file),
            senders=("web1", "web2"),
        )
        self.receiver = SyslogReceiver(settings, server, Spool(self.folder), SystemClock())
        self.sender = self.ours.give("web1")

    def lines(self) -> list[dict[str, Any]]:
        """All that was spooled."""
        found = []
        for path in sorted(self.folder.glob(f"{PREFIX}*")):
            found += [json.loads(one) for one in path.read_bytes().splitlines()]
        return found

    def messages(self) -> list[str]:
        return [one["line"] for one in self.lines() if "line" in one]

    def refusals(self) -> set[tuple[str, str]]:
        return {(one["event"], one["reason"]) for one in self.lines() if "event" in one}

    def wait(self, holds: Any) -> None:
        end_s = time.monotonic() + WAIT_S
        while not holds() and time.monotonic() < end_s:
            time.sleep(0.02)
        assert holds(), self.lines()[-5:]

    @contextmanager
    def link(self, files: CertificateFiles | None) -> Iterator[ssl.SSLSocket]:
        context = ssl.create_default_context(cafile=str(self.ours.file))
        if files is not None:
            context.load_cert_chain(files.certificate, files.key)
        plain = socket.create_connection(("127.0.0.1", self.receiver.port), timeout=WAIT_S)
        with context.wrap_socket(plain, server_hostname="localhost") as link:
            yield link


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(syslog_receiver, "REFUSALS_EVERY_S", 0.05)
        patch.setattr(syslog_receiver, "FRAME_S", 0.5)
        patch.setattr(syslog_receiver, "HANDSHAKE_S", 0.5)
        patch.setattr(syslog_spool, "AGAIN_S", 0.05)
        yield


@pytest.fixture
def receiving(tmp_path: Path, quick: None) -> Iterator[Receiving]:
    del quick
    made = Receiving(tmp_path)
    ready, ended = threading.Event(), threading.Event()
    held: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        held.append((asyncio.get_running_loop(), stop))
        await made.receiver.run(stop, ready.set)

    def thread() -> None:
        uvloop.run(run())
        ended.set()

    threading.Thread(target=thread, daemon=True).start()
    assert ready.wait(WAIT_S)
    yield made
    loop, stop = held[0]
    loop.call_soon_threadsafe(stop.set)
    assert ended.wait(WAIT_S)


def framed(message: bytes) -> bytes:
    return b"%d " % len(message) + message


def is_closed(link: ssl.SSLSocket) -> bool:
    try:
        return link.recv(1) == b""
    except ConnectionError:
        return True
    except ssl.SSLError as error:
        return not isinstance(error, ssl.SSLWantReadError)


def test_what_a_known_machine_sends_is_kept_under_its_own_name(receiving: Receiving) -> None:
    with receiving.link(receiving.sender) as link:
        for _ in range(300):
            link.sendall(framed(LINE.replace(b"web1", b"paris-db")))
        link.sendall(framed(LINE)[:20])
        link.sendall(framed(LINE)[20:])
        receiving.wait(lambda: len(receiving.messages()) == 301)
    assert {one["host"] for one in receiving.lines()} == {"web1"}
    piece = read(Place(receiving.folder / PREFIX, family=True), None)
    said = read_line("received", piece.lines[0])
    assert said is not None
    assert (said.host, said.event) == ("web1", "login.accepted")


@pytest.mark.parametrize("who", ["nobody", "stranger", "self-named"])
def test_who_is_not_known_sends_nothing(receiving: Receiving, who: str) -> None:
    files = {
        "nobody": None,
        "stranger": receiving.strangers.give("web1"),
        "self-named": receiving.ours.give("db9"),
    }[who]
    with suppress(OSError), receiving.link(files) as link:
        link.sendall(framed(LINE))
        assert is_closed(link)
    reason = "name" if who == "self-named" else "certificate"
    receiving.wait(lambda: ("sender.refused", reason) in receiving.refusals())
    assert receiving.messages() == []


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"4294967296 ", "too-long"),
        (b"%d " % (MESSAGE_BYTES_MAX + 1), "too-long"),
        (b"9" * 1_000_000, "too-long"),
        (b"<34>1 - - - - - - no count\n", "framing"),
        (b"0 ", "framing"),
        (b"-5 abc", "framing"),
        (b"12x", "framing"),
    ],
)
def test_a_frame_that_is_none_ends_the_connection_and_is_told(receiving: Receiving, sent: bytes, reason: str) -> None:
    with receiving.link(receiving.sender) as link:
        link.sendall(framed(LINE))
        with suppress(OSError):  # it may end before all is sent
            link.sendall(sent)
        assert is_closed(link)
    receiving.wait(lambda: ("sender.dropped", reason) in receiving.refusals())
    assert receiving.messages() == [LINE.decode()]


def test_line_breaks_inside_a_message_begin_no_other_line(receiving: Receiving) -> None:
    forged = LINE + b'\n{"at":1,"host":"web2","line":"x"}\r\n\0' + b"\xff\xe2\x80\xa8" + LINE
    with receiving.link(receiving.sender) as link:
        link.sendall(framed(forged))
        receiving.wait(lambda: len(receiving.lines()) == 1)
    assert [one["host"] for one in receiving.lines()] == ["web1"]


def test_who_dawdles_is_cut_and_others_are_heard(receiving: Receiving) -> None:
    with receiving.link(receiving.sender) as slow, receiving.link(receiving.ours.give("web2")) as other:
        slow.sendall(b"500 <34>")
        end_s = time.monotonic() + 5
        with suppress(OSError):
            while time.monotonic() < end_s:
                slow.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() < end_s
        other.sendall(framed(LINE))
        receiving.wait(lambda: ("sender.dropped", "slow") in receiving.refusals())
        receiving.wait(lambda: receiving.messages() == [LINE.decode()])


def test_who_says_nothing_before_tls_is_cut(receiving: Receiving) -> None:
    with socket.create_connection(("127.0.0.1", receiving.receiver.port), timeout=WAIT_S) as link:
        assert link.recv(1) == b""
    receiving.wait(lambda: ("sender.refused", "handshake") in receiving.refusals())


def test_half_a_message_at_the_end_is_told(receiving: Receiving) -> None:
    with receiving.link(receiving.sender) as link:
        link.sendall(framed(LINE) + framed(LINE)[:30])
        receiving.wait(lambda: len(receiving.messages()) == 1)
    receiving.wait(lambda: ("sender.dropped", "broken") in receiving.refusals())


def test_one_sender_has_few_connections(receiving: Receiving) -> None:
    links = []
    try:
        for _ in range(syslog_receiver.SENDER_CONNECTIONS_MAX + 1):
            links.append(receiving.link(receiving.sender))
            links[-1].__enter__()
        receiving.wait(lambda: ("sender.refused", "connections") in receiving.refusals())
    finally:
        for one in links:
            one.__exit__(None, None, None)


def test_a_flood_is_held_up_and_loses_nothing(receiving: Receiving, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full for a while: nothing is read meanwhile, so that the sender waits."""
    writes = 0
    real = Spool._write_alone

    def full(self: Spool, data: bytes) -> bool:
        nonlocal writes
        writes += 1
        return writes > 5 and real(self, data)

    monkeypatch.setattr(Spool, "_write_alone", full)
    with receiving.link(receiving.sender) as link:
        sent = [b"%s %d" % (LINE, number) for number in range(5_000)]
        link.sendall(b"".join(map(framed, sent)))
        receiving.wait(lambda: len(receiving.messages()) == len(sent))
    assert receiving.messages() == [one.decode() for one in sent]


def test_an_address_that_is_taken_is_told(tmp_path: Path, quick: None) -> None:
    del quick
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made = Receiving(tmp_path, port=taken.getsockname()[1])

        async def run() -> None:
            stop = asyncio.Event()
            running = asyncio.create_task(made.receiver.run(stop))
            await asyncio.to_thread(made.wait, lambda: ("receiver.down", "OSError") in made.refusals())
            stop.set()
            await running

        asyncio.run(run())


def test_frames_come_apart_wherever_they_are_cut() -> None:
    whole = framed(b"a") + framed(b"12 34") + framed(b"\n")
    for at in range(len(whole)):
        buffer = bytearray(whole[:at])
        found = split(buffer)
        buffer += whole[at:]
        assert found + split(buffer) == [b"a", b"12 34", b"\n"]
        assert not buffer
    with pytest.raises(FrameError):
        split(bytearray(b"x"))
