"""Real receivers of notices on this machine: each keeps what it accepted, and can refuse or hang."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from hygie.server.certificates import CertificateFiles, own_certificate

KEY = b"a key of some thirty characters"
PASSWORD = "a password of the mail server"


@dataclass
class Receiver:
    """What came, and how it behaves. status: what the webhook answers; hang: it accepts and says nothing."""

    port: int = 0
    came: list[Any] = field(default_factory=list)
    status: int = 200
    hang: threading.Event = field(default_factory=threading.Event)
    asked: int = 0

    def held(self) -> None:
        """Wait while it hangs."""
        while self.hang.is_set():
            time.sleep(0.02)


def certificate(folder: Path) -> CertificateFiles:
    """The receivers' own, with its authority."""
    return own_certificate(folder / "receiver-tls", ["localhost"])


def server_tls(files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


def verified(header: str, body: bytes) -> bool:
    """Whether a webhook's signature holds, as its receiver checks it."""
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", header)
    if found is None or abs(time.time() - int(found[1])) > 300:
        return False
    wanted = hmac.new(KEY, found[1].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, found[2])


@contextmanager
def webhook(files: CertificateFiles) -> Iterator[Receiver]:
    """An HTTPS server that refuses what is not signed."""
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.asked += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.held()
            status = told.status if verified(self.headers["Hygie-Signature"], body) else 401
            if status == 200:
                told.came.append(json.loads(body))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"https://localhost:{told.port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 (its name)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # who hangs up is what some tests are about

    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = server_tls(files).wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        told.hang.clear()
        server.shutdown()
        server.server_close()


@contextmanager
def collector(files: CertificateFiles) -> Iterator[Receiver]:
    """A collector of logs over TLS, that reads lines counted in octets."""
    told = Receiver()
    listener = socket.create_server(("127.0.0.1", 0))
    told.port = listener.getsockname()[1]
    context = server_tls(files)

    def read(link: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(link, server_side=True) as secure:
            told.held()
            rest = b""
            while True:
                data = secure.recv(65536)
                if not data:
                    break
                rest += data
                while (found := re.match(rb"(\d+) ", rest)) and len(rest) >= found.end() + int(found[1]):
                    end = found.end() + int(found[1])
                    told.came.append(rest[found.end() : end])
                    rest = rest[end:]

    def accept() -> None:
        with suppress(OSError):
            while True:
                link, _ = listener.accept()
                told.asked += 1
                threading.Thread(target=read, args=(link,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield told
    finally:
        told.hang.clear()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def mail_server(files: CertificateFiles, *, wrapped: bool = False) -> Iterator[Receiver]:
    """A mail server of somebody else (aiosmtpd) that wants STARTTLS and a password. wrapped: TLS from the first byte,
    and no password."""
    told = Receiver()

    class Handler:
        async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
            self, _: object, __: Session, envelope: Envelope, address: str, ___: list[str]
        ) -> str:
            if address.startswith("nobody"):
                return "550 no such box"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, _: object, __: Session, envelope: Envelope) -> str:  # noqa: N802
            told.asked += 1
            if told.status != 200:
                return f"{told.status} not today"
            told.came.append(envelope)
            return "250 taken"

    def authenticate(*args: Any) -> AuthResult:
        given = args[-1]
        right = isinstance(given, LoginPassword) and given.password == PASSWORD.encode()
        return AuthResult(success=right, handled=right)

    context = server_tls(files)
    options: dict[str, Any] = {"ssl_context": context}
    if not wrapped:
        options = {"tls_context": context, "require_starttls": True, "auth_required": True}
        options["authenticator"] = authenticate
    with socket.create_server(("127.0.0.1", 0)) as free:
        told.port = free.getsockname()[1]
    server = Controller(Handler(), hostname="127.0.0.1", port=told.port, **options)
    server.start()
    try:
        yield told
    finally:
        server.stop()


@contextmanager
def mute() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def talking(words: bytes, *, pause_s: float) -> Iterator[int]:
    """A port that says the same again and again to whoever comes first."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def speak() -> None:
        with suppress(OSError):
            link, _ = listener.accept()
            with link:
                while not stop.wait(pause_s):
                    link.sendall(words)

    threading.Thread(target=speak, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        listener.close()
