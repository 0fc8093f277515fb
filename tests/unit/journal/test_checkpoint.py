"""Signed notes, checkpoints and cosignatures: the specifications' own examples, and what must be refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hygie.journal import checkpoint as c
from hygie.journal.errors import CheckpointInvalidError, VerifierKeyError

# golang.org/x/mod/sumdb/note: the example of the package's documentation, an independent implementation.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

LOG = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
LOG_KEY = c.VerifierKey("hygie.example/journal", c.ED25519, LOG.public_key().public_bytes_raw())
WITNESS_KEY = c.VerifierKey("witness.example/w1", c.COSIGNATURE_V1, WITNESS.public_key().public_bytes_raw())
HEAD = c.Checkpoint("hygie.example/journal", 20852163, bytes(range(32)))


def note(head: c.Checkpoint = HEAD, key: Ed25519PrivateKey = LOG) -> bytes:
    text = c.note_text(head)
    return c.signed_note(text, c.signature_line(LOG_KEY.name, LOG_KEY.key_id, key.sign(text)))


def cosigned(at_s: int = 1679315147) -> bytes:
    signature = WITNESS.sign(c.cosigned_message(c.note_text(HEAD), at_s))
    return note() + c.cosignature_line(WITNESS_KEY, at_s, signature)


def test_a_note_signed_by_another_implementation_verifies() -> None:
    key = c.VerifierKey.parse(GO_KEY)
    assert key.encode() == GO_KEY
    parsed = c.parse_note(GO_NOTE)
    c._verify(key, parsed, lambda signature: (signature, parsed.text), size=64)
    altered = c.parse_note(GO_NOTE.replace(b"answer", b"Answer"))
    with pytest.raises(CheckpointInvalidError):
        c._verify(key, altered, lambda signature: (signature, altered.text), size=64)


def test_text_is_the_three_lines() -> None:
    root = base64.b64encode(bytes(range(32))).decode()
    assert c.note_text(HEAD) == f"hygie.example/journal\n20852163\n{root}\n".encode()
    assert c.cosigned_message(b"x\n", 1679315147) == b"cosignature/v1\ntime 1679315147\nx\n"


def test_checkpoint_and_cosignature_verify() -> None:
    assert c.verify_checkpoint(cosigned(), log_key=LOG_KEY) == HEAD
    assert c.verify_cosignature(cosigned(), witness_key=WITNESS_KEY) == 1679315147


def test_unknown_signatures_are_ignored_and_false_ones_refuse() -> None:
    stranger = c.signature_line("stranger.example", b"abcd", bytes(64))
    assert c.verify_checkpoint(note() + stranger, log_key=LOG_KEY) == HEAD
    same_name = c.signature_line(LOG_KEY.name, b"abcd", bytes(64))
    assert c.verify_checkpoint(note() + same_name, log_key=LOG_KEY) == HEAD
    false = c.signature_line(LOG_KEY.name, LOG_KEY.key_id, bytes(64))
    with pytest.raises(CheckpointInvalidError):
        c.verify_checkpoint(note() + false, log_key=LOG_KEY)


def test_a_log_signature_is_not_a_cosignature() -> None:
    as_witness = c.VerifierKey(LOG_KEY.name, c.COSIGNATURE_V1, LOG_KEY.public_key)
    with pytest.raises(CheckpointInvalidError):
        c.verify_cosignature(note(), witness_key=as_witness)


@given(st.integers(0, len(cosigned()) - 1), st.integers(1, 255))
def test_any_altered_byte_is_refused_or_changes_nothing(at: int, flip: int) -> None:
    data = cosigned()
    altered = data[:at] + bytes((data[at] ^ flip,)) + data[at + 1 :]
    try:
        head = c.verify_checkpoint(altered, log_key=LOG_KEY)
        c.verify_cosignature(altered, witness_key=WITNESS_KEY)
    except CheckpointInvalidError:
        return
    assert head == HEAD
    assert altered == data


@pytest.mark.parametrize(
    "text",
    [
        "origin\n5\n",
        "origin\n05\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "origin\n-5\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "origin\n٥\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "origin\n5\n" + base64.b64encode(bytes(31)).decode() + "\n",
        "origin\n5\n" + base64.b64encode(bytes(32)).decode().replace("=", "") + "\n",
        "\n5\n" + base64.b64encode(bytes(32)).decode() + "\n",
        f"origin\n{2**63}\n" + base64.b64encode(bytes(32)).decode() + "\n",
    ],
)
def test_texts_that_are_not_canonical_are_refused(text: str) -> None:
    with pytest.raises(CheckpointInvalidError):
        c.parse_checkpoint(text.encode())


@pytest.mark.parametrize(
    "data", [b"", b"a\n", b"a\n\n", b"a\n\nb\n", b"\xff\n\n", b"a\tb\n\n" + cosigned().split(b"\n\n")[1], bytes(70_000)]
)
def test_broken_notes_are_refused(data: bytes) -> None:
    with pytest.raises(CheckpointInvalidError):
        c.parse_note(data)


@pytest.mark.parametrize(
    "text", ["", "a", "a+b", GO_KEY.replace("c74f20a3", "c74f20a4"), "Peter Neumann+" + GO_KEY.split("+", 1)[1]]
)
def test_broken_verifier_keys_are_refused(text: str) -> None:
    with pytest.raises(VerifierKeyError):
        c.VerifierKey.parse(text)
