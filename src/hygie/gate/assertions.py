"""The signed assertion by which an application authenticates at the token door. Pure.

Source: SMART App Launch 2.2.0, "Backend Services"; RFC 7523, section 3; RFC 8725 (best current practice for JWT): the
algorithm is one of the key's own, never the header's choice alone; the audience is this very token address.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from hygie.gate.clients import PublicJwk
from hygie.gate.errors import ClientRefusedError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_CHARACTERS_MAX = 8_192
LIFE_S_MAX = 300  # SMART: "no more than five minutes in the future"
SKEW_S_MAX = 30  # between two clocks that are kept
JTI_CHARACTERS_MAX = 255
_TEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class Claimed:
    """What an assertion says before anything of it is believed. kid: which key; jku: where its set would be."""

    client: str
    kid: str
    algorithm: str
    jku: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified one. digest: SHA-256 of (client, jti), taken once; expires_ms: until when it is remembered."""

    digest: bytes
    expires_ms: int


def read_claimed(assertion: str) -> Claimed:
    """Who an assertion says it comes from, unverified: enough to look up keys.

    Raises: ClientRefusedError.
    """
    parts = assertion.split(".")
    if len(parts) != 3 or len(assertion) > ASSERTION_CHARACTERS_MAX or not assertion.isascii():
        raise ClientRefusedError(reason="assertion")
    header, claims = _object(parts[0]), _object(parts[1])
    return Claimed(_text(claims, "sub"), _text(header, "kid"), _text(header, "alg"), _text(header, "jku", needed=False))


def verify_assertion(
    assertion: str, claimed: Claimed, key: PublicJwk, *, audiences: Collection[str], now_ms: int
) -> Assertion:
    """Verify signature, issuer, audience and times.

    Args: audiences: the addresses by which this token door is known.
    Raises: ClientRefusedError: reason is the name of what does not hold, never its value.
    """
    if claimed.algorithm not in key.algorithms:
        raise ClientRefusedError(reason="alg")
    try:
        claims = jwt.decode(assertion, key.key, algorithms=list(key.algorithms)).claims
    except (JoseError, ValueError, TypeError) as error:
        raise ClientRefusedError(reason="signature") from error
    if not claimed.client == claims.get("iss") == claims.get("sub"):
        raise ClientRefusedError(reason="iss")
    audience = claims.get("aud")
    if (audience if isinstance(audience, str) else None) not in audiences:
        raise ClientRefusedError(reason="aud")
    expires_s, now_s = _number(claims, "exp"), now_ms / 1000
    if not now_s - SKEW_S_MAX < expires_s <= now_s + LIFE_S_MAX + SKEW_S_MAX:
        raise ClientRefusedError(reason="exp")
    for name in ("nbf", "iat"):
        if name in claims and _number(claims, name) > now_s + SKEW_S_MAX:
            raise ClientRefusedError(reason=name)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= JTI_CHARACTERS_MAX:
        raise ClientRefusedError(reason="jti")
    digest = hashlib.sha256(f"{claimed.client}\0{jti}".encode("utf-8", "surrogatepass")).digest()
    return Assertion(digest, int((expires_s + SKEW_S_MAX) * 1000) + 1)


def key_of(claimed: Claimed, keys: Sequence[PublicJwk]) -> PublicJwk:
    """The key that an assertion names. Raises: ClientRefusedError: none has that kid."""
    for one in keys:
        if one.kid == claimed.kid:
            return one
    raise ClientRefusedError(reason="kid")


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError) as error:
        raise ClientRefusedError(reason="assertion") from error
    if not isinstance(found, dict):
        raise ClientRefusedError(reason="assertion")
    return found


def _text(members: dict[str, Any], name: str, *, needed: bool = True) -> str:
    value = members.get(name, "")
    if not isinstance(value, str) or len(value) > _TEXT_MAX or (needed and not value):
        raise ClientRefusedError(reason=name)
    return value


def _number(members: dict[str, Any], name: str) -> float:
    value = members.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e12:
        raise ClientRefusedError(reason=name)
    return float(value)
