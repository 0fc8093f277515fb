"""Seal bytes so that they open only under their own key and their own meaning.

Source: docs/formats/sealed.md v1.  Construction: HKDF-SHA256 (RFC 5869) of the parent key with a fresh random
32-byte salt and the meaning as info gives 64 bytes: an AES-256-GCM key (NIST SP 800-38D) and a key commitment.
The key seals exactly one message, so the nonce is constant zero.  The commitment is compared before decryption:
one sealed message cannot be opened in two ways.

Layout: ``HYS1`` | flags u8 (bit 0: zstd) | salt 32 | commitment 32 | ciphertext | tag 16.
"""

from __future__ import annotations

import hmac
import os
import threading
from typing import ClassVar

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hygie.base.errors import IntegrityError

MAGIC = b"HYS1"
SALT_BYTES = 32
COMMITMENT_BYTES = 32
TAG_BYTES = 16
HEADER_BYTES = len(MAGIC) + 1 + SALT_BYTES + COMMITMENT_BYTES
OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES
FLAG_ZSTD = 1
KEY_BYTES = 32
COMPRESS_FROM_BYTES = 128  # below, zstd's frame costs more than it saves (measured on FHIR resources)
_NONCE = bytes(12)
_CONTEXT = b"hygie seal v1\0"
_local = threading.local()  # zstandard's objects are not thread-safe


class SealBrokenError(IntegrityError):
    """A sealed message does not open under this key and meaning."""

    code = "HYG-501"
    fr = "Un objet scellé ne s'ouvre pas sous sa propre signification."
    en = "A sealed object does not open under its own meaning."
    retryable: ClassVar[bool] = False


def seal(plaintext: bytes, *, key: bytes, meaning: bytes, compress: bool = True) -> bytes:
    """Seal one message.

    Args: key: 32 bytes, the parent key (compartment, environment or month key); meaning: canonical bytes,
    authenticated, not stored.
    Side effects: draws 32 bytes from the system generator; no I/O, no clock.
    """
    flags = 0
    if compress and len(plaintext) >= COMPRESS_FROM_BYTES:
        packed = _compressor().compress(plaintext)
        if len(packed) < len(plaintext):
            plaintext, flags = packed, FLAG_ZSTD
    salt = os.urandom(SALT_BYTES)
    object_key, commitment = _derive(key, salt, meaning)
    head = MAGIC + bytes((flags,))
    box = AESGCM(object_key).encrypt(_NONCE, plaintext, head + meaning)
    return b"".join((head, salt, commitment, box))


def open_sealed(sealed: bytes, *, key: bytes, meaning: bytes, bytes_max: int) -> bytes:
    """Open one sealed message.

    Args: bytes_max: largest plaintext accepted, bytes (a decompression bound).
    Raises: SealBrokenError: wrong key, wrong meaning, altered or truncated bytes, or plaintext over ``bytes_max``.
    """
    if len(sealed) < OVERHEAD_BYTES or sealed[:4] != MAGIC or sealed[4] > FLAG_ZSTD:
        raise SealBrokenError()
    salt = sealed[5 : 5 + SALT_BYTES]
    object_key, commitment = _derive(key, salt, meaning)
    if not hmac.compare_digest(commitment, sealed[5 + SALT_BYTES : HEADER_BYTES]):
        raise SealBrokenError()
    return _open_box(sealed, object_key, meaning, bytes_max)


def _open_box(sealed: bytes, object_key: bytes, meaning: bytes, bytes_max: int) -> bytes:
    try:
        plaintext = AESGCM(object_key).decrypt(_NONCE, sealed[HEADER_BYTES:], sealed[:5] + meaning)
    except InvalidTag as error:
        raise SealBrokenError() from error
    if sealed[4] & FLAG_ZSTD:
        try:
            size = zstandard.frame_content_size(plaintext)
            if not 0 <= size <= bytes_max:
                raise SealBrokenError()
            plaintext = _decompressor().decompress(plaintext)
        except zstandard.ZstdError as error:
            raise SealBrokenError() from error
    if len(plaintext) > bytes_max:
        raise SealBrokenError()
    return plaintext


def _derive(key: bytes, salt: bytes, meaning: bytes) -> tuple[bytes, bytes]:
    okm = HKDF(SHA256(), KEY_BYTES + COMMITMENT_BYTES, salt, _CONTEXT + meaning).derive(key)
    return okm[:KEY_BYTES], okm[KEY_BYTES:]


def _compressor() -> zstandard.ZstdCompressor:
    compressor: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=1)
    return compressor


def _decompressor() -> zstandard.ZstdDecompressor:
    decompressor: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    return decompressor
