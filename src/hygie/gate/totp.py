"""Codes of six digits that change every thirty seconds. Pure. Source: RFC 6238; RFC 4226.

The primitive is ``cryptography``'s.  Which step a code is of is said, so that each is taken once.
"""

from __future__ import annotations

import base64
import hmac
import secrets

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

SECRET_BYTES = 20  # RFC 4226, section 4, R6
DIGITS = 6
STEP_S = 30
STEPS_AROUND = 1  # a clock half a minute off, or a slow hand (RFC 6238, 5.2)
ISSUER = "Hygie"


def new_secret() -> bytes:
    """20 random bytes."""
    return secrets.token_bytes(SECRET_BYTES)


def step_of(secret: bytes, code: str, now_ms: int) -> int | None:
    """The step (of 30 s since 1970) that a code is of, now or one step around; None: of none."""
    typed = "".join(code.split())
    if len(typed) != DIGITS or not typed.isascii() or not typed.isdigit():
        return None
    codes = _codes(secret)
    now = now_ms // (STEP_S * 1_000)
    found = None
    for step in range(now - STEPS_AROUND, now + STEPS_AROUND + 1):
        if hmac.compare_digest(codes.generate(step * STEP_S), typed.encode()):
            found = step
    return found


def address_of(secret: bytes, account: str) -> str:
    """What a telephone takes in, typed or as a QR code: ``otpauth://totp/…``."""
    return _codes(secret).get_provisioning_uri(account, ISSUER)


def typed_form(secret: bytes) -> str:
    """The secret in base32, for a telephone without camera."""
    return base64.b32encode(secret).decode()


def _codes(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303 (HMAC-SHA1: the one that every telephone knows)
