"""The HTTPS server: its own certificate, reloading, deadlines and caps, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from hygie.server.certificates import CertificateFiles, own_certificate
from hygie.server.errors import TlsFileError
from hygie.server.limits import Limits
from hygie.server.server import HttpServer, listen
from hygie.server.tls import LiveTls

QUICK = Limits(
    header_timeout_s=0.3, keep_alive_s=0.4, body_grace_s=0.3, body_bytes_per_s=1_000_000, sweep_interval_s=0.1,
    body_bytes=50_000, header_bytes=4_000, requests=2, drain_bytes=1_000, stalled_write_s=0.5, pipelined=4,
)  # fmt: skip


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the number of body bytes; /boom fails, /wait takes half a second, /big answers 20 MB."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    assert b"x-said" not in dict(scope["headers"])
    if scope["path"] == "/boom":
        raise RuntimeError("Jeanne Martin")
    if scope["path"] == "/wait":
        await asyncio.sleep(0.5)
    body = bytes(20_000_000) if scope["path"] == "/big" else str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def serving(
    tls: LiveTls | None = None, limits: Limits = QUICK, **options: Any
) -> AsyncIterator[tuple[HttpServer, int]]:
    server = HttpServer(echo, tls=tls, limits=limits, **options)
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(server.serve([listener]))
    port = listener.getsockname()[1]
    await server.started.wait()
    try:
        yield server, port
    finally:
        server.stop()
        await asyncio.wait_for(task, 10)


async def ask(port: int, raw: bytes, *, tls: ssl.SSLContext | None = None) -> bytes:
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
    try:
        writer.write(raw)
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 5)
        return b""
    finally:
        writer.close()


GET = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def test_own_certificate_is_accepted_by_a_strict_client(tmp_path: Path) -> None:
    files = own_certificate(tmp_path / "tls", ["hygie.test", "192.0.2.7"])
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tls" / "ca.key").stat().st_mode) == 0o600

    async def main() -> None:
        client = ssl.create_default_context(cafile=str(files.authority))
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        async with serving(LiveTls(files)) as (_, port):
            assert (await ask(port, GET, tls=client)).startswith(b"HTTP/1.1 200")
            with pytest.raises(ssl.SSLCertVerificationError):
                await ask(port, GET, tls=ssl.create_default_context())

    asyncio.run(main())


def test_own_certificate_is_kept_then_renewed(tmp_path: Path) -> None:
    files = own_certificate(tmp_path, ["a.test"])
    first = files.certificate.read_bytes()
    own_certificate(tmp_path, ["a.test"])
    assert files.certificate.read_bytes() == first
    own_certificate(tmp_path, ["a.test"], now=dt.datetime.now(dt.UTC) + dt.timedelta(days=380))
    second = files.certificate.read_bytes()
    assert second != first
    own_certificate(tmp_path, ["a.test", "b.test"], now=dt.datetime.now(dt.UTC) + dt.timedelta(days=380))
    names = x509.load_pem_x509_certificate(files.certificate.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert {"a.test", "b.test", "localhost"} <= set(names.value.get_values_for_type(x509.DNSName))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_old_tls_is_refused_and_weak_ciphers_too(tmp_path: Path, version: ssl.TLSVersion) -> None:
    files = own_certificate(tmp_path, [])

    async def main() -> None:
        client = ssl.create_default_context(cafile=str(files.authority))
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        if version is ssl.TLSVersion.TLSv1_2:
            client.set_ciphers("ECDHE-ECDSA-AES128-SHA256:AES128-SHA")
        else:
            with pytest.warns(DeprecationWarning, match="deprecated"):
                client.minimum_version = client.maximum_version = version
            client.set_ciphers("DEFAULT:@SECLEVEL=0")
        async with serving(LiveTls(files)) as (_, port):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await ask(port, GET, tls=client)

    asyncio.run(main())


def test_certificate_is_reloaded_without_restart_and_a_bad_pair_is_not_taken(tmp_path: Path) -> None:
    files = own_certificate(tmp_path / "one", [])
    other = own_certificate(tmp_path / "two", [])
    tls = LiveTls(files)

    async def main() -> None:
        before = ssl.create_default_context(cafile=str(files.authority))
        after = ssl.create_default_context(cafile=str(other.authority))
        async with serving(tls) as (server, port):
            assert b"200" in await ask(port, GET, tls=before)
            certificate = files.certificate.read_bytes()
            files.certificate.write_bytes(other.certificate.read_bytes())  # its key does not follow: half a replacement
            server.reload_certificate()
            assert tls.reloads == 0
            assert b"200" in await ask(port, GET, tls=before)
            files.key.write_bytes(other.key.read_bytes())
            assert tls.reload_if_changed()
            assert certificate != files.certificate.read_bytes()
            assert b"200" in await ask(port, GET, tls=after)
            with pytest.raises(ssl.SSLCertVerificationError):
                await ask(port, GET, tls=before)

    asyncio.run(main())


def test_own_certificate_cut_between_its_two_files_is_made_again(tmp_path: Path) -> None:
    files = own_certificate(tmp_path / "one", [])
    files.key.write_bytes(own_certificate(tmp_path / "two", []).key.read_bytes())
    LiveTls(own_certificate(tmp_path / "one", []))  # loads: the two belong together again


def test_own_authority_cut_between_its_two_files_is_made_again(tmp_path: Path) -> None:
    files = own_certificate(tmp_path / "one", [])
    other = own_certificate(tmp_path / "two", [])
    assert other.authority is not None
    (tmp_path / "one" / "ca.key").write_bytes((tmp_path / "two" / "ca.key").read_bytes())
    own_certificate(tmp_path / "one", ["new.test"])

    async def main() -> None:
        client = ssl.create_default_context(cafile=str(files.authority))
        async with serving(LiveTls(files)) as (_, port):
            assert (await ask(port, GET, tls=client)).startswith(b"HTTP/1.1 200")

    asyncio.run(main())


def test_files_that_change_while_they_are_loaded_are_a_refusal_not_an_accident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = own_certificate(tmp_path / "one", [])
    other = own_certificate(tmp_path / "two", [])
    tls, load = LiveTls(files), ssl.SSLContext.load_cert_chain

    def changing(self: ssl.SSLContext, *words: Any, **named: Any) -> None:
        load(self, *words, **named)
        files.key.write_bytes(other.key.read_bytes())  # behind the trial, before the context in service

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", changing)
    with pytest.raises(TlsFileError):
        tls.reload_if_changed(force=True)


def test_watch_outlives_a_renewal_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hygie.server.tls.WATCH_INTERVAL_S", 0.01)
    monkeypatch.setattr("hygie.server.tls.RENEW_INTERVAL_S", 0.0)

    async def main() -> None:
        loop, twice, calls = asyncio.get_running_loop(), asyncio.Event(), 0

        def full_disk() -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                loop.call_soon_threadsafe(twice.set)
            raise OSError(28, "no space")

        watch = asyncio.create_task(LiveTls(own_certificate(tmp_path, []), renew=full_disk).watch())
        await asyncio.wait_for(twice.wait(), 5)
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch

    asyncio.run(main())


def test_key_readable_by_others_is_refused(tmp_path: Path) -> None:
    files = own_certificate(tmp_path, [])
    files.key.chmod(0o644)
    with pytest.raises(TlsFileError):
        LiveTls(files)
    with pytest.raises(TlsFileError):
        LiveTls(CertificateFiles(tmp_path / "absent.pem", tmp_path / "absent.key"))


def test_two_processes_worth_of_listeners_share_a_port() -> None:
    first = listen("127.0.0.1", 0, share=True)
    second = listen("127.0.0.1", first.getsockname()[1], share=True)
    with first, second, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", first.getsockname()[1])


def test_slow_headers_get_408() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            for part in (b"", GET[:-4], GET[:1]):
                assert (await ask(port, part)).startswith(b"HTTP/1.1 408 Request Timeout\r\n")

    asyncio.run(main())


def test_slow_body_gets_408() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 40000\r\n\r\n" + bytes(10))
            assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408")
            writer.close()

    asyncio.run(main())


def test_idle_connection_is_closed_and_a_busy_one_kept() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(3):
                writer.write(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
                assert b"200" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                await reader.readexactly(1)
            assert await asyncio.wait_for(reader.read(), 3) == b""
            writer.close()

    asyncio.run(main())


def test_large_headers_get_431() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            whole = b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 5_000 + b"\r\n\r\n"
            assert (await ask(port, whole)).startswith(b"HTTP/1.1 431")
            endless = b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 100_000
            assert (await ask(port, endless)).startswith(b"HTTP/1.1 431")
            assert (await ask(port, b"GET /?" + b"a" * 5_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n")).startswith(
                b"HTTP/1.1 431"
            )

    asyncio.run(main())


def test_large_bodies_get_413_announced_or_not() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            announced = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n"
            assert (await ask(port, announced)).startswith(b"HTTP/1.1 413")
            chunk = b"2710\r\n" + bytes(10_000) + b"\r\n"
            chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 6
            assert (await ask(port, chunked)).startswith(b"HTTP/1.1 413")

    asyncio.run(main())


def test_too_many_requests_at_once_get_503_with_retry_after() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            wait = b"GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            answers = await asyncio.gather(*(ask(port, wait) for _ in range(5)))
            refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503")]
            assert len(refused) == 3
            assert all(b"retry-after: 1" in answer for answer in refused)

    asyncio.run(main())


def test_client_that_does_not_read_is_dropped() -> None:
    async def main() -> None:
        async with serving() as (server, port):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
                await asyncio.sleep(0.3)
                assert len(server._server.server_state.connections) == 1
                await asyncio.sleep(1.2)
                assert not server._server.server_state.connections

    asyncio.run(main())


def test_not_http_gets_400_and_a_failing_application_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving(access_log=True) as (_, port):
            assert (await ask(port, b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400")
            answer = await ask(port, b"GET /boom?name=Martin HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 500")
            assert b"Martin" not in answer

    with caplog.at_level("INFO"):
        asyncio.run(main())
    assert "Martin" not in caplog.text
    assert "RuntimeError" in caplog.text
    assert "GET - 500" in caplog.text


def test_pipelined_requests_are_answered_in_order() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            one = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b"
            head = b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"
            answer = await ask(port, b"".join((one % (3, b"abc"), head, one % (5, b"abcde"), GET)))
            assert answer.count(b"HTTP/1.1 200") == 4
            assert answer.index(b"\r\n\r\n3") < answer.index(b"\r\n\r\n5") < answer.rindex(b"\r\n\r\n0")

    asyncio.run(main())


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"


def test_a_client_that_waits_to_be_invited_is_invited() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
            invited = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert invited == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n3"), 5)).startswith(b"HTTP/1.1 200")
            writer.close()

    asyncio.run(main())


def test_trailers_are_bounded_and_are_no_headers() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            for trailers in (b"x-t: " + b"a" * 5_000, b"x-t: a\r\n" * 1_000):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(CHUNKED)
                await asyncio.sleep(0.1)
                writer.write(trailers)
                assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 431")
                writer.close()
            assert (await ask(port, CHUNKED + b"x-said: evil\r\n\r\n" + GET)).count(b"HTTP/1.1 200") == 2

    asyncio.run(main())


def test_headers_sent_while_an_answer_is_awaited_are_bounded() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            wait = b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(wait)
            await asyncio.sleep(0.1)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 100_000)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""  # closed before the answer was due
            writer.close()

    asyncio.run(main())


def test_a_refusal_is_never_read_as_the_answer_to_the_request_before() -> None:
    """What was before may have been stored: "refused" would be untrue of it."""
    large = b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 5_000 + b"\r\n\r\n"
    body = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n"
    slow = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"

    async def main() -> None:
        async with serving() as (_, port):
            wait = b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n"
            for behind in (large, body, b"\x16\x03\r\n\r\n"):
                assert await ask(port, wait + behind) == b""
            answers = await ask(port, wait + slow)
            assert [answers.count(b"HTTP/1.1 " + status) for status in (b"200", b"408")] == [1, 1]
            assert answers.startswith(b"HTTP/1.1 200")

    asyncio.run(main())


def test_what_comes_behind_a_refused_request_is_not_run(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving(access_log=True) as (_, port):
            large = b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 5_000 + b"\r\n\r\n"
            answer = await ask(port, large + b"DELETE / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 431")
            assert answer.count(b"HTTP/1.1") == 1

    with caplog.at_level("INFO"):
        asyncio.run(main())
    assert "DELETE" not in caplog.text


def test_requests_that_wait_on_one_connection_are_bounded() -> None:
    async def main() -> None:
        async with serving() as (_, port):
            one = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
            assert (await ask(port, one * 4 + GET)).count(b"HTTP/1.1 200") == 5
            assert await ask(port, one * 1_000) == b""

    asyncio.run(main())


def test_processes_that_start_together_agree_on_one_authority(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hygie.server.certificates import own_certificate; "
        "own_certificate(Path(sys.argv[1]), [])"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(4)]
    assert [process.wait(30) for process in running] == [0, 0, 0, 0]
    LiveTls(CertificateFiles(tmp_path / "server.pem", tmp_path / "server.key"))
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert len(context.get_ca_certs()) == 1
    chain = x509.load_pem_x509_certificates((tmp_path / "server.pem").read_bytes())
    assert chain[1] == x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
