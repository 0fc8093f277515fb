"""The chain of the log of registers: each write's digest covers the one before. Pure.

Source: docs/formats/register-log.md v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from hygie.base.canonical import canonical
from hygie.registers.errors import RegisterTamperedError
from hygie.registers.holes import Hole, Passing

MARK = "hygie register record v1"
START = bytes(32)
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class RecordVersion:
    """One version of one record, as it was written. fields: stored values; at_ms: UTC; digest: in the chain."""

    seq: int
    register: str
    key: str
    version: int
    at_ms: int
    author: str
    approver: str
    tenant: str
    state: str
    reason: str
    fields: Mapping[str, Any]
    digest: bytes = b""

    @property
    def body(self) -> str:
        """Its fields as JSON text, keys sorted, no spaces: what is stored and hashed."""
        return encode_body(self.fields)


def encode_body(fields: Mapping[str, Any]) -> str:
    """The JSON text of a record's fields: keys sorted, no spaces, UTF-8 kept."""
    return _encode(dict(fields)).decode()


def decode_body(text: str) -> dict[str, Any]:
    """The fields of a stored body. Raises: msgspec.DecodeError."""
    return msgspec.json.decode(text, type=dict[str, Any])


def digest_of(record: RecordVersion, before: bytes, body: str | None = None) -> bytes:
    """The digest of one write. Args: before: digest of the write before it; body: its text as stored, if at hand."""
    return sha256(
        canonical(
            MARK,
            before,
            *(record.seq, record.register, record.key, record.version, record.at_ms),
            *(record.author, record.approver, record.tenant, record.state, record.reason),
            record.body if body is None else body,
        )
    ).digest()


def linked(records: Iterable[RecordVersion], before: bytes) -> Iterator[RecordVersion]:
    """The same records with their digests. Args: before: digest of the last write of the log."""
    for record in records:
        before = digest_of(record, before)
        yield RecordVersion(
            *(record.seq, record.register, record.key, record.version, record.at_ms, record.author, record.approver),
            *(record.tenant, record.state, record.reason, record.fields, before),
        )


def check_chain(records: Iterable[tuple[RecordVersion, str]], *, holes: Sequence[Hole] = ()) -> tuple[int, bytes]:
    """Follow the chain from its beginning.

    Args: records: each with its body as stored; holes: numbers that were declared lost, in order.
    Returns: number and digest of the last write that is there. Raises: RegisterTamperedError: names the first bad one.
    """
    seq, before, at_ms, passing = 0, START, 0, Passing(holes)
    versions: dict[tuple[str, str], int] = {}
    for record, body in records:
        if (jumped := passing.past(seq, before)) != (seq, before):
            (seq, before), versions = jumped, {}  # of what was lost, nobody knows the versions
        if record.seq != seq + 1:
            raise RegisterTamperedError(seq=seq + 1, reason="missing")
        if record.digest != digest_of(record, before, body):
            raise RegisterTamperedError(seq=record.seq, reason="altered")
        known = versions.get((record.register, record.key))
        if known is not None and record.version != known + 1:
            raise RegisterTamperedError(seq=record.seq, reason="version")
        if record.at_ms < at_ms:
            raise RegisterTamperedError(seq=record.seq, reason="back-dated")
        versions[record.register, record.key] = record.version
        seq, before, at_ms = record.seq, record.digest, record.at_ms
    return seq, before
