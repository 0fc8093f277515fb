"""The certificate of destruction: what was destroyed, when, where, what remains and why. Pure.

Source: docs/formats/exit.md v1.  Signed again at each new date; the last date closes it.  It travels as JSON for
people, and only its canonical form is read back.
"""

from __future__ import annotations

import base64

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.base.canonical import canonical
from hygie.exits.errors import DestructionForgedError
from hygie.exits.model import Terms

FORMAT = "hygie destruction certificate 1"
CONTEXT = "hygie destruction certificate v1"
CERTIFICATE_BYTES_MAX = 4 * 1024 * 1024


class DestroyedEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One environment. versions, packs: what the export covered; keys_destroyed_ms: every key of it is gone from the
    KMS; catalogue_dropped_ms: its schema and its role are gone from the database."""

    name: str
    id: str
    kind: str
    versions: int
    packs: int
    keys_destroyed_ms: int
    catalogue_dropped_ms: int


class SiteGone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One site. gone_ms: when it was seen to hold nothing more of the client; None: it was away, and is waited for."""

    site: str
    gone_ms: int | None


class Remains(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stays, why, until when: a sentence in each language. until_ms: None where no date is set."""

    what_fr: str
    what_en: str
    until_ms: int | None


class DestructionCertificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was done. Instants in ms UTC; None: not yet.

    unreadable_in_service_ms: no request reads from then on; every_site_ms: the last site holds nothing;
    unreadable_in_every_copy_due_ms, unreadable_in_every_copy_ms: when the last copy of a key is to leave the backup
    target, and when none was there any more; backup_objects_until_ms: when the last encrypted object leaves it.
    """

    format: str = FORMAT
    destruction_id: str
    installation: str
    tenant: str
    tenant_id: str
    export_id: str
    manifest_sha256: str
    consent_id: str
    consent_by: str
    consent_ms: int
    statement_sha256: str
    requested_by: str
    approver: str
    requested_ms: int
    environments: list[DestroyedEnvironment]
    unreadable_in_service_ms: int
    sites: list[SiteGone]
    every_site_ms: int | None = None
    unreadable_in_every_copy_due_ms: int
    unreadable_in_every_copy_ms: int | None = None
    backup_objects_until_ms: int
    remains: list[Remains]
    terms: Terms
    issued_ms: int

    @property
    def final(self) -> bool:
        """Every date is there."""
        return self.every_site_ms is not None and self.unreadable_in_every_copy_ms is not None

    def to_sign(self) -> bytes:
        """What the "erasure" key signs. Raises: DestructionForgedError: dates that cannot be."""
        _check(self)
        return canonical(CONTEXT, msgspec.json.encode(self))


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    certificate: DestructionCertificate
    public_key: str
    signature: str


def certify(certificate: DestructionCertificate, *, signature: bytes, public_key: bytes) -> bytes:
    """The certificate as a file, verified once before it is handed out.

    Raises: DestructionForgedError: the signature is not of these bytes by this key.
    """
    _verify(certificate, signature, public_key)
    return _encode(_Signed(certificate, public_key.hex(), base64.b64encode(signature).decode()))


def verify_destruction(data: bytes, *, public_keys: list[bytes]) -> DestructionCertificate:
    """Read a certificate back. Args: public_keys: the "erasure" keys as published, retired ones included.

    Raises: DestructionForgedError: not this format, not canonical, signed by none of these keys, or altered.
    """
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise DestructionForgedError(reason="too long")
    try:
        signed = msgspec.json.decode(data, type=_Signed)
        signature = base64.b64decode(signed.signature, validate=True)
        key = bytes.fromhex(signed.public_key)
    except (msgspec.DecodeError, ValueError) as error:
        raise DestructionForgedError(reason="not in the format") from error
    if _encode(signed) != data or signed.certificate.format != FORMAT:
        raise DestructionForgedError(reason="not in the canonical format")
    if key not in public_keys:
        raise DestructionForgedError(reason="signed by an unknown key")
    _verify(signed.certificate, signature, key)
    return signed.certificate


def _verify(certificate: DestructionCertificate, signature: bytes, public_key: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, certificate.to_sign())
    except (InvalidSignature, ValueError) as error:
        raise DestructionForgedError(reason="the signature does not match") from error


def _encode(signed: _Signed) -> bytes:
    return msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"


def _check(certificate: DestructionCertificate) -> None:
    """Consent before request, request before destruction, destruction before what follows, all before the issue."""
    keys = [one.keys_destroyed_ms for one in certificate.environments]
    dropped = [one.catalogue_dropped_ms for one in certificate.environments]
    gone = [one.gone_ms for one in certificate.sites if one.gone_ms is not None]
    later = [one for one in (certificate.every_site_ms, certificate.unreadable_in_every_copy_ms) if one is not None]
    order = [certificate.consent_ms, certificate.requested_ms, certificate.unreadable_in_service_ms]
    after = [*keys, *dropped, *gone, *later]
    wrong = order != sorted(order) or order[0] < 0 or any(one < order[-1] for one in after)
    if wrong or certificate.issued_ms < max([*order, *after]):
        raise DestructionForgedError(reason="its dates are out of order")
