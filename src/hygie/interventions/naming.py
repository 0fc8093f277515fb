"""Names and digests of sessions, in letters enough that no register takes one for a patient's number. Pure."""

from __future__ import annotations

import base64
import hashlib

CHARACTERS = 16  # 80 bits


def short_name(content: bytes) -> str:
    """A name made of a content's SHA-256, in base 32."""
    return base64.b32encode(hashlib.sha256(content).digest()).decode().lower()[:CHARACTERS]


def digest_of(content: bytes) -> str:
    """SHA-256 as OpenSSH writes it: ``SHA256:`` and base 64."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
