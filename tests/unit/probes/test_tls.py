"""What a TLS server answers to a weak offer, whatever it is."""

from __future__ import annotations

import socket
import threading

import pytest

from hygie.probes.tls import offer


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x28", "refused"),
        (b"\x15\x03\x03\x00\x02\x01\x00", "unclear"),  # a warning
        (b"\x15\x03\x03\x00\x00", "unclear"),  # an empty record
        (b"\x16\x03\x03\x00\x00", "unclear"),
        (b"\x16\x03\x03\x00\x04\x02\x00\x00\x00", "accepted"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "unclear"),
        (b"\x15", "refused"),  # it hangs up
    ],
)
def test_any_first_record_has_a_word(answer: bytes, word: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert offer("127.0.0.1", server.getsockname()[1], 0x0301, [0x002F]) == word
        thread.join()
