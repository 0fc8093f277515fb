"""The examples of docs/formats are what the code writes and reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.base import seal
from hygie.base.actions import Action
from hygie.journal import checkpoint as c
from hygie.journal.entry import Entry, open_entry, seal_entry
from hygie.journal.leaf import disclosure_of, open_disclosed
from hygie.journal.merkle import leaf_hash

FORMATS = Path(__file__).resolve().parents[3] / "docs" / "formats"
MONTH_KEY = bytes(range(32))
ENTRY = Entry(
    Action.OBJECT_READ,
    "done",
    "access",
    1_795_478_400_123,
    tenant_id=bytes(range(16)),
    account="a1",
    subject=bytes(range(16, 32)),
    count=1,
)


def example(page: str, name: str) -> bytes:
    found = re.search(rf"```hex {name}\n(.*?)```", (FORMATS / page).read_text(), re.DOTALL)
    assert found, f"{page} has no example {name}"
    return bytes.fromhex(found[1])


def test_the_leaf_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = example("journal-entry.md", "leaf")
    assert open_entry(leaf, month_key=MONTH_KEY) == ENTRY
    disclosure = example("journal-entry.md", "disclosure")
    assert disclosure_of(leaf, month_key=MONTH_KEY) == disclosure
    body = open_disclosed(leaf, disclosure).decode()
    assert body in (FORMATS / "journal-entry.md").read_text()
    assert leaf_hash(leaf) == example("journal-entry.md", "leaf-hash")
    monkeypatch.setattr(seal.os, "urandom", lambda size: bytes(range(0x40, 0x40 + size)))
    assert seal_entry(ENTRY, month_key=MONTH_KEY) == leaf


def test_the_checkpoint_of_the_page() -> None:
    page = (FORMATS / "checkpoint.md").read_text()
    note = example("checkpoint.md", "checkpoint")
    log = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    witness = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    log_key = c.VerifierKey("hygie.example/journal", c.ED25519, log.public_key().public_bytes_raw())
    witness_key = c.VerifierKey("witness.example/w1", c.COSIGNATURE_V1, witness.public_key().public_bytes_raw())
    assert f"{log_key.encode()}\n{witness_key.encode()}\n" in page
    head = c.verify_checkpoint(note, log_key=log_key)
    assert (head.size, head.root) == (1, example("journal-entry.md", "leaf-hash"))
    at_s = c.verify_cosignature(note, witness_key=witness_key)
    text = c.note_text(head)
    assert note == c.signed_note(
        text,
        c.signature_line(log_key.name, log_key.key_id, log.sign(text)),
        c.cosignature_line(witness_key, at_s, witness.sign(c.cosigned_message(text, at_s))),
    )
