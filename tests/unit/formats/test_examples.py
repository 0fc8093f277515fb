"""The examples of docs/formats are what the code writes and reads, from fixed keys and a fixed generator."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import re
from pathlib import Path

import pytest

from hygie.base.actions import Action
from hygie.base.canonical import canonical
from hygie.base.permit import Permit, Place
from hygie.base.seal import HEADER_BYTES, OVERHEAD_BYTES, SealBrokenError, open_sealed, seal
from hygie.keys.hierarchy import Environment
from hygie.keys.state import EnvironmentBody, EnvironmentRecord, EpochKey
from hygie.proof.errors import ReferentialRefusedError
from hygie.proof.referentials.encoding import canonical_json
from hygie.proof.referentials.importing import read_referential
from hygie.proof.referentials.model import (
    Crosswalk,
    Expected,
    ImplementationGroup,
    Kind,
    Link,
    Mode,
    Referential,
    Relation,
    Requirement,
    Standing,
)
from hygie.proof.referentials.shipped import ISO27001, shipped
from hygie.vault.blobs import CHUNK_BYTES, chunk_meaning, chunk_name
from hygie.vault.catalogue import RANK_BITS, ObjectRow
from hygie.vault.compartments import CompartmentRow, NewCompartment
from hygie.vault.context import EnvironmentContext
from hygie.vault.errors import PackFormatError
from hygie.vault.model import STREAM_BYTES_MAX, Blob, NewObject
from hygie.vault.pack import FOOTER, HEADER, check_pack, pack_name, read_table
from hygie.vault.patient_sets import member_mac
from hygie.vault.payload import PAYLOAD_BYTES_MAX, Head, decode_payload, encode_payload, object_meaning
from hygie.vault.planning import Plan, PlannedVersion
from hygie.vault.sealing import seal_group
from hygie.vault.tokens import BlindIndex, lock_key, type_code

FORMATS = Path(__file__).resolve().parents[3] / "docs" / "formats"
PAGES = ("canonical.md", "sealed.md", "pack.md", "object.md", "blob.md", "catalogue.md")


def counting(first: int, size: int) -> bytes:
    """The bytes ``first``, ``first + 1``, … as the pages write them."""
    return bytes(range(first, first + size))


PLACE = Place(counting(0x00, 16), counting(0x10, 16), "hygie_env_1")
ID_KEY, INDEX_KEY = counting(0x20, 32), counting(0x40, 32)
COMPARTMENT, COMPARTMENT_KEY = counting(0xA0, 16), counting(0x60, 32)
PACK_KEY, EPOCH_KEY = counting(0x80, 32), counting(0xC0, 32)
AT_MS = 1_795_478_400_123
INDEX = BlindIndex(id_key=ID_KEY, index_key=INDEX_KEY)
TERM = "Patient.active\x1fttrue"
BODY = b'{"resourceType":"Patient","id":"p1","active":true}'
NUMBER = 1


@pytest.fixture(autouse=True)
def _fixed_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system generator draws 40 41 42 … each time: salts and nonces of the pages."""
    monkeypatch.setattr(os, "urandom", lambda size: counting(0x40, size))


def example(page: str, name: str) -> bytes:
    found = re.search(rf"```hex {name}\n(.*?)```", (FORMATS / page).read_text(), re.DOTALL)
    assert found, f"{page} has no example {name}"
    return bytes.fromhex(found[1])


def text(page: str) -> str:
    return (FORMATS / page).read_text()


def made_canonical() -> bytes:
    return canonical("object", b"\x0a\x0b", 258)


def made_sealed() -> bytes:
    return seal("Hygie, déesse de la santé".encode(), key=counting(0, 32), meaning=canonical("example"))


def wrapped() -> bytes:
    epoch = EpochKey(1, EPOCH_KEY, AT_MS, 0, 0)
    record = EnvironmentRecord(PLACE.environment_id, bytes(32), AT_MS, None, b"")
    environment = Environment(PLACE.tenant_id, record, EnvironmentBody(bytes(32), [epoch], []))
    return environment.wrap([(COMPARTMENT, COMPARTMENT_KEY)])[0]


def context() -> EnvironmentContext:
    """What sealing needs of an environment; it reaches no site and no key service."""
    return EnvironmentContext(
        place=PLACE,
        index=INDEX,
        compartments=None,  # type: ignore[arg-type]
        sites=None,  # type: ignore[arg-type]
        pack_key=PACK_KEY,
        cursor_key=bytes(32),
    )


def made_pack() -> tuple[bytes, bytes, list[ObjectRow]]:
    """A pack of one Patient, the first object of its compartment."""
    one = NewObject("Patient", "p1", BODY, [TERM], ("p1",), new=True)
    subject = INDEX.subject("patient", ("p1",))
    permit: Permit = None  # type: ignore[assignment]  (sealing asks nothing of it)
    version = PlannedVersion(
        permit, one, INDEX.object_id("Patient", "p1"), 1, AT_MS, Action.OBJECT_CREATE, subject, COMPARTMENT
    )
    row = CompartmentRow(COMPARTMENT, subject, 1, wrapped(), kind=1)
    plan = Plan(NUMBER, AT_MS, [version], created=[NewCompartment(row, [])], keys={COMPARTMENT: COMPARTMENT_KEY})
    return asyncio.run(seal_group(context(), plan))


def made_payload() -> bytes:
    return encode_payload(Head("Patient", "p1", 1, AT_MS, False, INDEX.term(TERM)), BODY)


def made_chunk() -> tuple[bytes, Blob]:
    blob = Blob(counting(0xE0, 16), COMPARTMENT, 5, 1)
    return seal(b"Hygie", key=COMPARTMENT_KEY, meaning=chunk_meaning(PLACE, blob, 0), compress=False), blob


def test_canonical_bytes() -> None:
    assert example("canonical.md", "canonical") == made_canonical()


def test_a_sealed_message() -> None:
    sealed = example("sealed.md", "sealed")
    assert sealed == made_sealed()
    opened = open_sealed(sealed, key=counting(0, 32), meaning=canonical("example"), bytes_max=100)
    assert opened.decode() in text("sealed.md")
    assert (HEADER_BYTES, OVERHEAD_BYTES) == (69, 85)
    with pytest.raises(SealBrokenError):
        open_sealed(sealed, key=counting(0, 32), meaning=canonical("exemple"), bytes_max=100)


def test_a_pack() -> None:
    pack = example("pack.md", "pack")
    made, digest, rows = made_pack()
    assert pack == made
    assert hashlib.sha256(pack).digest() == digest == example("pack.md", "pack-sha256")
    start, length = check_pack(pack, PLACE, number=NUMBER)
    table = read_table(pack[start : start + length], PLACE, number=NUMBER, pack_key=PACK_KEY)
    assert table.objects == [rows[0].packed]
    assert table.compartments[0].wrap == example("pack.md", "wrap") == wrapped()
    assert pack_name(PLACE.environment_id, NUMBER) in text("pack.md")
    assert (HEADER.size, FOOTER.size) == (48, 56)
    assert f"object at 48, {rows[0].packed.length} bytes; table at {start}, {length} bytes" in text("pack.md")


@pytest.mark.parametrize(
    ("offset", "part"),
    [(0, "marks"), (8, "identity"), (24, "identity"), (47, "identity"), (60, "digest"), (-1, "marks")],
)
def test_a_pack_that_is_not_its_page_is_refused(offset: int, part: str) -> None:
    altered = bytearray(example("pack.md", "pack"))
    altered[offset] ^= 1
    with pytest.raises(PackFormatError) as caught:
        check_pack(bytes(altered), PLACE, number=NUMBER)
    assert caught.value.facts["part"] == part
    assert f"`{part}`" in text("pack.md")


def test_an_object() -> None:
    payload = example("object.md", "payload")
    assert payload == made_payload()
    head, body = decode_payload(payload)
    assert (head.type, head.id, head.version, head.terms, body) == ("Patient", "p1", 1, INDEX.term(TERM), BODY)
    meaning = object_meaning(PLACE.tenant_id, PLACE.environment_id, COMPARTMENT, INDEX.object_id("Patient", "p1"), 1)
    assert example("object.md", "meaning") == meaning
    packed = made_pack()[2][0].packed
    box = example("pack.md", "pack")[packed.start : packed.start + packed.length]
    assert open_sealed(box, key=COMPARTMENT_KEY, meaning=meaning, bytes_max=PAYLOAD_BYTES_MAX) == payload
    assert f"{PAYLOAD_BYTES_MAX:,} bytes" in text("object.md")


def test_a_chunk() -> None:
    chunk, blob = made_chunk()
    assert example("blob.md", "chunk") == chunk
    assert example("blob.md", "chunk-meaning") == chunk_meaning(PLACE, blob, 0)
    assert chunk_name(PLACE.environment_id, blob.blob_id, 0) in text("blob.md")
    assert STREAM_BYTES_MAX // CHUNK_BYTES == 256
    moved = Blob(blob.blob_id, COMPARTMENT, 5, 2)  # the same chunk, said not to be the last
    with pytest.raises(SealBrokenError):
        open_sealed(chunk, key=COMPARTMENT_KEY, meaning=chunk_meaning(PLACE, moved, 0), bytes_max=CHUNK_BYTES)


def test_tokens_and_rows() -> None:
    page = "catalogue.md"
    object_id = INDEX.object_id("Patient", "p1")
    assert example(page, "object-id") == object_id
    assert example(page, "object-id") == hashlib.blake2b(b"Patient/p1", key=ID_KEY, digest_size=16).digest()
    assert example(page, "subject") == INDEX.subject("patient", ("p1",))
    assert example(page, "term") == INDEX.term(TERM)
    assert example(page, "term") == hashlib.blake2b(TERM.encode(), key=INDEX_KEY, digest_size=8).digest()
    group, subject = INDEX.object_id("Group", "g1"), INDEX.subject("patient", ("p1",))
    always = bytes(8) + (1 << 62).to_bytes(8, "big")
    assert example(page, "member") == member_mac(INDEX, group, subject, 0, 1 << 62)
    made = hashlib.blake2b(b"member\0" + group + subject + always, key=ID_KEY, digest_size=16)
    assert example(page, "member") == made.digest()
    assert f"`{type_code('Patient')}`" in text(page)
    assert f"`{INDEX.numbers([TERM])[0]}`" in text(page)
    assert f"`{lock_key(object_id)}`" in text(page)
    assert f"`{NUMBER << RANK_BITS}`" in text(page)
    for other in (BlindIndex(id_key=INDEX_KEY, index_key=ID_KEY),):
        assert other.object_id("Patient", "p1") != object_id


def test_a_referential() -> None:
    page = text("referential.md")
    found = re.search(r"```json referential\n(.*?)\n```", page, re.DOTALL)
    assert found is not None
    data = found[1].encode()
    one = read_referential(data).referential
    assert canonical_json(one) == data
    assert one.digest == hashlib.sha256(data).hexdigest()
    assert f"`{one.digest}`" in page
    assert one.node("1.1").links[0].target.partition("#")[2] in shipped(ISO27001)
    for wrong in (data + b"\n", data.replace(b'","', b'", "', 1), data.replace(b"referential-1", b"referential-2")):
        with pytest.raises(ReferentialRefusedError):
            read_referential(wrong)


def test_the_page_of_referentials_names_every_member_and_every_relation() -> None:
    page = text("referential.md")
    classes = (Referential, Requirement, Link, Expected, Crosswalk, ImplementationGroup)
    names = {each.name for one in classes for each in dataclasses.fields(one)}
    words = {each.value for kind in (Relation, Kind, Standing, Mode) for each in kind}
    assert [name for name in sorted(names | words) if f"`{name}`" not in page] == []
