"""The instruction and the certificate of erasure."""

from __future__ import annotations

import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.legal_basis import LegalBasis
from hygie.keys.erasure import ErasureCertificate, certify, instruct, verify_certificate
from hygie.keys.errors import CertificateForgedError, KmsRequestError

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
INSTRUCTION: dict[str, str | int] = {
    "erasure_id": "01" * 16,
    "tenant_id": "02" * 16,
    "environment_id": "03" * 16,
    "compartment_id": "04" * 16,
    "controller": "CHU de Test",
    "instructed_by": "account-7",
    "legal_basis": "rgpd-17-1-b",
    "reference": "DPO-2026-41",
    "retention_checked_by": "account-8",
    "retention_note": "no-duty",
    "instructed_at_ms": 1_000,
    "decided_at_ms": 2_000,
    "intent_permit": "05" * 16,
}
CERTIFICATE = ErasureCertificate(
    erasure_id="01" * 16,
    tenant_id="02" * 16,
    environment_id="03" * 16,
    compartment_id="04" * 16,
    instruction_sha256=instruct(**INSTRUCTION).digest().hex(),
    legal_basis=LegalBasis.CONSENT_WITHDRAWN,
    objects=251,
    unreadable_in_service_at_ms=3_000,
    last_epoch=4,
    unreadable_in_every_copy_due_ms=900_000,
    issued_at_ms=3_500,
)
FINAL = msgspec.structs.replace(
    CERTIFICATE,
    tokens_purged_at_ms=4_000,
    tokens_vacuumed_at_ms=5_000,
    last_epoch_destroyed_at_ms=700_000,
    unreadable_in_every_copy_at_ms=800_000,
    issued_at_ms=800_001,
)


def signed(certificate: ErasureCertificate) -> bytes:
    return certify(certificate, signature=KEY.sign(certificate.to_sign()), public_key=PUBLIC)


@pytest.mark.parametrize("certificate", [CERTIFICATE, FINAL], ids=["first", "final"])
def test_a_certificate_is_read_back_equal(certificate: ErasureCertificate) -> None:
    assert verify_certificate(signed(certificate), public_keys=[b"o" * 32, PUBLIC]) == certificate
    assert certificate.final == (certificate is FINAL)


@given(st.data())
def test_no_altered_value_passes(data: st.DataObject) -> None:
    document = json.loads(signed(FINAL))
    field = data.draw(st.sampled_from(sorted(document["certificate"])))
    value = document["certificate"][field]
    document["certificate"][field] = (
        value + data.draw(st.integers(1, 5)) if isinstance(value, int) else ("9" + value[1:] if value[0] != "9" else "")
    )
    altered = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    with pytest.raises(CertificateForgedError):
        verify_certificate(altered, public_keys=[PUBLIC])


def test_the_form_of_the_file_is_one() -> None:
    whole = signed(FINAL)
    for other in (whole[:-1], whole + b" ", whole.replace(b"  ", b" "), b"", b"[]", whole.replace(b"v1", b"v2")):
        with pytest.raises(CertificateForgedError):
            verify_certificate(other, public_keys=[PUBLIC])
    with pytest.raises(CertificateForgedError):
        verify_certificate(b" " * 20_000 + whole, public_keys=[PUBLIC])


@pytest.mark.parametrize("value", [-1, 2**64, 10**30])
@pytest.mark.parametrize("field", ["objects", "last_epoch", "unreadable_in_every_copy_due_ms"])
def test_a_number_that_cannot_be_is_a_forgery_like_another(field: str, value: int) -> None:
    document = json.loads(signed(FINAL))
    document["certificate"][field] = value
    with pytest.raises(CertificateForgedError):
        verify_certificate((json.dumps(document, indent=2) + "\n").encode(), public_keys=[PUBLIC])


def test_a_certificate_of_an_unknown_key_or_with_another_signature_is_refused() -> None:
    with pytest.raises(CertificateForgedError, match="unknown key"):
        verify_certificate(signed(FINAL), public_keys=[b"o" * 32])
    with pytest.raises(CertificateForgedError):
        certify(FINAL, signature=KEY.sign(CERTIFICATE.to_sign()), public_key=PUBLIC)


IMPOSSIBLE = {
    "vacuumed_before_purged": {"tokens_purged_at_ms": None},
    "purged_before_unreadable": {"tokens_purged_at_ms": 10},
    "vacuumed_earlier": {"tokens_vacuumed_at_ms": 3_999},
    "everywhere_first": {"unreadable_in_every_copy_at_ms": 10},
    "issued_before": {"issued_at_ms": 799_999},
    "id_not_hex": {"compartment_id": "Durand"},
    "id_upper": {"compartment_id": "AB"},
}


@pytest.mark.parametrize("change", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_is_never_signed(change: dict[str, object]) -> None:
    with pytest.raises(KmsRequestError):
        msgspec.structs.replace(FINAL, **change).to_sign()


BAD_INSTRUCTIONS: dict[str, dict[str, str | int]] = {
    "no_controller": {"controller": ""},
    "long_reference": {"reference": "x" * 501},
    "no_basis": {"legal_basis": "because"},
    "decided_first": {"decided_at_ms": 999},
    "negative": {"instructed_at_ms": -1},
    "compartment_not_hex": {"compartment_id": "Durand"},
    "unknown_field": {"patient_name": "x"},
    "wrong_type": {"controller": 3},
}


@pytest.mark.parametrize("change", BAD_INSTRUCTIONS.values(), ids=BAD_INSTRUCTIONS)
def test_an_instruction_lacks_nothing(change: dict[str, str | int]) -> None:
    with pytest.raises(KmsRequestError):
        instruct(**{**INSTRUCTION, **change})
    for name in INSTRUCTION:
        with pytest.raises(KmsRequestError):
            instruct(**{key: value for key, value in INSTRUCTION.items() if key != name})


def test_the_digest_covers_every_field() -> None:
    digests = {instruct(**INSTRUCTION).digest()}
    for name, value in INSTRUCTION.items():
        other: str | int = value + 1 if isinstance(value, int) else {"legal_basis": "rgpd-17-1-d"}.get(name, "0a0a")
        digests.add(instruct(**{**INSTRUCTION, name: other}).digest())
    assert len(digests) == len(INSTRUCTION) + 1
