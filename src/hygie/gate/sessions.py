"""Access tokens: what a session says of itself, under a MAC; nothing is stored, so one costs no write and no reload.

Source: docs/formats/access-token.md v1, docs/adr/0017-access-tokens.md.  The key is a purpose of the platform's own
scope in the KMS.  A token says who and for how long; what may be done, within its scopes, is looked up at each request,
and a session that is ended early is named in a table that every process reads before it admits anybody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

import msgspec

from hygie.base.canonical import canonical
from hygie.keys.kms import Kms, platform_key

PREFIX = "hyg_a_"  # lets secret scanners recognise a leaked token
PURPOSE = "sessions"
CONTEXT = "hygie access token v1"
MAC_BYTES = 32
TOKEN_CHARACTERS_MAX = 2_048
SCOPE_BYTES_MAX = 1_024  # of all scopes in one token: a longer list is asked for in several
ID_BYTES = 16
# What a person opened before an instant ends: (account, before_ms, until_ms); kept longer than any session lives.
CUT = "INSERT INTO hygie.session_cut (account, before_ms, until_ms) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
CUT_KEPT_MS = 24 * 3_600_000


class Session(msgspec.Struct, frozen=True, array_like=True):
    """What one access token says.

    id: 16 random bytes; key: id of the client key, or of the authenticator, that proved the account; tenant_id,
    environment_id: 16 bytes each; issued_ms, expires_ms: UTC; method: how the account authenticated
    (``private_key_jwt``, ``tls_client_auth``, those of people); scopes: SMART v2 scopes that were granted; binding:
    SHA-256 (32 bytes) of the client certificate that must present it, empty for a bearer token. A person's session
    says more: application: account of the application that it was given to; acr: the level that an identity provider
    stated, or nothing; proven_ms: when the person was proven;
    redirect: id of the registered address that it was given at.
    """

    id: bytes
    account: str
    key: str
    tenant_id: bytes
    environment_id: bytes
    issued_ms: int
    expires_ms: int
    method: str
    scopes: tuple[str, ...]
    binding: bytes = b""
    application: str = ""
    acr: str = ""
    proven_ms: int = 0
    redirect: str = ""

    @property
    def authentication(self) -> str:
        """How the account authenticated, as the journal says it."""
        return f"{self.method} acr={self.acr}" if self.acr else self.method


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Session).decode


async def sessions_key(kms: Kms) -> bytes:
    """The key of the MACs; the platform's own scope is made at first use."""
    return await platform_key(kms, PURPOSE)


def new_id() -> bytes:
    """The id of a new session."""
    return secrets.token_bytes(ID_BYTES)


def seal_session(session: Session, key: bytes) -> str:
    """The token of a session."""
    body = _encode(session)
    return PREFIX + base64.urlsafe_b64encode(_mac(body, key) + body).decode().rstrip("=")


def open_session(token: str, key: bytes) -> Session | None:
    """The session of a token that Hygie made; None for anything else. The MAC is checked before a byte is read."""
    if not token.startswith(PREFIX) or len(token) > TOKEN_CHARACTERS_MAX:
        return None
    text = token[len(PREFIX) :]
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    mac, body = data[:MAC_BYTES], data[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(body, key)):
        return None
    try:
        return _decode(body)
    except msgspec.DecodeError:  # of another version
        return None


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, canonical(CONTEXT, body), hashlib.sha256)
