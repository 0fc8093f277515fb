"""Rows as PostgreSQL's binary COPY format, packed in one buffer.

Source: PostgreSQL documentation, COPY, "Binary Format". Header: ``PGCOPY\\n\\xff\\r\\n\\0``, flags u32 0, extension
length u32 0. Row: count of fields i16, then per field its length i32 (-1: NULL) and its bytes. Trailer: i16 -1.
Measured beside psycopg's ``Copy.write_row``: see docs/adr/0001-embedded-postgres.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
INT8_OID = 20
COLUMNS_MAX = 1600  # PostgreSQL's own limit
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Encoder = Callable[[Any], bytes]

_length = struct.Struct(">i").pack
_int8 = struct.Struct(">iq").pack


def _bytea(value: bytes) -> bytes:
    return _length(len(value)) + value


def _text(value: str) -> bytes:
    raw = value.encode()
    return _length(len(raw)) + raw


def _timestamptz(value: datetime) -> bytes:
    return _int8(8, (value - _EPOCH) // _MICROSECOND)


def _int8_array(values: Sequence[int]) -> bytes:
    count = len(values)
    if not count:
        return _EMPTY_ARRAY
    items: list[int] = [8] * (2 * count)
    items[1::2] = values
    return _array_packer(count)(20 + 12 * count, 1, 0, INT8_OID, count, 1, *items)


def _token_array(tokens: Sequence[bytes]) -> bytes:
    count = len(tokens)
    if not count:
        return _EMPTY_ARRAY
    packed = _TOKEN_LENGTH.join((_ARRAY_HEAD(20 + 12 * count, 1, 0, INT8_OID, count, 1), *tokens))
    if len(packed) != 24 + 12 * count:
        raise ValueError("a token of another length")
    return packed


@lru_cache(maxsize=1024)
def _array_packer(count: int) -> Callable[..., bytes]:
    return struct.Struct(">iiiIii" + "iq" * count).pack


_ARRAY_HEAD = struct.Struct(">iiiIii").pack
_TOKEN_LENGTH = b"\x00\x00\x00\x08"
_EMPTY_ARRAY = struct.pack(">iiiI", 12, 0, 0, INT8_OID)
_FIXED = {"int2": (2, "h"), "int4": (4, "i"), "int8": (8, "q"), "bool": (1, "?")}
_VARIABLE: dict[str, Encoder] = {
    "bytea": _bytea,
    "timestamptz": _timestamptz,
    "text": _text,
    "int8[]": _int8_array,
    "token[]": _token_array,
}


def _column_encoder(name: str) -> Encoder:
    """One value of a column that is not NULL: its length and bytes."""
    if name in _FIXED:
        size, code = _FIXED[name]
        return partial(struct.Struct(">i" + code).pack, size)
    return _VARIABLE[name]


def _run_encoder(names: Sequence[str]) -> Encoder:
    """Neighbouring columns of fixed size: one packing for all when none is NULL."""
    pack = struct.Struct(">" + "".join("i" + _FIXED[name][1] for name in names)).pack
    alone = [_column_encoder(name) for name in names]
    template: list[Any] = [size for name in names for size in (_FIXED[name][0], 0)]

    def encode(values: Sequence[Any]) -> bytes:
        if None in values:
            return b"".join(NULL if value is None else one(value) for one, value in zip(alone, values, strict=True))
        items = template[:]
        items[1::2] = values
        return pack(*items)

    return encode


@lru_cache(maxsize=64)
def _plan(types: tuple[str, ...]) -> tuple[tuple[int | slice, Encoder], ...]:
    """For each column or run of fixed columns: its place in a row, and its encoder."""
    if len(types) > COLUMNS_MAX:
        raise ValueError("too many columns")
    plan: list[tuple[int | slice, Encoder]] = []
    start = 0
    for fixed, group in groupby(types, key=_FIXED.__contains__):
        names = list(group)
        if fixed and len(names) > 1:
            plan.append((slice(start, start + len(names)), _run_encoder(names)))
        else:
            plan += [(start + place, _column_encoder(name)) for place, name in enumerate(names)]
        start += len(names)
    return tuple(plan)


def encode_rows(types: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Pack rows for ``COPY … FROM STDIN (FORMAT binary)``.

    Args: types: one name per column, among int2 int4 int8 bool bytea text timestamptz int8[] token[]; rows: values in
    that order, None is NULL; timestamptz takes an aware datetime; token[] is an int8[] column given as 8-byte strings,
    big-endian two's complement, which costs a fifth of int8[].
    Raises: KeyError: another type; ValueError: a row of another width, a token not of 8 bytes; struct.error: an integer
    out of range or not an integer; TypeError: a value of another kind. All are programming mistakes.
    """
    plan = _plan(tuple(types))
    width = len(types)
    count = struct.pack(">h", width)
    parts = [HEADER]
    add = parts.append
    for row in rows:
        if len(row) != width:
            raise ValueError("a row of another width")
        add(count)
        for place, encode in plan:
            value = row[place]
            add(NULL if value is None else encode(value))
    add(TRAILER)
    return b"".join(parts)
