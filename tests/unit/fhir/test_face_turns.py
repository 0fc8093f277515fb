"""Turns at the face: whatever is asked gives its turn back, slow senders hold none, bundles pay for what they hold."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hygie.base.actions import Action
from hygie.base.errors import RefusedError
from hygie.base.turns import Turns
from hygie.fhir import interactions
from tests.unit.fhir import face_stage
from tests.unit.fhir.face_stage import BASE, Reply, Stage, patient, read_reply, staged
from tests.unit.fhir.test_face_bundles import bundle, entry

SLOW = (
    f"POST {BASE}/Patient HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer all\r\n"
    "Content-Type: application/fhir+json\r\nContent-Length: 1000\r\n\r\n"
).encode()


def test_each_interaction_gives_its_turn_back(tmp_path: Path) -> None:
    turns = Turns(alone=1, shared=1, held_max=4)  # one that is not given back would block the next

    async def scenario(stage: Stage) -> None:
        made = await stage.ask("POST", "/Patient", patient())
        path = f"/Patient/{made.json['id']}"
        mixed = [entry("POST", "Patient", patient()), entry("GET", "Patient/absent"), entry("GET", "Patient?name=a")]
        reads = (
            path,
            "/Patient/absent",
            "/Patient?name=a",
            "/Patient?nonsense=1",
            f"{path}/_history",
            "/Patient/x/_history",
        )
        asked: list[tuple[str, str, Any]] = [("GET", one, None) for one in reads]
        asked += [
            ("PUT", path, {**patient(), "id": "other"}),
            ("POST", "/Patient", {"resourceType": "Patient", "birthDate": 3}),
            ("POST", "", bundle("transaction", *mixed)),
            ("POST", "", bundle("batch", *mixed)),
            ("DELETE", path, None),
        ]
        for method, where, body in asked:
            reply = await asyncio.wait_for(stage.ask(method, where, body), 10)
            assert reply.status < 500, (method, where, reply.body)
            assert turns._held == 0, (method, where)

    staged(tmp_path, scenario, turns=turns)


def test_who_sends_slowly_holds_no_turn(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        made = await stage.ask("POST", "/Patient", patient())
        slow = [await stage.open() for _ in range(3)]
        for _, writer in slow:
            writer.write(SLOW + b'{"resourceType":')
            await writer.drain()
        await asyncio.sleep(0.2)
        assert (await asyncio.wait_for(stage.ask("GET", f"/Patient/{made.json['id']}"), 10)).status == 200
        for _, writer in slow:
            writer.close()

    staged(tmp_path, scenario, turns=Turns(alone=1, shared=1))


def test_a_bundle_is_counted_by_its_entries(tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        entries = [entry("POST", "Patient", patient()) for _ in range(7)]
        assert (await stage.ask("POST", "", bundle("transaction", *entries))).status == 200
        assert stage.gate.weights == [7]
        assert (await stage.ask("POST", "", bundle("batch", *entries))).status == 200
        assert sum(stage.gate.weights) == 14

    staged(tmp_path, scenario)


def test_who_waited_long_for_a_turn_is_asked_again_whether_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactions, "STALE_S", 0.05)
    turns = Turns(alone=1, shared=1)

    async def scenario(stage: Stage) -> None:
        made = await stage.ask("POST", "/Patient", patient())
        held = await turns.take("acme/prod")
        waiting = asyncio.create_task(stage.ask("GET", f"/Patient/{made.json['id']}"))
        await asyncio.sleep(0.2)

        async def shut(*_: Any, **__: Any) -> None:
            raise RefusedError

        monkeypatch.setattr(stage.gate, "recognise", shut)  # its rights are withdrawn while it waits
        held.end()
        assert (await asyncio.wait_for(waiting, 10)).status == 403
        assert turns._held == 0

    staged(tmp_path, scenario, turns=turns)


JSON, FORM = "application/fhir+json", "application/x-www-form-urlencoded"
NAMED = b'{"resourceType":"Patient","id":"p1"}'
SLOWLY = {
    "create": ("POST", "/Patient", JSON, b'{"resourceType":"Patient"}'),
    "conditional create": ("POST", "/Patient", JSON + "\r\nIf-None-Exist: identifier=x", b'{"resourceType":"Patient"}'),
    "update": ("PUT", "/Patient/p1", JSON, NAMED),
    "conditional update": ("PUT", "/Patient?identifier=x", JSON, NAMED),
    "search": ("POST", "/Patient/_search", FORM, b"family=Dupont"),
    "content": ("POST", "/Binary", "application/pdf", b"%PDF" * 10),
    "content again": ("PUT", "/Binary/b1", "application/pdf", b"%PDF" * 10),
}


async def slowly(stage: Stage, asked: tuple[str, str, str, bytes], meanwhile: Any) -> Reply:
    """Send half of a body, do something, send the other half."""
    method, path, kind, body = asked
    reader, writer = await stage.open()
    head = f"{method} {BASE}{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer all\r\n"
    head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[:10])
    await asyncio.sleep(0.2)
    assert stage.gate.admitted
    meanwhile()
    writer.write(body[10:])
    reply = await asyncio.wait_for(read_reply(reader), 10)
    writer.close()
    return reply


@pytest.mark.parametrize("what", SLOWLY)
def test_who_sends_slowly_is_asked_again_before_what_he_sent_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(interactions, "STALE_S", 0.05)

    async def scenario(stage: Stage) -> None:
        async def shut(*_: Any, **__: Any) -> None:
            raise RefusedError

        reply = await slowly(stage, SLOWLY[what], lambda: monkeypatch.setattr(stage.gate, "recognise", shut))
        assert reply.status == 403
        assert not stage.vault.rows

    staged(tmp_path, scenario)


@pytest.mark.parametrize("what", ["update", "conditional update", "content again"])
def test_what_is_left_of_a_right_is_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """He may still update, and no longer create."""
    monkeypatch.setattr(interactions, "STALE_S", 0.05)
    left = face_stage.ALL - {Action.OBJECT_CREATE}

    async def scenario(stage: Stage) -> None:
        reply = await slowly(stage, SLOWLY[what], lambda: monkeypatch.setitem(face_stage.TOKENS, "all", left))
        assert reply.status == 403
        assert not stage.vault.rows

    staged(tmp_path, scenario)


def test_a_content_is_given_for_as_long_as_one_may_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "STALE_S", 0.05)

    async def scenario(stage: Stage) -> None:
        made = await stage.ask("POST", "/Binary", b"x" * 60_000_000, headers={"content-type": "application/pdf"})
        path = made.headers["location"].partition(BASE)[2].partition("/_history")[0]
        reader, writer = await stage.open()
        writer.write(f"GET {BASE}{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer all\r\n\r\n".encode())
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await asyncio.sleep(0.2)
        monkeypatch.delitem(face_stage.TOKENS, "all")
        got = await asyncio.wait_for(reader.read(-1), 10)
        assert len(got) < 50_000_000
        writer.close()

    staged(tmp_path, scenario)
