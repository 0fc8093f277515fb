"""Entries: they come back, they open only under their own key and head, and in one way only."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.actions import KINDS, Action
from hygie.base.seal import HEADER_BYTES, SealBrokenError, open_sealed
from hygie.journal.entry import ITEMS_MAX, OUTCOMES, Entry, open_entry, seal_entry, split_entry
from hygie.journal.errors import EntryTooLargeError, LeafInvalidError
from hygie.journal.leaf import HEAD_BYTES, disclosure_of, meaning_of, open_disclosed, read_head

KEY = bytes(range(32))
TEXT = st.text(max_size=20)
ENTRIES = st.builds(
    Entry,
    action=st.sampled_from(list(Action)),
    outcome=st.sampled_from(sorted(OUTCOMES)),
    kind=st.sampled_from(KINDS),
    at_ms=st.integers(0, 4_102_444_800_000),
    tenant_id=st.binary(min_size=16, max_size=16),
    environment_id=st.binary(min_size=16, max_size=16),
    account=TEXT,
    professional_id=TEXT,
    authentication=TEXT,
    on_behalf_of=TEXT,
    subject=st.binary(max_size=16),
    items=st.lists(st.tuples(TEXT, st.binary(min_size=16, max_size=16), st.integers(0, 2**31)), max_size=4).map(tuple),
    count=st.integers(0, 2**31),
    address=TEXT,
    device=TEXT,
    site=TEXT,
    purpose=TEXT,
    habilitation=TEXT,
    permit_id=st.binary(max_size=16),
    detail=st.dictionaries(TEXT, TEXT, max_size=3),
)


def an_entry(**fields: object) -> Entry:
    return Entry(action=Action.OBJECT_READ, outcome="done", kind="access", at_ms=1_795_478_400_123, **fields)  # type: ignore[arg-type]


@given(ENTRIES)
def test_entries_come_back(entry: Entry) -> None:
    leaf = seal_entry(entry, month_key=KEY)
    assert open_entry(leaf, month_key=KEY) == entry
    head = read_head(leaf)
    assert (head.kind, head.tenant_id, head.at_ms) == (entry.kind, entry.tenant_id, entry.at_ms)


def test_the_body_is_a_base_seal() -> None:
    leaf = seal_entry(an_entry(account="a"), month_key=KEY)
    opened = open_sealed(leaf[HEAD_BYTES:], key=KEY, meaning=meaning_of(leaf[:HEAD_BYTES]), bytes_max=65_535)
    assert opened == open_disclosed(leaf, disclosure_of(leaf, month_key=KEY))
    with pytest.raises(SealBrokenError):
        open_sealed(leaf[HEAD_BYTES:], key=KEY, meaning=b"", bytes_max=65_535)


@given(st.data())
def test_any_altered_byte_closes_the_leaf(data: st.DataObject) -> None:
    leaf = seal_entry(an_entry(account="someone"), month_key=KEY)
    at = data.draw(st.integers(0, len(leaf) - 1))
    altered = leaf[:at] + bytes((leaf[at] ^ data.draw(st.integers(1, 255)),)) + leaf[at + 1 :]
    with pytest.raises(LeafInvalidError):
        open_entry(altered, month_key=KEY)


def test_wrong_keys_do_not_open() -> None:
    leaf = seal_entry(an_entry(), month_key=KEY)
    with pytest.raises(LeafInvalidError):
        open_entry(leaf, month_key=bytes(32))
    other = seal_entry(an_entry(), month_key=KEY)
    with pytest.raises(LeafInvalidError):
        open_disclosed(leaf, disclosure_of(other, month_key=KEY))


def test_one_leaf_cannot_be_disclosed_two_ways() -> None:
    """Whoever makes the ciphertext may make AES-GCM open it under a second key: the commitment must still refuse.

    The attacker keeps the head, salt and commitment of a leaf and puts another box; or keeps the box and puts another
    commitment. Each leaf then has one disclosure at most, whatever the attacker computed.
    """
    leaf = seal_entry(an_entry(account="true"), month_key=KEY)
    second = os.urandom(32)
    import hmac

    meaning = meaning_of(leaf[:HEAD_BYTES])
    info = b"hygie seal v1\0" + meaning
    second_key = hmac.digest(second, info + b"\x01", "sha256")
    box = AESGCM(second_key).encrypt(bytes(12), b'{"action":"object:read","outcome":"done"}', b"HYS1\0" + meaning)
    forged = leaf[: HEAD_BYTES + HEADER_BYTES] + box
    for disclosure in (second, second_key, disclosure_of(leaf, month_key=KEY)):
        with pytest.raises(LeafInvalidError):
            open_disclosed(forged, disclosure)


def test_a_leaf_is_never_compressed() -> None:
    leaf = seal_entry(an_entry(purpose="a" * 5000), month_key=KEY)
    assert leaf[HEAD_BYTES + 4] == 0
    assert len(leaf) > 5000


def test_too_large_is_refused() -> None:
    with pytest.raises(EntryTooLargeError):
        seal_entry(an_entry(purpose="a" * 66_000), month_key=KEY)


def test_long_lists_are_cut_and_fit() -> None:
    items = tuple(("MedicationAdministration", os.urandom(16), 2**31) for _ in range(ITEMS_MAX * 2 + 1))
    parts = list(split_entry(an_entry(items=items, count=len(items))))
    assert [len(part.items) for part in parts] == [ITEMS_MAX, ITEMS_MAX, 1]
    assert sum((part.items for part in parts), ()) == items
    assert {part.count for part in parts} == {len(items)}
    for part in parts:
        seal_entry(part, month_key=KEY)


@pytest.mark.parametrize("fields", [{"outcome": "maybe"}, {"kind": "other"}, {"tenant_id": b"short"}])
def test_programming_mistakes_are_refused(fields: dict[str, object]) -> None:
    entry = Entry(**{"action": Action.OBJECT_READ, "outcome": "done", "kind": "access", "at_ms": 1, **fields})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown"):
        seal_entry(entry, month_key=KEY)
