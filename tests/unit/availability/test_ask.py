"""A probe ends in time and says what a client would meet, whatever answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hygie.availability.ask import Door, Target, ask, read_target, read_url
from hygie.availability.errors import ProbeTargetError
from hygie.availability.minutes import DOWN, SLOW, UP
from hygie.server.certificates import own_certificate

READ = b'{"resourceType":"Patient","id":"p-1"}'
FOUND = b'{"resourceType":"Bundle","entry":[{}]}'


@contextmanager
def answering(tmp_path, *answers: bytes, drip: bool = False, wait_s: float = 0.0) -> Iterator[Door]:  # type: ignore[no-untyped-def]
    """A server with a certificate that answers each request with the next of these."""
    import ssl

    files = own_certificate(tmp_path, ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True) as sock:
                for answer in answers:
                    sock.recv(65_536)
                    time.sleep(wait_s)
                    for at in range(0, len(answer), 1 if drip else len(answer)):
                        sock.sendall(answer[at : at + (1 if drip else len(answer))])
                        time.sleep(0.05 if drip else 0)
                sock.recv(1)
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Door("127.0.0.1", listener.getsockname()[1], tmp_path / "ca.pem")
    finally:
        listener.close()


def http(status: int, body: bytes = b"{}") -> bytes:
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


ACCOUNT = Target("chu/prod", "token-of-the-probe", "Patient/p-1")


@pytest.mark.parametrize(
    ("answers", "target", "state", "reason"),
    [
        ((http(200),), Target("chu/prod"), UP, "200"),
        ((http(503),), Target("chu/prod"), DOWN, "http-503"),
        ((http(200, READ), http(200, FOUND)), ACCOUNT, UP, "200"),
        ((http(404),), ACCOUNT, DOWN, "read-404"),
        ((http(200, READ), http(500)), ACCOUNT, DOWN, "search-500"),
        ((http(200, READ), http(200, b'{"total":0}')), ACCOUNT, DOWN, "search-200"),
        ((http(200, b"{"),), ACCOUNT, DOWN, "answer"),
        ((http(200, b"[]"),), ACCOUNT, DOWN, "answer"),
        ((b"nothing of http\r\n\r\n",), Target("chu/prod"), DOWN, "answer"),
    ],
)
def test_what_a_client_would_meet(tmp_path, answers, target, state, reason) -> None:  # type: ignore[no-untyped-def]
    with answering(tmp_path, *answers) as door:
        seen = ask(door, target)
    assert (seen.state, seen.reason) == (state, reason)


def test_an_answer_byte_by_byte_ends_with_the_deadline(tmp_path) -> None:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    with answering(tmp_path, http(200, READ * 20), drip=True) as door:
        seen = ask(door, ACCOUNT, deadline_s=0.5)
    assert (seen.state, seen.reason) == (DOWN, "timeout")
    assert time.perf_counter() - began < 3


def test_a_late_answer_is_slow(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with answering(tmp_path, http(200), wait_s=2.1) as door:
        assert ask(door, Target("chu/prod")).state == SLOW


def test_a_certificate_that_no_client_trusts_is_down(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with answering(tmp_path, http(200)) as door:
        assert ask(Door(door.host, door.port), Target("chu/prod")).reason == "tls"
    assert ask(Door("127.0.0.1", 1), Target("chu/prod")).reason == "unreachable"


@pytest.mark.parametrize("text", ["", "chu", "chu/prod token", "Chu/prod", "chu/prod tokentoken Patient", "a/b c d e"])
def test_a_line_that_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ProbeTargetError):
        read_target(text)
    with pytest.raises(ProbeTargetError):
        read_url(text, None)
