"""Erasure of a compartment on the controller's recorded instruction: the record, and the signed certificate. Pure.

Source: docs/formats/kms.md v1, "Certificate of erasure".  What is signed is canonical() of every field in the order
of the class, with a context; the certificate travels as JSON for people, and only its canonical form is read back.
"""

from __future__ import annotations

import base64
import hashlib

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.base.canonical import canonical
from hygie.base.legal_basis import LegalBasis
from hygie.keys.errors import CertificateForgedError, KmsRequestError

CONTEXT = "hygie erasure certificate v1"
FORMAT = CONTEXT
TEXT_CHARACTERS_MAX = 500
CERTIFICATE_BYTES_MAX = 16 * 1024


class ErasureInstruction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the controller asked, as recorded before anything is destroyed. Ids are hex; no name of a patient.

    controller: the organisation that decides; instructed_by: its officer's account; reference: the controller's own
    number for the request; retention_checked_by: the account that checked that no retention duty or hold stands
    against it, with retention_note, a code; intent_permit: the permit under which it is carried out.
    """

    erasure_id: str
    tenant_id: str
    environment_id: str
    compartment_id: str
    controller: str
    instructed_by: str
    legal_basis: LegalBasis
    reference: str
    retention_checked_by: str
    retention_note: str
    instructed_at_ms: int
    decided_at_ms: int
    intent_permit: str

    def digest(self) -> bytes:
        """SHA-256 of the canonical instruction: what the certificate and the journal name."""
        values = [getattr(self, name) for name in self.__struct_fields__]
        return hashlib.sha256(canonical("hygie erasure instruction v1", *values)).digest()


class ErasureCertificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was done, and when; None: not yet. The last date closes it.

    unreadable_in_service_at_ms: the wrap is gone from the live database, no read opens;
    tokens_purged_at_ms, tokens_vacuumed_at_ms: index tokens deleted, then their pages vacuumed;
    last_epoch: newest epoch under which a copy of the wrap may exist (WAL, base backups, old ledgers, absent sites);
    last_epoch_destroyed_at_ms: the key of that epoch and of every earlier one is gone from the KMS;
    unreadable_in_every_copy_due_ms, unreadable_in_every_copy_at_ms: when the last copy of such a key is to leave the
    backup target, and when none was there any more.
    """

    format: str = FORMAT
    erasure_id: str
    tenant_id: str
    environment_id: str
    compartment_id: str
    instruction_sha256: str
    legal_basis: LegalBasis
    objects: int
    unreadable_in_service_at_ms: int
    tokens_purged_at_ms: int | None = None
    tokens_vacuumed_at_ms: int | None = None
    last_epoch: int
    last_epoch_destroyed_at_ms: int | None = None
    unreadable_in_every_copy_due_ms: int
    unreadable_in_every_copy_at_ms: int | None = None
    issued_at_ms: int

    @property
    def final(self) -> bool:
        """Every date is there."""
        dates = (self.tokens_purged_at_ms, self.tokens_vacuumed_at_ms, self.unreadable_in_every_copy_at_ms)
        return all(date is not None for date in dates)

    def to_sign(self) -> bytes:
        """The canonical bytes that the "erasure" key signs.

        Raises: KmsRequestError: dates out of order, or a text over the limit.
        """
        _check(self)
        values: list[str | int | bytes] = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            # an absent date is one empty field; a present one has eight bytes
            values.append(b"" if value is None else value)
        return canonical(CONTEXT, *values)


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    certificate: ErasureCertificate
    public_key: str
    signature: str


def instruct(**fields: str | int) -> ErasureInstruction:
    """A checked instruction.

    Raises: KmsRequestError: a field is missing, empty, too long, of a wrong type, or decided before instructed.
    """
    try:
        instruction = msgspec.convert(fields, ErasureInstruction)
    except msgspec.ValidationError as error:
        raise KmsRequestError(reason="the instruction of erasure lacks a field or has a wrong one") from error
    for name in instruction.__struct_fields__:
        value = getattr(instruction, name)
        if isinstance(value, str) and not 1 <= len(value) <= TEXT_CHARACTERS_MAX:
            raise KmsRequestError(reason=f"the instruction's {name} is empty or too long")
    for name in ("erasure_id", "tenant_id", "environment_id", "compartment_id", "intent_permit"):
        _check_hex(getattr(instruction, name), name)
    if not 0 <= instruction.instructed_at_ms <= instruction.decided_at_ms:
        raise KmsRequestError(reason="decided before it was instructed")
    return instruction


def certify(certificate: ErasureCertificate, *, signature: bytes, public_key: bytes) -> bytes:
    """The certificate as a file: JSON, verified once before it is handed out.

    Raises: CertificateForgedError: the signature is not of these bytes by this key.
    """
    _verify(certificate, signature, public_key)
    signed = _Signed(certificate, public_key.hex(), base64.b64encode(signature).decode())
    return _encode(signed)


def verify_certificate(data: bytes, *, public_keys: list[bytes]) -> ErasureCertificate:
    """Read a certificate back.

    Args: public_keys: the "erasure" keys known from elsewhere (the journal, the host's publication), retired included.
    Raises: CertificateForgedError: not this format, not canonical, signed by none of these keys, or altered.
    """
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise CertificateForgedError(reason="too long")
    try:
        signed = msgspec.json.decode(data, type=_Signed)
        signature = base64.b64decode(signed.signature, validate=True)
        key = bytes.fromhex(signed.public_key)
    except (msgspec.DecodeError, ValueError) as error:
        raise CertificateForgedError(reason="not in the format") from error
    if _encode(signed) != data or signed.certificate.format != FORMAT:
        raise CertificateForgedError(reason="not in the canonical format")
    if key not in public_keys:
        raise CertificateForgedError(reason="signed by an unknown key")
    _verify(signed.certificate, signature, key)
    return signed.certificate


def _verify(certificate: ErasureCertificate, signature: bytes, public_key: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, certificate.to_sign())
    except (InvalidSignature, ValueError) as error:
        raise CertificateForgedError(reason="the signature does not match") from error
    except (KmsRequestError, OverflowError) as error:  # a count or a date that 64 bits do not hold
        raise CertificateForgedError(reason="its dates or fields cannot be") from error


def _encode(signed: _Signed) -> bytes:
    return msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"


def _check(certificate: ErasureCertificate) -> None:
    for name in ("erasure_id", "tenant_id", "environment_id", "compartment_id", "instruction_sha256"):
        _check_hex(getattr(certificate, name), name)
    dates = [
        certificate.unreadable_in_service_at_ms,
        certificate.tokens_purged_at_ms,
        certificate.tokens_vacuumed_at_ms,
    ]
    known = [date for date in dates if date is not None]
    if certificate.tokens_purged_at_ms is None and certificate.tokens_vacuumed_at_ms is not None:
        raise KmsRequestError(reason="vacuumed before purged")
    if known != sorted(known) or known[0] < 0:
        raise KmsRequestError(reason="the dates of the certificate are out of order")
    everywhere = certificate.unreadable_in_every_copy_at_ms
    if everywhere is not None and everywhere < certificate.unreadable_in_service_at_ms:
        raise KmsRequestError(reason="the dates of the certificate are out of order")
    destroyed = certificate.last_epoch_destroyed_at_ms
    if destroyed is not None and not certificate.unreadable_in_service_at_ms <= destroyed <= (everywhere or destroyed):
        raise KmsRequestError(reason="the dates of the certificate are out of order")
    latest = max(date for date in (*known, destroyed, everywhere) if date is not None)
    if certificate.issued_at_ms < latest:
        raise KmsRequestError(reason="issued before what it states")


def _check_hex(value: str, name: str) -> None:
    try:
        raw = bytes.fromhex(value)
    except ValueError as error:
        raise KmsRequestError(reason=f"{name} is not hexadecimal") from error
    if not 1 <= len(raw) <= 64 or raw.hex() != value:
        raise KmsRequestError(reason=f"{name} is not hexadecimal in lower case")
