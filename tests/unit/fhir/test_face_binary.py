"""Binary over HTTPS: streamed in and out, by ranges, or as a resource."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.fhir.face_stage import BASE, MemoryContent, Stage, read_reply, staged

PDF = {"content-type": "application/pdf"}


def test_raw_content_in_and_out_announced_and_chunked(tmp_path: Path) -> None:
    data = os.urandom(3_000_001)

    async def scenario(stage: Stage) -> None:
        made = await stage.ask("POST", "/Binary", data, headers=PDF)
        assert (made.status, made.body) == (201, b"")
        path = made.headers["location"].partition(BASE)[2].partition("/_history")[0]
        got = await stage.ask("GET", path)
        assert (got.status, got.headers["content-type"], got.body == data) == (200, "application/pdf", True)
        assert got.headers["content-disposition"] == "attachment"
        assert "sandbox" in got.headers["content-security-policy"]
        head = await stage.ask("HEAD", path)
        assert (head.headers["content-length"], head.body) == (str(len(data)), b"")
        reader, writer = await stage.open()
        writer.write(
            f"PUT {BASE}/Binary/b1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer all\r\ncontent-type: image/png\r\n"
            "transfer-encoding: chunked\r\n\r\n".encode()
        )
        for at in range(0, len(data), 100_000):
            piece = data[at : at + 100_000]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert (await read_reply(reader)).status == 201
        writer.close()
        assert hashlib.sha256((await stage.ask("GET", "/Binary/b1")).body).digest() == hashlib.sha256(data).digest()

    staged(tmp_path, scenario)


@pytest.mark.parametrize(
    ("asked", "status", "expected", "shown"),
    [
        ("bytes=0-9", 206, slice(0, 10), "bytes 0-9/1000"),
        ("bytes=990-", 206, slice(990, 1000), "bytes 990-999/1000"),
        ("bytes=-5", 206, slice(995, 1000), "bytes 995-999/1000"),
        ("bytes=-5000", 206, slice(0, 1000), "bytes 0-999/1000"),
        ("bytes=500-9999", 206, slice(500, 1000), "bytes 500-999/1000"),
        ("bytes=1000-", 416, None, "bytes */1000"),
        ("bytes=9-2", 416, None, "bytes */1000"),
        ("bytes=-0", 416, None, "bytes */1000"),
        ("bytes=0-1,5-6", 200, slice(0, 1000), None),
        ("lines=1-2", 200, slice(0, 1000), None),
        ("bytes=-", 200, slice(0, 1000), None),
    ],
)
def test_ranges(tmp_path: Path, asked: str, status: int, expected: slice | None, shown: str | None) -> None:
    data = bytes(n % 251 for n in range(1000))

    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Binary/b1", data, headers=PDF)
        reply = await stage.ask("GET", "/Binary/b1", headers={"range": asked})
        assert reply.status == status
        assert reply.headers.get("content-range") == shown
        if expected is not None:
            assert reply.body == data[expected]
        whole = await stage.ask("GET", "/Binary/b1", headers={"range": asked, "if-range": 'W/"7"'})
        assert (whole.status, whole.body) == (200, data)

    staged(tmp_path, scenario)


def test_as_a_resource_both_ways(tmp_path: Path) -> None:
    data = os.urandom(1000)

    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Binary/raw", data, headers=PDF | {"x-security-context": "Patient/p1"})
        json_accept = {"accept": "application/fhir+json"}
        shown = await stage.ask("GET", "/Binary/raw", headers=json_accept)
        assert shown.json["contentType"] == "application/pdf"
        assert base64.b64decode(shown.json["data"]) == data
        assert shown.json["securityContext"] == {"reference": "Patient/p1"}
        resource = {
            "resourceType": "Binary",
            "id": "res",
            "contentType": "text/csv",
            "data": base64.b64encode(data).decode(),
        }
        made = await stage.ask("PUT", "/Binary/res", resource)
        assert made.status == 201
        raw = await stage.ask("GET", "/Binary/res", headers={"range": "bytes=10-19"})
        assert (raw.status, raw.headers["content-type"], raw.body) == (206, "text/csv", data[10:20])
        assert (await stage.ask("GET", "/Binary/res", headers=json_accept)).json["data"] == resource["data"]
        assert (await stage.ask("GET", "/Binary/res/_history/1")).body == data
        await stage.ask("DELETE", "/Binary/res")
        assert (await stage.ask("GET", "/Binary/res")).status == 410

    staged(tmp_path, scenario)


def test_a_part_is_never_packed(tmp_path: Path) -> None:
    data = bytes(20_000)
    resource = {"resourceType": "Binary", "id": "b1", "contentType": "text/csv"}

    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Binary/b1", resource | {"data": base64.b64encode(data).decode()})
        part = await stage.ask("GET", "/Binary/b1", headers={"range": "bytes=5-9999", "accept-encoding": "gzip"})
        assert (part.status, part.body) == (206, data[5:10_000])
        assert "content-encoding" not in part.headers

    staged(tmp_path, scenario)


def test_a_content_is_opened_no_further_than_its_client_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    async def pieces(self: MemoryContent, start: int, stop: int) -> AsyncIterator[bytes]:
        nonlocal read
        for at in range(start, stop, 1 << 16):
            await asyncio.sleep(0)
            read += 1 << 16
            yield self.data[at : min(stop, at + (1 << 16))]

    async def scenario(stage: Stage) -> None:
        await stage.ask("PUT", "/Binary/b1", bytes(60_000_000), headers=PDF)
        monkeypatch.setattr(MemoryContent, "read", pieces)
        ask = f"GET {BASE}/Binary/b1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer all\r\n\r\n".encode()
        for asked in (ask, ask + ask):  # one answer awaited, and two
            nonlocal read
            read = 0
            reader, writer = await stage.open()
            writer.write(asked)
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            before = -1
            while before < read:
                before = read
                await asyncio.sleep(0.2)
            assert read < 40_000_000

    staged(tmp_path, scenario)


def test_refusals_of_raw_contents(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        for headers in ({"content-type": "text/plain\x7f"}, {"content-type": "a" * 300}, {"content-type": "é/x"}):
            assert (await stage.ask("POST", "/Binary", b"x", headers=headers)).status == 400
        assert (await stage.ask("POST", "/Binary", b"x", headers=PDF | {"content-encoding": "gzip"})).status == 415
        big = await stage.ask("POST", "/Binary", b"x", headers=PDF | {"content-length": str((1 << 30) + 1)})
        assert (big.status, big.code) == (413, "HYG-153")
        await stage.ask("PUT", "/Binary/b1", b"one", headers=PDF)
        assert (await stage.ask("PUT", "/Binary/b1", b"two", headers=PDF | {"if-match": 'W/"3"'})).status == 412
        assert (await stage.ask("POST", "/Binary", b"x", headers=PDF, token="reader")).status == 403
        empty = await stage.ask("PUT", "/Binary/b2", b"", headers=PDF)
        assert empty.status == 201
        assert (await stage.ask("GET", "/Binary/b2")).body == b""
        assert (await stage.ask("GET", "/Binary/b2", headers={"accept": "application/fhir+json"})).status == 200

    staged(tmp_path, scenario)


def test_a_condition_on_raw_content_is_refused_not_passed_over(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        reply = await stage.ask("POST", "/Binary", b"%PDF", headers={**PDF, "if-none-exist": "_id=b1"})
        assert reply.status == 400
        assert reply.json["issue"][0]["details"]["coding"][0]["code"] == "HYG-174"
        assert stage.vault.rows == []

    staged(tmp_path, scenario)
