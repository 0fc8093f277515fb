"""Hostile bodies and headers against the FHIR face, over a real TLS socket: each is refused, nothing is stored."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from itertools import pairwise
from pathlib import Path

import pytest

from hygie.fhir.face_errors import BodiesBusyError
from hygie.fhir.requests import BodyReader, Call
from hygie.server.limits import Limits
from tests.unit.fhir.face_stage import BASE, Stage, patient, read_reply, staged

GZIP = {"content-encoding": "gzip"}


def bomb(size_bytes: int) -> bytes:
    """A gzip of ``size_bytes`` of white space around a resource."""
    packer = zlib.compressobj(9, wbits=31)
    made = packer.compress(b'{"resourceType":"Patient"')
    block = b" " * 1_000_000
    for _ in range(size_bytes // len(block)):
        made += packer.compress(block)
    return made + packer.compress(b"}") + packer.flush()


@pytest.mark.parametrize("path", ["/Patient", ""])
def test_zip_bombs_are_refused_while_they_are_small(tmp_path: Path, path: str) -> None:
    async def scenario(stage: Stage) -> None:
        for size_bytes in (20_000_000, 400_000_000):
            reply = await stage.ask("POST", path, bomb(size_bytes), headers=GZIP)
            assert (reply.status, reply.code) == (413, "HYG-375")
        assert not stage.vault.rows

    staged(tmp_path, scenario)


def test_oversized_bodies_announced_chunked_or_inflated(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        big = json.dumps(patient(text={"status": "empty", "div": "x" * 17_000_000})).encode()
        announced = await stage.ask("POST", "/Patient", big)
        assert (announced.status, announced.code) == (413, "HYG-375")
        inflated = await stage.ask("POST", "/Patient", gzip.compress(big, 1), headers=GZIP)
        assert inflated.status == 413
        reader, writer = await stage.open()
        writer.write(
            f"POST {BASE}/Patient HTTP/1.1\r\nhost: x\r\nauthorization: Bearer all\r\n"
            "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(17):
            writer.write(b"f4240\r\n" + b" " * 1_000_000 + b"\r\n")
        assert (await read_reply(reader)).status == 413
        writer.close()

    staged(tmp_path, scenario)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"resourceType":"Patient","extension":' + b'[{"url":"u","extension":' * 500 + b"}]" * 500 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"resourceType":"Patient","active":true,"active":false}', 400),
        (b'{"resourceType":"Patient","name":[{"family":"\xff\xfe"}]}', 400),
        (b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}', 400),
        (b'{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}', 400),
        (b'{"resourceType":"Patient","multipleBirthInteger":NaN}', 400),
        (b'{"resourceType":"Patient","multipleBirthInteger":1e999999999}', 400),
        (b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 5000 + b"}", 400),
        (b"", 400),
        (b"null", 400),
        (b'"Patient"', 400),
        (b'{"resourceType":"Patient"}garbage', 400),
        (b"\xef\xbb\xbf" + b'{"resourceType":"Patient"}', 400),
    ],
)  # fmt: skip
def test_broken_json_is_refused_with_an_outcome(tmp_path: Path, body: bytes, status: int) -> None:
    async def scenario(stage: Stage) -> None:
        for path in ("/Patient", ""):
            reply = await stage.ask("POST", path, body)
            assert reply.status in {status, 422}, reply.body
            assert reply.code.startswith("HYG-1")
        request = b'"request":{"method":"POST","url":"Patient"}'
        wrapped = b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":%b,%b}]}' % (body, request)
        inside = await stage.ask("POST", "", wrapped)
        assert inside.status in {400, 422}, inside.body
        assert not stage.vault.rows

    staged(tmp_path, scenario)


def test_hostile_headers_do_not_reach_the_answer(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        evil = await stage.ask(
            "POST", "/Patient", patient(), headers={"host": "evil.example/../x", "x-forwarded-host": "e"}
        )
        assert evil.headers["location"].startswith("https://127.0.0.1:")
        split = await stage.ask("GET", "/Patient/a%0d%0aset-cookie:x")
        assert split.status == 404
        assert "set-cookie" not in split.headers
        device = await stage.ask("GET", "/Patient/a", headers={"user-agent": "a\tb" + "\x01" * 3})
        assert device.status in {400, 404}
        assert not any("\x01" in permit.device for permit in stage.gate.admitted)

    staged(tmp_path, scenario)


def test_smuggled_lengths_are_refused(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        for extra in (
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "content-length: -1\r\n",
            "transfer-encoding: chunked, identity\r\n",
        ):
            reader, writer = await stage.open()
            writer.write(
                f"POST {BASE}/Patient HTTP/1.1\r\nhost: x\r\nauthorization: Bearer all\r\n{extra}\r\n".encode()
            )
            writer.write(b"0\r\n\r\nGET /x HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await read_reply(reader)).status == 400
            writer.close()
        assert not stage.vault.rows

    staged(tmp_path, scenario)


@pytest.mark.parametrize("token", ["", "authorization: Bearer stolen\r\n"])
def test_nobody_can_make_the_server_hold_a_bundle(tmp_path: Path, token: str) -> None:
    async def scenario(stage: Stage) -> None:
        reader, writer = await stage.open()
        writer.write(
            f"POST {BASE} HTTP/1.1\r\nhost: x\r\ncontent-type: application/fhir+json\r\n{token}"
            "content-length: 60000000\r\n\r\n".encode()
        )
        assert (await read_reply(reader)).status == 401  # answered before the body came
        writer.close()
        assert stage.gate.refused == ["HYG-260"]

    staged(tmp_path, scenario)


def test_a_bundle_of_too_many_entries_is_looked_at_no_further(tmp_path: Path) -> None:
    """Entries that are empty objects cost seconds in the exact comparison, which nothing of ours waited for."""

    async def scenario(stage: Stage) -> None:
        for entry in (b"{}", b'{"request":{"method":"GET","url":"Patient/1"}}'):
            body = b'{"resourceType":"Bundle","type":"batch","entry":[%b]}' % b",".join([entry] * 10_001)
            reply = await stage.ask("POST", "", body)
            assert (reply.status, reply.code) == (400, "HYG-172")
            assert reply.json["issue"][0]["expression"] == ["Bundle.entry"]

    staged(tmp_path, scenario)


@pytest.mark.parametrize("path", ["/Patient", "", "/transaction"])
def test_a_body_that_is_long_to_compare_holds_nobody_up(tmp_path: Path, path: str) -> None:
    """A member written twice calls for the exact comparison, in Python: half a second a megabyte."""
    many = b",".join([b'{"url":"a"}'] * 250_000)
    slow = b'{"resourceType":"Patient","extension":[%b,{"url":"a","url":"a"}]}' % many
    if path == "/transaction":
        request = b'"request":{"method":"POST","url":"Patient"}'
        slow = b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":%b,%b}]}' % (slow, request)
    elif path == "":
        many = b",".join([b'{"relation":"a","url":"a"}'] * 150_000)
        slow = b'{"resourceType":"Bundle","type":"batch","link":[%b,{"relation":"a","url":"a","url":"a"}]}' % many

    async def scenario(stage: Stage) -> None:
        asked = asyncio.create_task(stage.ask("POST", path.removesuffix("/transaction"), slow))
        longest_s, loop = 0.0, asyncio.get_running_loop()
        began = before = loop.time()
        while not asked.done():
            await asyncio.sleep(0.001)
            before, since = loop.time(), before
            longest_s = max(longest_s, before - since)
        assert (await asked).code == "HYG-171"
        assert longest_s < 0.5 * (before - began)

    staged(tmp_path, scenario)


def test_a_bundle_that_is_refused_whole_is_journaled(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        bad_read = b'"entry":[{"request":{"method":"GET","url":"Nothing/1"}}]}'
        bodies = [b"{", b'{"resourceType":"Bundle","type":"transaction",' + bad_read, b'{"resourceType":"Bundle"}']
        codes = [(await stage.ask("POST", "", body)).code for body in bodies]
        codes += [(await stage.ask("POST", "", b"x", headers=GZIP)).code]
        assert stage.vault.refusals == codes == ["HYG-171", "HYG-370", "HYG-173", "HYG-174"]
        denied = await stage.ask("POST", "", b"{", token="reader")
        assert (denied.status, stage.gate.refused) == (403, ["HYG-200"])

    staged(tmp_path, scenario)


def test_slow_bodies_get_an_outcome_and_the_connection_ends(tmp_path: Path) -> None:
    limits = Limits(body_grace_s=0.3, body_bytes_per_s=100_000, sweep_interval_s=0.1)

    async def scenario(stage: Stage) -> None:
        reader, writer = await stage.open()
        writer.write(
            f"POST {BASE}/Patient HTTP/1.1\r\nhost: x\r\nauthorization: Bearer all\r\n"
            'content-type: application/json\r\ncontent-length: 5000\r\n\r\n{"res'.encode()
        )
        reply = await read_reply(reader)
        assert (reply.status, reply.code) == (408, "HTTP-408")
        writer.close()
        assert (await stage.ask("GET", "/Patient/none")).status == 404

    staged(tmp_path, scenario, limits=limits)


def test_a_client_that_leaves_half_way_stores_nothing(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        for path in ("/Patient", "/Binary", ""):
            _, writer = await stage.open()
            writer.write(
                f"POST {BASE}{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer all\r\ncontent-type: "
                f"{'image/png' if path == '/Binary' else 'application/json'}\r\ncontent-length: 100\r\n\r\nabc".encode()
            )
            await asyncio.sleep(0.05)
            writer.transport.abort()
        await asyncio.sleep(0.1)
        assert not stage.vault.rows

    staged(tmp_path, scenario)


def test_bodies_held_at_once_are_bounded() -> None:
    async def main() -> None:
        reader = BodyReader(held_bytes_max=1000)
        gate = asyncio.Event()

        def call(size: int, *, wait: bool) -> Call:
            messages = [{"type": "http.request", "body": bytes(size), "more_body": wait}]

            async def receive() -> dict[str, object]:
                if not messages:
                    await gate.wait()
                    return {"type": "http.request", "body": b"", "more_body": False}
                return messages.pop(0)

            return Call("POST", "", {}, receive)

        first = asyncio.create_task(reader.read(call(600, wait=True), limit_bytes=5000))
        await asyncio.sleep(0)
        with pytest.raises(BodiesBusyError):
            await reader.read(call(600, wait=False), limit_bytes=5000)
        gate.set()
        assert len(await first) == 600
        assert len(await reader.read(call(600, wait=False), limit_bytes=5000)) == 600

    asyncio.run(main())


def test_sockets_that_never_shake_hands_are_bounded_and_hold_nobody_up(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", stage.port) for _ in range(100)]
        assert (await stage.ask("GET", "/metadata")).status == 200
        gone = await asyncio.gather(*(_closed(reader) for reader, _ in idle))
        assert gone.count(False) <= 20
        assert not any(later and not earlier for earlier, later in pairwise(gone)), "the oldest go first"
        for _, writer in idle:
            writer.close()

    staged(tmp_path, scenario, limits=Limits(handshakes=20, handshake_timeout_s=60.0))


async def _closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 2) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
