"""What a person proves himself with: a password and a TOTP secret, a security key, an identity elsewhere.

Each is a row of ``hygie.authenticator``, which carries a MAC as every row that gives a right (docs/adr/0014).  What a
thief of the database could attack (the hash of a password, a TOTP secret) is sealed under a purpose key of the
platform's own scope in the KMS, under the row's own id, so that it opens nowhere else (docs/adr/0019).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hygie.base.canonical import canonical
from hygie.base.identity_providers import is_safe_address
from hygie.base.seal import SealBrokenError, open_sealed, seal
from hygie.gate.errors import AuthenticatorRefusedError
from hygie.keys.kms import Kms, platform_key

ENROLMENT, PASSWORD, TOTP, WEBAUTHN, OIDC = "enrolment", "password", "totp", "webauthn", "oidc"
PURPOSE = "authenticators"
SECRET_BYTES_MAX = 1_024
CODE_CHARACTERS = 25  # of 5 bits each: 125 random bits
CODE_GROUP = 5
ISSUER_CHARACTERS_MAX, SUBJECT_CHARACTERS_MAX = 500, 255
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no letter that reads as a digit


@dataclass(frozen=True, slots=True)
class Authenticator:
    """One live authenticator. value: as the table keeps it; ends_ms: when it stops counting, UTC; delivered_how,
    delivered_by: in what way, and by whom, it or the code for it came to the person."""

    id: str
    account: str
    kind: str
    value: bytes = field(repr=False)
    ends_ms: int
    delivered_how: str
    delivered_by: str

    @property
    def opens_sessions(self) -> bool:
        """Whether a session may stand on it: a TOTP secret only goes with a password, a code only registers others."""
        return self.kind in {PASSWORD, WEBAUTHN, OIDC}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of a security key that holds. authenticator: its row's, nothing when it is being registered; value:
    the credential with its public key; counter: signatures so far; challenge, until_ms: digest and end, to be used
    up.
    """

    authenticator: str
    value: bytes
    counter: int
    challenge: bytes
    until_ms: int


def authenticator_of(row: Mapping[str, Any]) -> Authenticator:
    """From the columns of its row."""
    return Authenticator(
        *(row["id"], row["account"], row["kind"], bytes(row["value"]), row["ends_ms"]),
        *(row["delivered_how"], row["delivered_by"]),
    )


def new_id() -> str:
    """The id of a new authenticator."""
    return secrets.token_hex(8)


async def authenticators_key(kms: Kms) -> bytes:
    """The key that seals what verifies; the platform's own scope is made at first use."""
    return await platform_key(kms, PURPOSE)


def seal_secret(secret: bytes, key: bytes, id_: str, account: str, kind: str) -> bytes:
    """The value of a password's or a TOTP secret's row."""
    return seal(secret, key=key, meaning=_meaning(id_, account, kind), compress=False)


def open_secret(one: Authenticator, key: bytes) -> bytes | None:
    """What was sealed; None: it is not this row's."""
    try:
        meaning = _meaning(one.id, one.account, one.kind)
        return open_sealed(one.value, key=key, meaning=meaning, bytes_max=SECRET_BYTES_MAX)
    except SealBrokenError:
        return None


def _meaning(id_: str, account: str, kind: str) -> bytes:
    return canonical("hygie authenticator v1", id_, account, kind)


def derived_key(key: bytes, what: str) -> bytes:
    """A key (32 bytes) for one other use of the same secret: scopes of failed sign-ins, challenges."""
    return hmac.digest(key, canonical("hygie authenticator key v1", what), hashlib.sha256)


def new_code() -> str:
    """An enrolment code, as people read it: five groups of five."""
    code = "".join(secrets.choice(_ALPHABET) for _ in range(CODE_CHARACTERS))
    return "-".join(code[at : at + CODE_GROUP] for at in range(0, CODE_CHARACTERS, CODE_GROUP))


def plain_code(typed: str) -> str:
    """A code as it was made, from what somebody typed; empty when it cannot be one."""
    plain = "".join(typed.upper().replace("-", "").split()).translate(str.maketrans("OIL", "011"))
    return plain if len(plain) == CODE_CHARACTERS and set(plain) <= set(_ALPHABET) else ""


def code_digest(code: str) -> bytes:
    """The value of an enrolment's row: codes have 125 random bits, so a plain hash cannot be searched."""
    return hashlib.sha256(plain_code(code).encode()).digest()


def identity(issuer: str, subject: str) -> bytes:
    """The value of an identity's row. Compared as it is (OpenID Connect Core 1.0, 2: case sensitive).

    Raises: AuthenticatorRefusedError: no address of an issuer (https, or http on this machine), or no subject.
    """
    if not is_safe_address(issuer) or "?" in issuer or len(issuer) > ISSUER_CHARACTERS_MAX:
        raise AuthenticatorRefusedError(reason="issuer")
    if not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX or not subject.isprintable():
        raise AuthenticatorRefusedError(reason="subject")
    return canonical(issuer, subject)


def base64url(data: bytes) -> str:
    """Without padding, as WebAuthn writes bytes in JSON."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
