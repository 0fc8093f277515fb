"""The bytes of one leaf: a clear head of 32 bytes, then the sealed body.

Pure, standard library and ``cryptography`` only: the offline verifier opens disclosed entries with this file alone.
Source: docs/formats/journal-entry.md v1; the body is ``hygie.base.seal`` (docs/formats/sealed.md v1), not compressed.

A disclosure shows one entry and no other: it is the HKDF-Extract output of that entry (HMAC-SHA256 of the month key
under the entry's own random salt).  From it the verifier derives the cipher key *and* the commitment, and compares the
commitment with the leaf before it decrypts: so one leaf cannot be disclosed as two different entries.
(The cipher key alone would not do: AES-GCM lets whoever chose the ciphertext open it under two keys.)
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hygie.base.actions import KINDS
from hygie.base.canonical import canonical
from hygie.journal.errors import LeafInvalidError

MAGIC = b"HYJ1"
HEAD_BYTES = 32
LEAF_BYTES_MAX = 65_535  # an entry bundle writes lengths on 16 bits (C2SP tlog-tiles)
MEANING = "hygie journal entry 1"

CODE_OF_KIND = {kind: code for code, kind in enumerate(KINDS, 1)}

# Layout of hygie.base.seal, repeated here because that file needs zstandard; tests hold the two together.
_SEAL_MAGIC = b"HYS1\0"
_SEAL_CONTEXT = b"hygie seal v1\0"
_SALT = slice(HEAD_BYTES + 5, HEAD_BYTES + 37)
_COMMITMENT = slice(HEAD_BYTES + 37, HEAD_BYTES + 69)
_BOX_AT = HEAD_BYTES + 69
LEAF_BYTES_MIN = _BOX_AT + 16
_DAY_MS = 86_400_000


class Head(NamedTuple):
    """The clear head: what tells which month key opens the body, and when it was written."""

    kind: str
    month: str
    tenant_id: bytes
    at_ms: int


@lru_cache(maxsize=64)
def _month_of_day(day: int) -> tuple[str, bytes]:
    at = datetime.fromtimestamp(day * _DAY_MS / 1000, UTC)
    return at.strftime("%Y-%m"), at.year.to_bytes(2, "big") + bytes((at.month,))


def month_at(at_ms: int) -> str:
    """The UTC month of an instant, cached by day: ``2026-11``."""
    return _month_of_day(at_ms // _DAY_MS)[0]


def pack_head(kind: str, tenant_id: bytes, at_ms: int) -> bytes:
    """The 32 bytes that open a leaf.

    Raises: ValueError: unknown kind, or a tenant id that is not 16 bytes (a programming mistake).
    """
    code = CODE_OF_KIND.get(kind)
    if code is None or len(tenant_id) != 16:
        raise ValueError("unknown kind of entry, or tenant id not of 16 bytes")
    return b"".join((MAGIC, bytes((code,)), _month_of_day(at_ms // _DAY_MS)[1], tenant_id, at_ms.to_bytes(8, "big")))


def read_head(leaf: bytes) -> Head:
    """Read the clear head of a leaf.

    Raises: LeafInvalidError: not a leaf, unknown kind, or a month that is not the instant's.
    """
    if not LEAF_BYTES_MIN <= len(leaf) <= LEAF_BYTES_MAX or leaf[:4] != MAGIC or not 1 <= leaf[4] <= len(KINDS):
        raise LeafInvalidError(reason="format")
    at_ms = int.from_bytes(leaf[24:32], "big")
    try:
        month, packed = _month_of_day(at_ms // _DAY_MS)
    except (ValueError, OverflowError, OSError) as error:
        raise LeafInvalidError(reason="instant") from error
    if packed != leaf[5:8]:
        raise LeafInvalidError(reason="month")
    return Head(KINDS[leaf[4] - 1], month, leaf[8:24], at_ms)


def meaning_of(head: bytes) -> bytes:
    """What is authenticated with the body: the head (kind, month, tenant, instant)."""
    return canonical(MEANING, head)


def disclosure_of(leaf: bytes, *, month_key: bytes) -> bytes:
    """The 32 bytes that open this leaf and no other (HKDF-Extract of RFC 5869 under the leaf's own salt).

    Raises: LeafInvalidError: not a leaf.
    """
    if len(leaf) < LEAF_BYTES_MIN:
        raise LeafInvalidError(reason="format")
    return hmac.digest(leaf[_SALT], month_key, "sha256")


def open_disclosed(leaf: bytes, disclosure: bytes) -> bytes:
    """The plaintext body (JSON) of one leaf, from its disclosure.

    Raises: LeafInvalidError: altered leaf, or a disclosure that the leaf does not commit to.
    """
    read_head(leaf)
    if leaf[HEAD_BYTES : HEAD_BYTES + 5] != _SEAL_MAGIC:
        raise LeafInvalidError(reason="seal")
    meaning = meaning_of(leaf[:HEAD_BYTES])
    info = _SEAL_CONTEXT + meaning
    key = hmac.digest(disclosure, info + b"\x01", "sha256")
    commitment = hmac.digest(disclosure, key + info + b"\x02", "sha256")
    if not hmac.compare_digest(commitment, leaf[_COMMITMENT]):
        raise LeafInvalidError(reason="commitment")
    try:
        return AESGCM(key).decrypt(bytes(12), leaf[_BOX_AT:], _SEAL_MAGIC + meaning)
    except InvalidTag as error:
        raise LeafInvalidError(reason="seal") from error
