"""One byte string for one tuple of fields: what is authenticated, hashed or signed goes through here.

Source: docs/formats/canonical.md v1.  Each field is its length (u32, big-endian) then its bytes, in order;
the count of fields (u8) comes first.  Text is UTF-8, integers are 8 bytes big-endian.  Because every field
carries its length, two different tuples never give the same bytes.
"""

from __future__ import annotations

import struct

FIELDS_MAX = 255

Field = str | bytes | int


def canonical(*fields: Field) -> bytes:
    """Encode fields unambiguously.

    Raises, both for a programming mistake: ValueError: more than 255 fields; OverflowError: an integer outside
    0..2**64-1.
    """
    if len(fields) > FIELDS_MAX:
        raise ValueError("too many fields")
    parts = [bytes((len(fields),))]
    for field in fields:
        raw = field.encode() if isinstance(field, str) else field
        raw = raw.to_bytes(8, "big") if isinstance(raw, int) else raw
        parts += (struct.pack(">I", len(raw)), raw)
    return b"".join(parts)
