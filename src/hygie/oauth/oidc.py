"""What an OpenID Connect provider says of a person, verified before a word of it is believed. Pure.

Sources: OpenID Connect Core 1.0, 3.1.3.7 (ID token), 3.1.3.6 (at_hash), 5.3 (UserInfo); RFC 8725 (best current practice
for JWT).  The algorithm is one of the key's own, so neither ``none`` nor an HMAC under a public key can be chosen.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from hygie.base.identifiers import InvalidIdentifierError, parse_professional
from hygie.gate.clients import PublicJwk
from hygie.oauth.errors import IdentityRefusedError

TOKEN_CHARACTERS_MAX = 64 * 1024
SKEW_S_MAX = 30  # between two clocks that are kept
AGE_S_MAX = 600  # an ID token is read as soon as it is made
SUBJECT_CHARACTERS_MAX = 255  # OpenID Connect Core, section 2
ACR_CHARACTERS_MAX = 100

Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be found. issuer, client_id: exactly; nonce: of this very sign-in; acr: accepted levels, all when
    empty."""

    issuer: str
    client_id: str
    nonce: str
    acr: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as a provider knows them. subject: unique and never given again there; professional_id: RPPS or ADELI
    number that the provider vouches for, or nothing; acr: the level of authentication, or nothing."""

    issuer: str
    subject: str
    acr: str
    professional_id: str


def read_header(token: str) -> dict[str, Any]:
    """The header of a signed token, unverified: enough to look up its key. Raises: IdentityRefusedError."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise IdentityRefusedError(reason="token")
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
    except (ValueError, RecursionError) as error:
        raise IdentityRefusedError(reason="token") from error
    if not isinstance(found, dict) or "crit" in found:
        raise IdentityRefusedError(reason="header")
    return found


def verify_id_token(
    token: str, keys: Sequence[PublicJwk], expected: Expected, *, access_token: str, now_ms: int
) -> dict[str, Any]:
    """The claims of an ID token.

    Raises: IdentityRefusedError: reason is the name of what does not hold, never its value.
    """
    claims = _signed(token, keys)
    if claims.get("iss") != expected.issuer:
        raise IdentityRefusedError(reason="iss")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or expected.client_id not in audiences:
        raise IdentityRefusedError(reason="aud")
    party = claims.get("azp")
    if (len(audiences) > 1 and party is None) or (party is not None and party != expected.client_id):
        raise IdentityRefusedError(reason="azp")
    now_s = now_ms / 1000
    if _number(claims, "exp") <= now_s - SKEW_S_MAX:
        raise IdentityRefusedError(reason="exp")
    if not now_s - AGE_S_MAX <= _number(claims, "iat") <= now_s + SKEW_S_MAX:
        raise IdentityRefusedError(reason="iat")
    if "nbf" in claims and _number(claims, "nbf") > now_s + SKEW_S_MAX:
        raise IdentityRefusedError(reason="nbf")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode("utf-8", "replace"), expected.nonce.encode()):
        raise IdentityRefusedError(reason="nonce")
    if "at_hash" in claims and claims["at_hash"] != _half_hash(access_token, str(read_header(token).get("alg"))):
        raise IdentityRefusedError(reason="at_hash")
    subject_of(claims)
    if expected.acr and claims.get("acr") not in expected.acr:
        raise IdentityRefusedError(reason="acr")
    return claims


def verify_userinfo(
    body: bytes, content_type: str, keys: Sequence[PublicJwk], expected: Expected, subject: str
) -> Claims:
    """The claims of a UserInfo answer, plain or signed, if it is about this very subject.

    Raises: IdentityRefusedError.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/jwt":
        claims = _signed(body.decode("ascii", "replace").strip(), keys)
        if claims.get("iss", expected.issuer) != expected.issuer:
            raise IdentityRefusedError(reason="userinfo iss")
        audience = claims.get("aud", expected.client_id)
        audiences = [audience] if isinstance(audience, str) else audience
        if not isinstance(audiences, list) or expected.client_id not in audiences:
            raise IdentityRefusedError(reason="userinfo aud")
    elif kind == "application/json":
        try:
            claims = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise IdentityRefusedError(reason="userinfo") from error
    else:
        raise IdentityRefusedError(reason="userinfo")
    if not isinstance(claims, dict) or claims.get("sub") != subject:
        raise IdentityRefusedError(reason="userinfo sub")
    return claims


def subject_of(claims: Claims) -> str:
    """Who it is about. Raises: IdentityRefusedError."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX or not subject.isprintable():
        raise IdentityRefusedError(reason="sub")
    return subject


def identity_of(id_claims: Claims, userinfo: Claims, expected: Expected, professional_claim: str) -> Identity:
    """The person, once everything was verified. professional_claim: where the provider vouches for the RPPS number;
    empty when it does not. Raises: IdentityRefusedError: what stands there is no such number."""
    acr = id_claims.get("acr", "")
    number = ""
    if professional_claim:
        value = id_claims.get(professional_claim, userinfo.get(professional_claim, ""))
        try:
            number = str(parse_professional(value)) if isinstance(value, str) and value else ""
        except InvalidIdentifierError as error:
            raise IdentityRefusedError(reason="professional") from error
    level = acr if isinstance(acr, str) and len(acr) <= ACR_CHARACTERS_MAX and acr.isprintable() else ""
    return Identity(expected.issuer, subject_of(id_claims), level, number)


def _signed(token: str, keys: Sequence[PublicJwk]) -> dict[str, Any]:
    header = read_header(token)
    kid = header.get("kid")
    named = [one for one in keys if one.kid == kid] if kid is not None or len(keys) != 1 else list(keys)
    if len(named) != 1:
        raise IdentityRefusedError(reason="kid")
    key = named[0]
    if header.get("alg") not in key.algorithms:
        raise IdentityRefusedError(reason="alg")
    try:
        return dict(jwt.decode(token, key.key, algorithms=list(key.algorithms)).claims)
    except (JoseError, ValueError, TypeError) as error:
        raise IdentityRefusedError(reason="signature") from error


def _half_hash(access_token: str, algorithm: str) -> str:
    """The left half of the hash of the access token, by the hash of the token's own algorithm."""
    digest = hashlib.new(f"sha{algorithm[-3:]}", access_token.encode("ascii", "replace")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def _number(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e12:
        raise IdentityRefusedError(reason=name)
    return float(value)
