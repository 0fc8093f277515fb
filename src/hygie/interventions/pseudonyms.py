"""Staff as a client reads of them: a role, and a pseudonym that stays the same for this client and links no two.

HMAC-SHA256 of client and account under a key of the platform's own scope; 50 bits of it in letters and digits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from hygie.base.canonical import canonical
from hygie.keys.kms import Kms, platform_key

PURPOSE = "staff-pseudonyms"
PREFIX = "staff:"
CHARACTERS = 10


async def pseudonym_key(kms: Kms) -> bytes:
    """The key; the platform's own scope is made at first use."""
    return await platform_key(kms, PURPOSE)


def pseudonym(key: bytes, tenant_id: bytes, account: str) -> str:
    """``staff:…`` of one account for one client."""
    digest = hmac.digest(key, canonical("hygie staff pseudonym v1", tenant_id, account), hashlib.sha256)
    return PREFIX + base64.b32encode(digest).decode().lower()[:CHARACTERS]


def role_of(duties: Sequence[str]) -> str:
    """A role that names nobody: the duties of a person, or ``staff``."""
    return " ".join(sorted(duties)) or "staff"
