"""The manifest says one thing, in one way, under one key."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.backups.errors import ManifestBrokenError
from hygie.backups.snapshot import Snapshot, attach, manifest_name, to_sign, verify_manifest
from hygie.base.canonical import canonical
from tests.unit.backups.stage import TestSigner, snapshot

PACKS = {f"packs/{'bb' * 16}/{number:012d}.pack": bytes([number]) * 10 for number in range(3)}
SIGNER = TestSigner()


def signed(draft: Snapshot, signer: TestSigner = SIGNER) -> bytes:
    return attach(draft, signature=signer.sign(to_sign(draft)), public_key=signer.public_key)


def sign_body(body: bytes) -> bytes:
    """A body signed by the right key, whatever it says."""
    signature = SIGNER.sign(canonical("hygie snapshot v1", body))
    return body + b"\n%s %s\n" % (base64.b64encode(SIGNER.public_key), base64.b64encode(signature))


def reason_of(raw: bytes, **options: object) -> str:
    with pytest.raises(ManifestBrokenError) as caught:
        verify_manifest(raw, public_keys=[SIGNER.public_key], **options)  # type: ignore[arg-type]
    return str(caught.value.facts["reason"])


def test_what_was_signed_is_read_back() -> None:
    draft = snapshot(7, PACKS, kms=b"state")
    opened = verify_manifest(signed(draft), public_keys=[SIGNER.public_key], name=manifest_name(draft))
    assert opened.snapshot == draft
    assert opened.public_key == SIGNER.public_key
    assert manifest_name(draft).endswith(f"z-{7:032x}.json")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_changed_byte_is_accepted(data: st.DataObject) -> None:
    raw = bytearray(signed(snapshot(7, PACKS)))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ManifestBrokenError):
        verify_manifest(bytes(raw), public_keys=[SIGNER.public_key])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2000))
def test_no_truncation_is_accepted(length: int) -> None:
    raw = signed(snapshot(7, PACKS))
    with pytest.raises(ManifestBrokenError):
        verify_manifest(raw[: min(length, len(raw) - 1)], public_keys=[SIGNER.public_key])


def test_another_key_is_refused_even_with_a_right_signature() -> None:
    stranger = TestSigner()
    raw = signed(snapshot(), stranger)
    assert reason_of(raw) == "unknown-key"
    verify_manifest(raw, public_keys=[SIGNER.public_key, stranger.public_key])


def test_a_signature_made_for_something_else_is_refused() -> None:
    body = msgspec.json.encode(snapshot())
    for message in (body, canonical("hygie erasure certificate v1", body)):
        line = b"%s %s" % (base64.b64encode(SIGNER.public_key), base64.b64encode(SIGNER.sign(message)))
        assert reason_of(body + b"\n" + line + b"\n") == "signature"


def test_one_content_has_one_encoding() -> None:
    body = msgspec.json.encode(snapshot(7, PACKS))
    verify_manifest(sign_body(body), public_keys=[SIGNER.public_key])
    assert reason_of(sign_body(body.replace(b'"number":7', b'"number": 7'))) == "not-canonical"
    assert reason_of(sign_body(body.replace(b'"number":7', b'"number":7,"number":7'))) == "not-canonical"
    assert reason_of(sign_body(body[:-1] + b',"extra":1}')) == "format"
    assert reason_of(sign_body(body.replace(b'"number":7', b'"number":0'))) == "format"
    assert reason_of(sign_body(b"{}")) == "format"
    assert reason_of(sign_body(body.replace(b"hygie-snapshot-1", b"hygie-snapshot-2"))) == "format"
    assert reason_of(sign_body(body) + b"more\n") == "format"


def test_an_old_manifest_under_a_new_name_is_found() -> None:
    old, new = snapshot(1, PACKS), snapshot(2, PACKS)
    assert reason_of(signed(old), name=manifest_name(new)) == "renamed"


def test_packs_out_of_order_or_twice_are_refused() -> None:
    draft = snapshot(1, PACKS)
    [part] = draft.environments
    for packs in (part.packs[::-1], [part.packs[0], part.packs[0]]):
        wrong = msgspec.structs.replace(draft, environments=[msgspec.structs.replace(part, packs=packs)])
        with pytest.raises(ManifestBrokenError):
            to_sign(wrong)
        assert reason_of(sign_body(msgspec.json.encode(wrong))) == "format"


def test_a_signature_that_does_not_fit_is_never_attached() -> None:
    draft = snapshot()
    with pytest.raises(ManifestBrokenError):
        attach(draft, signature=bytes(64), public_key=SIGNER.public_key)
