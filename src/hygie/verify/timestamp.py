"""An RFC 3161 timestamp, verified with the root certificate of its authority and nothing else.

Checked: the answer was granted; the imprint; the signed attributes (RFC 5652, section 5.4), the certificate that they
name (RFC 5035) and their signature; that certificate is for timestamping, and its chain up to a given root was valid
then. Not checked: revocation, policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from hygie.verify.errors import DossierTamperedError, require

_AT = ("timestamp", "timestamp.tsr")
CHAIN_MAX = 5  # authority, intermediates, root
_STRANGE = (UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.ExtensionNotFound)
_SHA2 = bytes.fromhex("6086480165030402")  # OID of SHA-2 less its last byte
_SHA256 = _SHA2 + b"\1"
_SHA = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
_HASHES: dict[bytes, hashes.HashAlgorithm] = {_SHA2 + bytes((last,)): one for last, one in enumerate(_SHA, 1)}
_TST_INFO = bytes.fromhex("2a864886f70d0109100104")
_CONTENT_TYPE, _MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010903"), bytes.fromhex("2a864886f70d010904")
_CERTIFICATE, _CERTIFICATE_V2 = bytes.fromhex("2a864886f70d010910020c"), bytes.fromhex("2a864886f70d010910022f")


class Der(NamedTuple):
    """One value of DER. raw: with its tag and length."""

    tag: int
    body: bytes
    raw: bytes

    def inside(self) -> list[Der]:
        """The values in it. Raises: ValueError, IndexError."""
        found: list[Der] = []
        at, data = 0, self.body
        while at < len(data):
            start, length = at + 2, data[at + 1]
            if length & 0x80:
                start, length = start + (length & 0x7F), int.from_bytes(data[start : start + (length & 0x7F)], "big")
            if start + length > len(data):
                raise ValueError("DER")
            found.append(Der(data[at], data[start : start + length], data[at : start + length]))
            at = start + length
        return found


def check_timestamp(answer: bytes, stamped: bytes, roots: bytes) -> int:
    """When an authority stamped these bytes, seconds UTC.

    Args: answer: TimeStampResp, DER; roots: certificates that are believed, PEM. Raises: DossierTamperedError.
    """
    try:
        return _check(answer, stamped, x509.load_pem_x509_certificates(roots))
    except (ValueError, LookupError, TypeError, *_STRANGE) as error:
        raise DossierTamperedError.at(*_AT, "format") from error


def _check(answer: bytes, stamped: bytes, roots: Sequence[x509.Certificate]) -> int:
    status, token = Der(0, answer, answer).inside()[0].inside()
    _, _, content, *others, signers = token.inside()[1].inside()[0].inside()
    kind, octets = content.inside()
    info = octets.inside()[0]
    _, _, imprint, _, when, *_ = Der(0, info.body, b"").inside()[0].inside()
    algorithm, digest = imprint.inside()
    require(int.from_bytes(status.inside()[0].body, "big") <= 1 and kind.body == _TST_INFO, *_AT, "format")
    require([algorithm.inside()[0].body, digest.body] == [_SHA256, sha256(stamped).digest()], *_AT, "imprint")
    at = datetime.strptime(when.body.decode()[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    held = [x509.load_der_x509_certificate(one.raw) for part in others if part.tag == 0xA0 for one in part.inside()]
    _check_chain(_signer(signers.inside()[0], info.body, held), [*held, *roots], roots, at)
    return int(at.timestamp())


def _signer(signer: Der, info: bytes, held: Sequence[x509.Certificate]) -> x509.Certificate:
    """The certificate whose key signed, and that the signed attributes name. Raises: DossierTamperedError."""
    _, _, algorithm, attributes, _, signature, *_ = signer.inside()
    hasher = _HASHES[algorithm.inside()[0].body]
    said = {one.inside()[0].body: one.inside()[1].inside()[0] for one in attributes.inside()}
    digest = hashes.Hash(hasher)
    digest.update(info)
    right = said[_CONTENT_TYPE].body == _TST_INFO and said[_MESSAGE_DIGEST].body == digest.finalize()
    require(right and attributes.tag == 0xA0, *_AT, "signature")
    by: hashes.HashAlgorithm = hashes.SHA256() if _CERTIFICATE_V2 in said else hashes.SHA1()  # noqa: S303
    named = (said.get(_CERTIFICATE_V2) or said[_CERTIFICATE]).inside()[0].inside()[0].inside()
    if named[0].tag == 0x30:
        by = _HASHES[named.pop(0).inside()[0].body]
    for certificate in held:
        if certificate.fingerprint(by) == named[0].body:
            _verify_by(certificate.public_key(), signature.body, b"\x31" + attributes.raw[1:], hasher)
            return certificate
    raise DossierTamperedError.at(*_AT, "chain")


def _verify_by(key: object, signature: bytes, data: bytes, hasher: hashes.HashAlgorithm) -> None:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            return key.verify(signature, data, padding.PKCS1v15(), hasher)
        if isinstance(key, ec.EllipticCurvePublicKey):
            return key.verify(signature, data, ec.ECDSA(hasher))
    except InvalidSignature as error:
        raise DossierTamperedError.at(*_AT, "signature") from error
    raise DossierTamperedError.at(*_AT, "format")


def _check_chain(
    signer: x509.Certificate, held: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime
) -> None:
    """Climb from the signer to a root that is believed. Raises: DossierTamperedError, ExtensionNotFound."""
    uses = list(signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    one: x509.Certificate | None = signer
    for _ in range(CHAIN_MAX if uses == [x509.OID_TIME_STAMPING] else 0):
        if one is None or not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
            break
        if one in roots:
            return
        one = next((above for above in held if above != one and _issued(one, above)), None)
    raise DossierTamperedError.at(*_AT, "chain")


def _issued(one: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(above)
        return above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
