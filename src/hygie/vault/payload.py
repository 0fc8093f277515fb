"""What a sealed object holds, so that a pack can be understood without any database.

Source: docs/formats/object.md v1.  ``u32 length of head | head (MessagePack array) | body``.
"""

from __future__ import annotations

import struct

import msgspec

from hygie.base.canonical import canonical
from hygie.base.seal import SealBrokenError
from hygie.vault.model import OBJECT_BYTES_MAX, Blob
from hygie.vault.tokens import TERM_TOKEN_BYTES

PAYLOAD_BYTES_MAX = OBJECT_BYTES_MAX + 4 * 1024 * 1024  # body, plus a head of at most 4 MiB of terms
_LENGTH = struct.Struct(">I")


class Head(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The meaning of one version in clear, under the seal.

    type, id, version, at_ms: as the caller knows them; deleted: a deletion; terms: blind tokens, 8 bytes each,
    big-endian; blob: chunked content, if any.
    """

    type: str
    id: str
    version: int
    at_ms: int
    deleted: bool
    terms: bytes
    blob: tuple[bytes, bytes, int, int] | None = None


class SetHead(Head, array_like=True, frozen=True, gc=False):
    """The same for a set of patients. members: subject (16), from and until (ms, 8 each) of each, sorted."""

    members: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SetHead)


def encode_payload(head: Head, body: bytes) -> bytes:
    """Head and body as one plaintext."""
    packed = _encoder.encode(head)
    return b"".join((_LENGTH.pack(len(packed)), packed, body))


def decode_payload(plaintext: bytes) -> tuple[SetHead, bytes]:
    """Head and body of one plaintext.

    Raises: SealBrokenError: the plaintext was not made by ``encode_payload``.
    """
    try:
        (length,) = _LENGTH.unpack_from(plaintext)
        head = _decoder.decode(plaintext[4 : 4 + length])
    except (struct.error, msgspec.DecodeError) as error:
        raise SealBrokenError() from error
    return head, plaintext[4 + length :]


def split_tokens(packed: bytes) -> list[bytes]:
    """Tokens from the bytes of a head."""
    return [packed[at : at + TERM_TOKEN_BYTES] for at in range(0, len(packed), TERM_TOKEN_BYTES)]


def blob_of(head: Head) -> Blob | None:
    """The chunked content a head names."""
    return Blob(*head.blob) if head.blob else None


def object_meaning(
    tenant_id: bytes, environment_id: bytes, compartment: bytes, object_id: bytes, version: int
) -> bytes:
    """What a sealed object authenticates: moved elsewhere, it does not open.

    The object id token is a MAC of type and logical id, so both are bound.
    """
    return canonical("object", tenant_id, environment_id, compartment, object_id, version)
