"""The papers of an exit: instruction, manifest, certificate of destruction."""

from __future__ import annotations

import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hygie.exits.certificate import (
    DestroyedEnvironment,
    DestructionCertificate,
    Remains,
    SiteGone,
    certify,
    verify_destruction,
)
from hygie.exits.errors import DestructionForgedError, ExitInstructionError, ExportDamagedError, SameHandsError
from hygie.exits.model import (
    EnvironmentPart,
    ExitBasis,
    ExitManifest,
    JournalPart,
    Terms,
    TypeCount,
    check_hands,
    order,
    verify_manifest,
)

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
TERMS = Terms(cost="none", export_days=30, destruction_days=30, traces_years=3)
ORDER = {
    "export_id": "01" * 8,
    "tenant_id": "02" * 16,
    "controller": "CHU de Test",
    "instructed_by": "dpo",
    "approver": "chief",
    "basis": "contract-end",
    "reference": "2026-31",
    "recipients": ("age1a", "age1b"),
    "environments": ("prod",),
    "ordered_ms": 1_000,
}
PART = EnvironmentPart(name="prod", id="03" * 16, kind="production", pack=3, packs=3, versions=5)
MANIFEST = ExitManifest(
    export_id="01" * 8,
    installation="hygie/x",
    tenant="chu",
    tenant_id="02" * 16,
    controller="CHU de Test",
    instructed_by="dpo",
    approver="chief",
    basis=ExitBasis.CONTRACT_END,
    reference="2026-31",
    recipients=["age1a"],
    began_at="2026-11-27T08:00:00.000Z",
    ended_at="2026-11-27T08:01:00.000Z",
    complete=True,
    environments=[msgspec.structs.replace(PART, resources={"Patient": TypeCount(current=2, history=2, deleted=1)})],
    journal=JournalPart(checkpoint="c", size=9, entries=4, disclosed=4, log_key="k", witness_key=""),
    files=4,
    encrypted_bytes=1000,
    sums_sha256="04" * 32,
    code_sha256="05" * 32,
    terms=TERMS,
)
CERTIFICATE = DestructionCertificate(
    destruction_id="06" * 8,
    installation="hygie/x",
    tenant="chu",
    tenant_id="02" * 16,
    export_id="01" * 8,
    manifest_sha256="07" * 32,
    consent_id="08" * 8,
    consent_by="Dr A. Bo",
    consent_ms=2_000,
    statement_sha256="09" * 32,
    requested_by="local:root",
    approver="chief",
    requested_ms=3_000,
    environments=[
        DestroyedEnvironment(
            name="prod",
            id="03" * 16,
            kind="production",
            versions=5,
            packs=3,
            keys_destroyed_ms=4_000,
            catalogue_dropped_ms=4_000,
        )
    ],
    unreadable_in_service_ms=4_000,
    sites=[SiteGone(site="paris", gone_ms=4_100), SiteGone(site="lyon", gone_ms=None)],
    unreadable_in_every_copy_due_ms=9_000,
    backup_objects_until_ms=90_000,
    remains=[Remains(what_fr="traces", what_en="traces", until_ms=None)],
    terms=TERMS,
    issued_ms=5_000,
)


def signed(certificate: DestructionCertificate) -> bytes:
    return certify(certificate, signature=KEY.sign(certificate.to_sign()), public_key=PUBLIC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("controller", ""),
        ("controller", "a\nb"),
        ("controller", "x" * 201),
        ("instructed_by", "Not An Account"),
        ("basis", "because"),
        ("reference", ""),
        ("ordered_ms", "now"),
        ("recipients", None),
    ],
)
def test_an_order_that_lacks_something_is_refused(name: str, value: object) -> None:
    with pytest.raises(ExitInstructionError):
        order(**{**ORDER, name: value})


def test_two_orders_that_differ_have_two_digests() -> None:
    one = order(**ORDER)
    digests = {one.digest()}
    for name, value in (
        ("reference", "2026-32"),
        ("recipients", ("age1a", "age1c")),
        ("recipients", ("age1a",)),
        ("environments", ("prod", "test")),
        ("ordered_ms", 1_001),
    ):
        digests.add(order(**{**ORDER, name: value}).digest())
    assert len(digests) == 6


@pytest.mark.parametrize("approver", ["root", "local:root", "", "Chief Of All"])
def test_the_approver_is_somebody_else_and_somebody(approver: str) -> None:
    with pytest.raises((SameHandsError, ExitInstructionError)):
        check_hands("local:root", approver)
    assert check_hands("local:root", "chief") == "chief"


def test_a_manifest_is_read_back_as_it_was_signed() -> None:
    data = MANIFEST.encode()
    assert verify_manifest(data, KEY.sign(data), PUBLIC) == MANIFEST


@given(st.data())
def test_a_manifest_of_which_one_byte_differs_is_refused(data: st.DataObject) -> None:
    whole = bytearray(MANIFEST.encode())
    signature = KEY.sign(bytes(whole))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ExportDamagedError):
        verify_manifest(bytes(whole), signature, PUBLIC)


def test_signed_bytes_that_are_no_manifest_are_refused() -> None:
    compact = msgspec.json.encode(MANIFEST)  # another form of the same content
    other = MANIFEST.encode().replace(b"hygie exit manifest 1", b"hygie exit manifest 9")
    for data in (b"{}", b"\xff", compact, other):
        with pytest.raises(ExportDamagedError):
            verify_manifest(data, KEY.sign(data), PUBLIC)


def test_a_certificate_is_read_back_as_it_was_signed() -> None:
    assert verify_destruction(signed(CERTIFICATE), public_keys=[PUBLIC]) == CERTIFICATE
    assert not CERTIFICATE.final


def test_a_forged_certificate_is_refused() -> None:
    whole = signed(CERTIFICATE)
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32).public_key().public_bytes_raw()
    altered = json.loads(whole)
    altered["certificate"]["tenant"] = "other"
    for data, keys in (
        (whole, [other]),
        (json.dumps(altered, indent=2).encode() + b"\n", [PUBLIC]),
        (whole.replace(b"  ", b" "), [PUBLIC]),
        (whole[:-10], [PUBLIC]),
        (b"{}", [PUBLIC]),
        (bytes(5 * 1024 * 1024), [PUBLIC]),
    ):
        with pytest.raises(DestructionForgedError):
            verify_destruction(data, public_keys=keys)


@pytest.mark.parametrize(
    "changes",
    [
        {"consent_ms": 3_001},
        {"requested_ms": 4_001},
        {"consent_ms": -1},
        {"issued_ms": 4_050},
        {"every_site_ms": 3_999},
        {"unreadable_in_every_copy_ms": 3_999},
        {"sites": [SiteGone(site="paris", gone_ms=100)]},
    ],
)
def test_dates_that_cannot_be_are_not_signed(changes: dict[str, object]) -> None:
    with pytest.raises(DestructionForgedError):
        msgspec.structs.replace(CERTIFICATE, **changes).to_sign()
