"""A person's telephone: the code that it shows at an instant."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from hygie.gate.totp import DIGITS, STEP_S


def code_at(secret: bytes, now_ms: int) -> str:
    """Args: now_ms: UTC."""
    return TOTP(secret, DIGITS, SHA1(), STEP_S).generate(now_ms // 1_000).decode()
