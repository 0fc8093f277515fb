"""A pack: the sealed objects of one commit, self-describing.

Source: docs/formats/pack.md v1::

    HYGPACK1 | tenant 16 | environment 16 | number u64
    sealed objects, one after the other
    table, sealed under the environment's pack key
    table_start u64 | table_length u64 | sha256 of all that precedes 32 | HYGPEND1

The table names every object by opaque id, version and offsets, and carries the wraps of the compartment keys first
used here: with the keys, packs alone rebuild the catalogue.
"""

from __future__ import annotations

import hashlib
import struct

import msgspec

from hygie.base.canonical import canonical
from hygie.base.permit import Place
from hygie.base.seal import open_sealed, seal
from hygie.vault.errors import PackFormatError

MAGIC = b"HYGPACK1"
END = b"HYGPEND1"
HEADER = struct.Struct(">8s16s16sQ")
FOOTER = struct.Struct(">QQ32s8s")
TABLE_BYTES_MAX = 64 * 1024 * 1024


class PackedObject(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One object of a pack. start, length: where its sealed bytes are, from the pack's first byte."""

    object_id: bytes
    version: int
    type_code: int
    compartment: bytes
    start: int
    length: int
    at_ms: int
    deleted: bool


class PackedCompartment(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A compartment first used in this pack. kind: 0 environment, 1 patient, 2 several patients."""

    compartment: bytes
    kind: int
    subject: bytes
    members: list[bytes]
    epoch: int
    wrap: bytes


class PackTable(msgspec.Struct, array_like=True, frozen=True):
    """All a rebuild needs of one pack."""

    number: int
    created_at_ms: int
    objects: list[PackedObject]
    compartments: list[PackedCompartment]


def pack_name(environment_id: bytes, number: int) -> str:
    """The pack's name on sites and backup targets."""
    return f"packs/{environment_id.hex()}/{number:012d}.pack"


def build_pack(place: Place, table: PackTable, sealed: list[bytes], *, pack_key: bytes) -> tuple[bytes, bytes]:
    """Bytes of a pack and their SHA-256.

    ``table.objects`` must hold the offsets of ``sealed`` in order, the first at ``HEADER.size``.
    """
    box = seal(msgspec.msgpack.encode(table), key=pack_key, meaning=_meaning(place, table.number))
    head = HEADER.pack(MAGIC, place.tenant_id, place.environment_id, table.number)
    front = b"".join((head, *sealed, box))
    front_hash = hashlib.sha256(front)
    footer = FOOTER.pack(len(front) - len(box), len(box), front_hash.digest(), END)
    front_hash.update(footer)
    return front + footer, front_hash.digest()


def check_pack(pack: bytes, place: Place, *, number: int) -> tuple[int, int]:
    """Check a whole pack without any key: (start, length) of its table.

    Raises: PackFormatError: truncated, altered, of another environment or under another number.
    """
    if len(pack) < HEADER.size + FOOTER.size:
        raise PackFormatError(part="truncated")
    magic, tenant_id, environment_id, named = HEADER.unpack_from(pack)
    if magic != MAGIC:
        raise PackFormatError(part="marks")
    if (tenant_id, environment_id, named) != (place.tenant_id, place.environment_id, number):
        raise PackFormatError(part="identity")
    start, length = read_front(pack[-FOOTER.size :], len(pack))
    if hashlib.sha256(memoryview(pack)[: -FOOTER.size]).digest() != pack[-40:-8]:
        raise PackFormatError(part="digest")
    return start, length


def read_front(footer: bytes, pack_bytes: int) -> tuple[int, int]:
    """(start, length) of the table, from the pack's last bytes.

    Raises: PackFormatError: not a footer, or offsets that do not fit.
    """
    if len(footer) != FOOTER.size:
        raise PackFormatError(part="truncated")
    start, length, _, end = FOOTER.unpack(footer)
    if end != END:
        raise PackFormatError(part="marks")
    if start + length + FOOTER.size != pack_bytes or start < HEADER.size or length > TABLE_BYTES_MAX:
        raise PackFormatError(part="offsets")
    return start, length


def read_table(box: bytes, place: Place, *, number: int, pack_key: bytes) -> PackTable:
    """Open a pack's sealed table.

    Raises: SealBrokenError: altered, of another pack or environment; PackFormatError: not a table.
    """
    plain = open_sealed(box, key=pack_key, meaning=_meaning(place, number), bytes_max=TABLE_BYTES_MAX)
    try:
        table = msgspec.msgpack.decode(plain, type=PackTable)
    except msgspec.DecodeError as error:
        raise PackFormatError(part="table") from error
    if table.number != number:
        raise PackFormatError(part="number")
    return table


def _meaning(place: Place, number: int) -> bytes:
    return canonical("pack-table", place.tenant_id, place.environment_id, number)
