"""How an application proves who it is: public keys by value or by address, or a client certificate. Pure.

Source: SMART App Launch 2.2.0, "Registering a SMART Backend Service" (RS384, ES384); RFC 7517 (JWK); RFC 8705, 2.1.
A key is a row of ``hygie.client_key``, which carries a MAC as every row that gives a right (docs/adr/0014).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from hygie.base.identity_providers import is_loopback
from hygie.gate.errors import ClientKeyError

JWKS, JWKS_URL, CERTIFICATE = "jwks", "jwks_url", "certificate"
# Where an application may get people back who sign in: it proves itself besides, or has nothing to prove itself with.
REDIRECT, REDIRECT_PUBLIC = "redirect", "redirect_public"
REDIRECTS = frozenset({REDIRECT, REDIRECT_PUBLIC})
REDIRECT_CHARACTERS_MAX = 500
JWKS_BYTES_MAX = 64 * 1024
KEYS_MAX = 20
KID_CHARACTERS_MAX = 255
RSA_BITS_MIN, RSA_BITS_MAX = 2_048, 8_192  # below: ANSSI, RGS B1; above: a signature would cost the door too much
# One algorithm a kind of key, so that a header cannot choose a weaker reading of the same key.
ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("RS384", "RS256", "PS384", "PS256"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One way for an account to prove itself. value: a JWK set (JSON), its https address, the SHA-256 of a certificate
    in hexadecimal, or an address to which people who sign in are sent back; ends_ms: when it stops counting, UTC."""

    id: str
    account: str
    kind: str
    value: str
    ends_ms: int


@dataclass(frozen=True, slots=True)
class PublicJwk:
    """One public key of a set, and the algorithms that it may verify."""

    kid: str
    key: RSAKey | ECKey
    algorithms: tuple[str, ...]


def parse_jwks(text: str | bytes, *, published: bool = False) -> Sequence[PublicJwk]:
    """The keys of a set that sign.

    Args: published: by its owner, for others too: a key that is not taken does not spoil those beside it (RFC 7517, 5).
    Raises: ClientKeyError: not a set, a kid twice, or no key; unless published, a private key in it, a kid absent, a
    key that is weak or of a kind that is not taken; nothing of the set is repeated.
    """
    if len(text) > JWKS_BYTES_MAX:
        raise ClientKeyError(reason="too large")
    try:
        members = json.loads(text)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ClientKeyError(reason="not a JWK set") from error
    if not isinstance(members, list) or not 0 < len(members) <= KEYS_MAX:
        raise ClientKeyError(reason=f"1 to {KEYS_MAX} keys")
    signing = [one for one in members if not (isinstance(one, dict) and one.get("use") == "enc")]
    found = [key for one in signing if (key := _taken(one) if published else _key(one)) is not None]
    if not found or len({one.kid for one in found}) != len(found):
        raise ClientKeyError(reason="kid absent or twice")
    return found


def _taken(member: Any) -> PublicJwk | None:
    try:
        return _key(member)
    except ClientKeyError:
        return None


def _key(member: Any) -> PublicJwk:
    if not isinstance(member, dict) or _PRIVATE & member.keys():
        raise ClientKeyError(reason="not a public key")
    kid = member.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= KID_CHARACTERS_MAX:
        raise ClientKeyError(reason="kid absent or twice")
    public: dict[str, str | list[str]] = {name: value for name, value in member.items() if isinstance(value, str)}
    try:
        made = (RSAKey if public.get("kty") == "RSA" else ECKey).import_key(public)
        raw = made.public_key
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ClientKeyError(reason="kind of key") from error
    name = ""
    if isinstance(raw, RSAPublicKey) and RSA_BITS_MIN <= raw.key_size <= RSA_BITS_MAX:
        name = "RSA"
    elif isinstance(raw, EllipticCurvePublicKey):
        name = str(public.get("crv"))
    if name not in ALGORITHMS:
        raise ClientKeyError(reason="kind of key")
    return PublicJwk(kid, made, ALGORITHMS[name])


def check_jwks_url(url: str) -> str:
    """An address of a set. Raises: ClientKeyError: not https, with a user, a fragment or no name."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ClientKeyError(reason="address") from error
    if parts.scheme != "https" or not _is_host(parts.hostname or "") or parts.username or parts.fragment or port == 0:
        raise ClientKeyError(reason="address")
    if not url.isascii() or len(url) > 500 or any(character <= " " for character in url):
        raise ClientKeyError(reason="address")
    return url


def _is_host(name: str) -> bool:
    """Whether a name can be looked up: ``a..b`` cannot."""
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def check_redirect(uri: str) -> str:
    """An address where people are sent back: https, or http on the person's own machine (RFC 8252, 7.3).

    Raises: ClientKeyError: anything else; it will be compared character by character.
    """
    try:
        parts = urlsplit(uri)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ClientKeyError(reason="address") from error
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if ":" in (parts.hostname or ""):  # a policy of content cannot name an IPv6 address
        raise ClientKeyError(reason="address")
    if not sound or not safe or "@" in parts.netloc or "#" in uri or len(uri) > REDIRECT_CHARACTERS_MAX:
        raise ClientKeyError(reason="address")
    if not uri.isascii() or any(one <= " " or one in "\"'<>\\;,*" or one > "~" for one in uri):
        raise ClientKeyError(reason="address")
    return uri


def certificate_print(pem: bytes) -> str:
    """The SHA-256 of a certificate's DER, in hexadecimal (RFC 8705, 3.1).

    Raises: ClientKeyError: not one certificate.
    """
    try:
        (one,) = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ClientKeyError(reason="not one PEM certificate") from error
    return hashlib.sha256(one.public_bytes(serialization.Encoding.DER)).hexdigest()


def check_value(kind: str, value: str) -> None:
    """Whether a key may be kept as it is. Raises: ClientKeyError."""
    if kind == JWKS:
        parse_jwks(value)
    elif kind == JWKS_URL:
        check_jwks_url(value)
    elif kind in REDIRECTS:
        check_redirect(value)
    elif kind != CERTIFICATE or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise ClientKeyError(reason="kind")
