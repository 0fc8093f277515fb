"""One request to a server that answers oddly, or never quite: a real socket, a byte at a time."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

import pytest

from hygie.gate.fetching import HEAD_BYTES_MAX, Fetched, fetch

TLS = ssl.create_default_context()
OK = b"HTTP/1.1 200 OK\r\n"


def asked(answer: bytes | Callable[[asyncio.StreamWriter], object], *, within_s: float = 5.0, **how: object) -> Fetched:
    """What is made of an answer, after which the server goes on saying nothing, or closes."""

    async def main() -> Fetched:
        served = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if isinstance(answer, bytes):
                writer.write(answer)
            while not isinstance(answer, bytes) and not writer.is_closing():
                answer(writer)
                await asyncio.sleep(0.02)
            writer.close()
            served.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys?a=b"
            try:
                return await fetch(url, tls=TLS, within_s=within_s, bytes_max=1_000, **how)  # type: ignore[arg-type]
            finally:
                await served.wait()

    return asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 2\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        OK + b"\r\nok",  # until it closes
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
    ],
)
def test_an_answer_ends_where_http_says(answer: bytes) -> None:
    assert asked(answer) == Fetched(200, "", b"ok")


def test_a_form_is_posted_and_answers_of_any_status_are_told() -> None:
    answer = b"HTTP/1.1 401 No\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n"
    assert asked(answer, body=b"a=b", headers={"accept": "*/*"}) == Fetched(401, "text/plain; charset=utf-8", b"")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        OK,
        OK + b"Content-Length: 9\r\n\r\nok",
        OK + b"Content-Length: 2000\r\n\r\n" + b"x" * 2_000,
        OK + b"X: " + b"x" * (HEAD_BYTES_MAX + 2_000) + b"\r\n\r\n",
        (OK + b"Content-Length: 2\r\n\r\nok") * 2,
    ],
)
def test_what_is_no_whole_answer_is_none(answer: bytes) -> None:
    with pytest.raises(OSError):  # noqa: PT011 (whatever it says)
        asked(answer)


@pytest.mark.parametrize("begin", [b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"])
def test_who_sends_a_byte_now_and_then_holds_nobody(begin: bytes) -> None:
    said = [begin]

    def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(said.pop() if said else b"0" if begin else b"H")

    began = time.monotonic()
    with pytest.raises(OSError):  # noqa: PT011
        asked(drip, within_s=0.3)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("url", ["http://a..b/", "http:///x", "http://127.0.0.1:1/é", "http://127.0.0.1:99999/"])
def test_an_address_that_is_none_is_an_answer_that_does_not_come(url: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011
        asyncio.run(fetch(url, tls=TLS, within_s=1, bytes_max=10))


def test_a_header_that_would_end_its_line_is_not_sent() -> None:
    header = {"authorization": "Bearer x\r\nhost: elsewhere"}
    with pytest.raises(OSError, match="ValueError"):  # before anybody is asked
        asyncio.run(fetch("http://127.0.0.1:1/", tls=TLS, within_s=1, bytes_max=10, headers=header))
