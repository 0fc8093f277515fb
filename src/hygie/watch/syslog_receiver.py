"""Other machines send their syslog here: TLS with certificates on both sides, each message counted in octets.

Source: RFC 5425 (framing, section 4.3; certificates, sections 4.2 and 5).  Who sends is who the certificate says,
whatever the message claims.  A message is on the disk before the next is read; who sends too much is held up, not
dropped.  What is refused is counted, and told to the rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.base.host_logs import SyslogReceiverSettings
from hygie.server.certificates import CertificateFiles
from hygie.server.server import listen
from hygie.server.tls import LiveTls
from hygie.watch.syslog_spool import Spool

MESSAGE_BYTES_MAX = 16_384  # twice what RFC 5425 asks a receiver to take
READ_BYTES = 64 * 1024
CONNECTIONS_MAX = 256
SENDER_CONNECTIONS_MAX = 8  # of one certificate
HANDSHAKES_MAX = 32  # under way: strangers do not take the place of who is known
HANDSHAKE_S = 10.0
FRAME_S = 30.0  # from the first byte of a message to its last
IDLE_S = 3_600.0  # between two messages
RATE_PER_S = 2_000  # messages of one sender; more are read later
REFUSALS_MAX = 1_000  # different ones between two turns
REFUSALS_EVERY_S = 5.0
OPEN_AGAIN_S = 30.0
_COUNT = re.compile(rb"([1-9][0-9]{0,7})( ?)")

log = logging.getLogger("hygie.watch")


class FrameError(ValueError):
    """Bytes that are no message of RFC 5425; its text says what is wrong, in a word."""


def split(buffer: bytearray) -> list[bytes]:
    """Take the whole messages at the front out of a buffer. Raises: FrameError: there is none, and never will be."""
    found: list[bytes] = []
    at = 0
    while at < len(buffer):
        try:
            frame = _frame(buffer, at)
        except FrameError:
            if not found:
                raise
            break  # those before it are messages
        if frame is None:
            break
        begins, at = frame
        found.append(bytes(buffer[begins:at]))
    del buffer[:at]
    return found


def _frame(buffer: bytearray, at: int) -> tuple[int, int] | None:
    """Where a message begins and ends; None when it is not whole. Raises: FrameError."""
    head = _COUNT.match(buffer, at)
    if head is None:
        raise FrameError("framing")
    if int(head[1]) > MESSAGE_BYTES_MAX:
        raise FrameError("too-long")
    if not head[2]:
        if head.end() < len(buffer):
            raise FrameError("framing")
        return None
    end = head.end() + int(head[1])
    return (head.end(), end) if end <= len(buffer) else None


def names_of(certificate: Mapping[str, Any]) -> list[str]:
    """The names of a certificate that was verified: its DNS names, or its common name when it has none."""
    names = [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    return names or [str(value) for kind, value in subject if kind == "commonName"]


class SyslogReceiver:
    """The receiver of one installation. Args: files: certificate, key and the senders' authority."""

    def __init__(self, settings: SyslogReceiverSettings, files: CertificateFiles, spool: Spool, clock: Clock) -> None:
        self._settings = settings
        self._files = files
        self._spool = spool
        self._clock = clock
        self._senders = {one.lower(): one for one in settings.senders}
        self._refused: Counter[tuple[str, str, str]] = Counter()
        self._open: Counter[str] = Counter()
        self._shaking = 0
        self._rates: dict[str, _Rate] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = settings.port

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Until ``stop``. Where it cannot listen it says so to the rules, and tries again."""
        telling = asyncio.create_task(self._tell_refusals())
        try:
            while not stop.is_set():
                try:
                    tls = LiveTls(self._files, client_authorities=self._files.authority)
                    tls.context.verify_mode = ssl.CERT_REQUIRED
                    await self._serve(tls, stop, ready)
                except (OSError, HygieError) as error:
                    code = error.code if isinstance(error, HygieError) else type(error).__name__
                    log.error("syslog is not received: %s", code)
                    self._refuse("receiver.down", code)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), OPEN_AGAIN_S)
        finally:
            telling.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(telling, *self._tasks, return_exceptions=True)
            self._spool.close()

    async def _serve(self, tls: LiveTls, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        listener = listen(self._settings.address, self._settings.port)
        accepting = asyncio.create_task(self._accept(listener, tls.context))
        watching = asyncio.create_task(tls.watch())
        stopped = asyncio.create_task(stop.wait())
        try:
            self.port = listener.getsockname()[1]
            ready()
            await asyncio.wait((accepting, stopped), return_when=asyncio.FIRST_COMPLETED)
            if accepting.done():
                await accepting  # it only ends by an error
        finally:
            for task in (accepting, watching, stopped):
                task.cancel()
            await asyncio.gather(accepting, watching, stopped, return_exceptions=True)
            listener.close()

    async def _accept(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        """Raises: OSError."""
        while True:
            link, peer = await asyncio.get_running_loop().sock_accept(listener)
            if self._shaking >= HANDSHAKES_MAX or sum(self._open.values()) >= CONNECTIONS_MAX:
                self._refuse("sender.refused", "connections", str(peer[0]))
                link.close()
                continue
            task = asyncio.create_task(self._take(link, context, str(peer[0])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take(self, link: socket.socket, context: ssl.SSLContext, address: str) -> None:
        """One connection, from its handshake to its end."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_BYTES)
        self._shaking += 1
        try:
            secure, _ = await loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader), link, ssl=context, ssl_handshake_timeout=HANDSHAKE_S
            )
        except OSError as error:  # of TLS, of time and of the network
            reason = "certificate" if isinstance(error, ssl.SSLError) else "handshake"
            self._refuse("sender.refused", reason, address)
            link.close()
            return
        finally:
            self._shaking -= 1
        sender = next(
            (one for one in names_of(secure.get_extra_info("peercert") or {}) if one.lower() in self._senders), None
        )
        try:
            if sender is None:
                self._refuse("sender.refused", "name", address)
            elif self._open[sender.lower()] >= SENDER_CONNECTIONS_MAX:
                self._refuse("sender.refused", "connections", address, self._senders[sender.lower()])
            else:
                await self._read(reader, self._senders[sender.lower()], address)
        finally:
            secure.abort()  # nothing more is read, not even how politely it ends

    async def _read(self, reader: asyncio.StreamReader, sender: str, address: str) -> None:
        self._open[sender.lower()] += 1
        buffer = bytearray()
        try:
            await self._messages(reader, buffer, sender)
        except FrameError as error:
            self._refuse("sender.dropped", str(error), address, sender)
        except TimeoutError:
            if buffer:
                self._refuse("sender.dropped", "slow", address, sender)
        except OSError:  # the connection broke
            if buffer:
                self._refuse("sender.dropped", "broken", address, sender)
        else:
            if buffer:
                self._refuse("sender.dropped", "broken", address, sender)
        finally:
            self._open[sender.lower()] -= 1

    async def _messages(self, reader: asyncio.StreamReader, buffer: bytearray, sender: str) -> None:
        """Messages until the end. Raises: FrameError; TimeoutError: none for too long, or half of one; OSError."""
        loop = asyncio.get_running_loop()
        rate = self._rates.setdefault(sender, _Rate(loop.time()))
        until = loop.time() + IDLE_S
        while True:
            async with asyncio.timeout_at(until):
                data = await reader.read(READ_BYTES)
            if not data:
                return
            began = not buffer
            buffer += data
            while messages := split(buffer):
                began = True
                at_ms = self._clock.now_ms()
                await self._spool.put([{"at": at_ms, "host": sender, "line": _text(one)} for one in messages])
                await asyncio.sleep(rate.wait_s(len(messages), loop.time()))
            if not buffer:
                until = loop.time() + IDLE_S
            elif began:
                until = loop.time() + FRAME_S

    def _refuse(self, event: str, reason: str, address: str = "", sender: str = "") -> None:
        """Count what was refused: strangers do not fill the disk with it."""
        key = (event, reason, f"{address} {sender}")
        if key not in self._refused and len(self._refused) >= REFUSALS_MAX:
            key = (event, reason, " ")
        self._refused[key] += 1

    async def _tell_refusals(self) -> None:
        while True:
            await asyncio.sleep(REFUSALS_EVERY_S)
            told, self._refused = self._refused, Counter()
            lines: list[dict[str, object]] = []
            for (event, reason, whom), count in told.items():
                address, _, sender = whom.partition(" ")
                line = {"event": event, "reason": reason, "address": address, "host": sender, "count": count}
                lines.append({"at": self._clock.now_ms(), **line})
            if lines:
                await self._spool.put(lines)


class _Rate:
    """How long a sender waits so that it sends no more than so many a second."""

    def __init__(self, now_s: float) -> None:
        self._free_s = now_s

    def wait_s(self, count: int, now_s: float) -> float:
        """Seconds to wait after so many messages; a second's worth may come at once."""
        self._free_s = max(self._free_s, now_s - 1.0) + count / RATE_PER_S
        return max(self._free_s - now_s, 0.0)


def _text(message: bytes) -> str:
    return message.decode("utf-8", "replace").rstrip("\r\n\0")
