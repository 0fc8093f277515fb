"""What a sign-in carries between two requests: texts that Hygie alone reads, writes and binds. Nothing is stored.

Source: docs/adr/0020-people-sign-in.md.  The key is a purpose of the platform's own scope in the KMS.  A text opens
only under the meaning that it was closed with: an authorization code is no sign-in page, and a page of one browser is
nothing in another.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from hygie.base.canonical import canonical
from hygie.base.seal import SealBrokenError, open_sealed, seal
from hygie.keys.kms import Kms, platform_key

PURPOSE = "sign-in"
TEXT_CHARACTERS_MAX = 6_000
CODE_MEANING = canonical("hygie authorization code v1")
CODE_LIFE_MS = 60_000  # the application asks at once; RFC 6749 allows ten minutes


class Code(msgspec.Struct, frozen=True, array_like=True):
    """What an authorization code says, to Hygie alone.

    id: 16 random bytes, which the session takes over; application, redirect: account and the registered address (its
    id) that it was sent to; challenge: PKCE S256; public: whether the application has nothing to prove itself with;
    authenticator, method, acr, proven_ms: how and when the person was proven.
    """

    id: bytes
    application: str
    redirect: str
    redirect_uri: str
    challenge: str
    public: bool
    tenant_id: bytes
    environment_id: bytes
    account: str
    authenticator: str
    method: str
    acr: str
    scopes: tuple[str, ...]
    proven_ms: int
    expires_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode_code = msgspec.msgpack.Decoder(Code).decode


async def sign_in_key(kms: Kms) -> bytes:
    """The key of these texts; the platform's own scope is made at first use."""
    return await platform_key(kms, PURPOSE)


def close_text(value: object, *, key: bytes, meaning: bytes) -> str:
    """A value as text that opens under this key and meaning only."""
    return base64.urlsafe_b64encode(seal(_encode(value), key=key, meaning=meaning)).decode().rstrip("=")


def open_text(text: str, *, key: bytes, meaning: bytes) -> bytes | None:
    """The value (MessagePack) of such a text; None for anything else."""
    if not 0 < len(text) <= TEXT_CHARACTERS_MAX:
        return None
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return open_sealed(sealed, key=key, meaning=meaning, bytes_max=TEXT_CHARACTERS_MAX)
    except (binascii.Error, ValueError, SealBrokenError):
        return None


def close_code(code: Code, key: bytes) -> str:
    """The text of a code."""
    return close_text(code, key=key, meaning=CODE_MEANING)


def open_code(text: str, key: bytes) -> Code | None:
    """The code of a text that Hygie made; None for anything else. Its life and its single use are yet to be checked."""
    raw = open_text(text, key=key, meaning=CODE_MEANING)
    try:
        return _decode_code(raw) if raw is not None else None
    except msgspec.DecodeError:  # of another version
        return None
