"""What a door accepts, by offers written by hand, against real servers of OpenSSL."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hygie.probes.suites import MODERN, accepted, doors, judged, name_of
from hygie.server.certificates import own_certificate
from hygie.server.tls import LiveTls


@contextmanager
def door(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port on which each connection is answered so."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    answer(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def of_context(context: ssl.SSLContext) -> Callable[[socket.socket], object]:
    return lambda connection: context.wrap_socket(connection, server_side=True).close()


def test_the_door_of_hygie_takes_modern_suites_only(tmp_path: Path) -> None:
    with door(of_context(LiveTls(own_certificate(tmp_path, ["127.0.0.1"])).context)) as port:
        found = accepted("127.0.0.1", port)
        seen = doors("127.0.0.1", port)
    assert set(found) == {"TLS 1.2", "TLS 1.3"}
    assert {one for taken in found.values() for one in taken} <= MODERN
    assert {name_of(one) for one in found["TLS 1.3"]} >= {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"}
    assert (seen["tls-versions"].state, seen["tls-versions"].value) == ("kept", "TLS 1.2, TLS 1.3")
    assert seen["tls-suites"].state == "kept"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_a_weak_door_is_told(tmp_path: Path) -> None:
    files = own_certificate(tmp_path, ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.set_ciphers("ECDHE+AES:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    with door(of_context(context)) as port:
        seen = doors("127.0.0.1", port)
    assert seen["tls-versions"].state == seen["tls-suites"].state == "not_kept"
    assert "TLS 1.0" in seen["tls-versions"].value
    assert "ECDHE-ECDSA-AES256-SHA" in seen["tls-suites"].value


def test_a_door_that_is_shut_odd_or_clear_is_not_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    assert doors("127.0.0.1", closed)["tls-suites"].value == "ConnectionRefusedError"
    for data in (
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x16\x03\x03\x00\x00",
        b"\x16\x03\x03\xff\xff\x02" + b"\xff" * 80,
    ):

        def answer(connection: socket.socket, data: bytes = data) -> None:
            connection.recv(4096)
            connection.sendall(data)

        with door(answer) as port:
            assert doors("127.0.0.1", port)["tls-versions"].state == "cannot_tell", data


def test_a_version_or_a_suite_of_old_is_not_kept() -> None:
    assert judged({"TLS 1.3": (0x1301,)})["tls-versions"].state == "kept"
    assert judged({"SSL 3.0": (0xC02F,)})["tls-versions"].state == "not_kept"
    assert judged({"TLS 1.2": (0x0005,)})["tls-suites"].value == "0x0005"
    assert judged({"TLS 1.2": (0x0005,)})["tls-suites"].state == "not_kept"
