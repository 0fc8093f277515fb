"""One published object of the logs: its head, its rows, the chain through them, its seal and its signature. Pure.

Source: docs/formats/proof-segments.md v1; the chains are those of docs/formats/register-log.md v1 and
docs/formats/evidence-log.md v1, derived here again from stored columns: what is published was never taken on trust.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.base.canonical import canonical
from hygie.base.seal import SealBrokenError, open_sealed, seal
from hygie.segments.errors import SegmentBrokenError

PREFIX = "proof/"
RECORDS, BATCHES, DOCUMENTS, CATALOGUES = "records", "batches", "documents", "catalogues"
LOGS = (RECORDS, BATCHES)
START = bytes(32)
MAGIC = b"HYGPROF1"
PLAIN_BYTES_MAX = 64 << 20  # one object opens in memory; a document has 25 MiB at most, a merged segment 8 MiB of rows
SIGNATURE_BYTES = 64
DIGITS = 12
_HEAD = struct.Struct(">8sBQQ32s32s")
HEAD_BYTES: Final = _HEAD.size
_KIND: Final = {RECORDS: 1, BATCHES: 2, DOCUMENTS: 3, CATALOGUES: 4}
_LOG: Final = {code: log for log, code in _KIND.items()}
_NAME = re.compile(r"proof/(records|batches)/(\d{12})-(\d{12})|proof/(documents|catalogues)/([0-9a-f]{64})")


class RecordRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One write of registers, columns as in ``hygie_proof.record``."""

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
    body: str
    digest: bytes

    def linked(self, before: bytes) -> bytes:
        """Its digest in the chain. Args: before: digest of the write before it."""
        return hashlib.sha256(
            canonical(
                "hygie register record v1",
                before,
                *(self.seq, self.register, self.key, self.version, self.at_ms, self.author, self.approver),
                *(self.tenant, self.state, self.reason, self.body),
            )
        ).digest()

    @property
    def plain(self) -> int:
        """About how many bytes it takes."""
        return len(self.body) + len(self.reason) + 200


class BatchRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One evaluation, columns as in ``hygie_proof.batch``; bodies: of its runs, in order."""

    seq: int
    at_ms: int
    cause: str
    mode: str
    catalogue: bytes
    digest: bytes
    bodies: list[str]

    def linked(self, before: bytes) -> bytes:
        """Its digest in the chain. Args: before: digest of the batch before it."""
        runs = hashlib.sha256()
        for body in self.bodies:
            raw = body.encode()
            runs.update(len(raw).to_bytes(4, "big") + raw)
        return hashlib.sha256(
            canonical(
                "hygie evidence batch v1",
                before,
                *(self.seq, self.at_ms, self.cause, self.mode, self.catalogue, len(self.bodies)),
                runs.digest(),
            )
        ).digest()

    @property
    def plain(self) -> int:
        """About how many bytes it takes."""
        return sum(map(len, self.bodies)) + 200


Row = RecordRow | BatchRow


class FileBody(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A document or a catalogue. name, media_type: of a document only."""

    name: str
    media_type: str
    at_ms: int
    content: bytes


class _Records(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    documents: list[bytes]
    rows: list[RecordRow]


class _Batches(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    documents: list[bytes]
    rows: list[BatchRow]


_BODY: Final[dict[str, type[_Records] | type[_Batches]]] = {RECORDS: _Records, BATCHES: _Batches}


@dataclass(frozen=True, slots=True)
class Keys:
    """key: seals; public_keys: the "backup" keys that sign or signed."""

    key: bytes
    public_keys: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive writes of one log. before: digest of the write before the first; documents: that its records name."""

    log: str
    before: bytes
    rows: Sequence[Row]
    documents: Sequence[bytes] = ()

    @property
    def first(self) -> int:
        """Number of its first write."""
        return self.rows[0].seq

    @property
    def last(self) -> int:
        """Number of its last write."""
        return self.rows[-1].seq

    @property
    def digest(self) -> bytes:
        """Of its last write."""
        return self.rows[-1].digest

    @property
    def name(self) -> str:
        """Where it is on the sites."""
        return segment_name(self.log, self.first, self.last)

    @property
    def plain(self) -> int:
        """About how many bytes its rows take."""
        return sum(row.plain for row in self.rows)


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says. first, last: 0 for a document or a catalogue, which has a digest."""

    log: str
    first: int = 0
    last: int = 0
    digest: bytes = b""


def segment_name(log: str, first: int, last: int) -> str:
    """The name of a segment on the sites."""
    return f"{PREFIX}{log}/{first:0{DIGITS}d}-{last:0{DIGITS}d}"


def file_name(log: str, digest: bytes) -> str:
    """The name of a document or a catalogue on the sites."""
    return f"{PREFIX}{log}/{digest.hex()}"


def read_name(name: str) -> Named | None:
    """What a name says; None: it is none of ours."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    if found[4]:
        return Named(found[4], digest=bytes.fromhex(found[5]))
    named = Named(found[1], int(found[2]), int(found[3]))
    return named if 0 < named.first <= named.last else None


def check_rows(log: str, rows: Iterable[Row], *, seq: int, before: bytes) -> bytes:
    """Follow a chain. Args: seq, before: of the write before the first. Returns: the last digest.

    Raises: SegmentBrokenError: names the log and the number.
    """
    for row in rows:
        seq += 1
        if row.seq != seq or row.digest != row.linked(before):
            raise SegmentBrokenError(name=f"{log} {seq}", reason="chain")
        before = row.digest
    return before


def seal_segment(segment: Segment, *, key: bytes) -> bytes:
    """Head and sealed rows, to be signed."""
    plain = msgspec.msgpack.encode([list(segment.documents), segment.rows])
    return _sealed((segment.log, segment.first, segment.last, segment.before, segment.digest), plain, key)


def seal_file(log: str, body: FileBody, *, key: bytes) -> bytes:
    """Head and sealed content of a document or a catalogue, to be signed."""
    digest = hashlib.sha256(body.content).digest()
    return _sealed((log, 0, 0, START, digest), msgspec.msgpack.encode(body), key)


def to_sign(sealed: bytes) -> bytes:
    """What the "backup" key signs."""
    return canonical("hygie proof segment v1", hashlib.sha256(sealed).digest())


def open_segment(data: bytes, keys: Keys, *, name: str) -> Segment:
    """Read a segment back, its whole chain followed.

    Raises: SegmentBrokenError: signed by no known key, altered, under another name, not in the format.
    """
    head, plain = _opened(data, keys, name)
    log, first, last, before, after = head
    if log not in LOGS:
        raise SegmentBrokenError(name=name, reason="format")
    try:
        body = msgspec.msgpack.decode(plain, type=_BODY[log])
    except msgspec.DecodeError as error:
        raise SegmentBrokenError(name=name, reason="format") from error
    if len(body.rows) != last - first + 1 or check_rows(log, body.rows, seq=first - 1, before=before) != after:
        raise SegmentBrokenError(name=name, reason="chain")
    return Segment(log, before, body.rows, body.documents)


def open_file(data: bytes, keys: Keys, *, name: str) -> FileBody:
    """Read a document or a catalogue back. Raises: as ``open_segment``."""
    head, plain = _opened(data, keys, name)
    try:
        body = msgspec.msgpack.decode(plain, type=FileBody)
    except msgspec.DecodeError as error:
        raise SegmentBrokenError(name=name, reason="format") from error
    if head[0] in LOGS or hashlib.sha256(body.content).digest() != head[4]:
        raise SegmentBrokenError(name=name, reason="chain")
    return body


def _sealed(head: tuple[Any, ...], plain: bytes, key: bytes) -> bytes:
    packed = _HEAD.pack(MAGIC, _KIND[head[0]], *head[1:])
    return packed + seal(plain, key=key, meaning=_meaning(packed))


def _opened(data: bytes, keys: Keys, name: str) -> tuple[tuple[str, int, int, bytes, bytes], bytes]:
    """The head as (log, first, last, before, after), and the plaintext; signature, mark, name and seal checked."""
    sealed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    if len(sealed) < HEAD_BYTES or not _signed(sealed, signature, keys.public_keys):
        raise SegmentBrokenError(name=name, reason="signature")
    magic, kind, first, last, before, after = _HEAD.unpack_from(sealed)
    if magic != MAGIC or kind not in _LOG:
        raise SegmentBrokenError(name=name, reason="format")
    log = _LOG[kind]
    if name != (segment_name(log, first, last) if log in LOGS else file_name(log, after)):
        raise SegmentBrokenError(name=name, reason="renamed")
    head = sealed[:HEAD_BYTES]
    try:
        plain = open_sealed(sealed[HEAD_BYTES:], key=keys.key, meaning=_meaning(head), bytes_max=PLAIN_BYTES_MAX)
    except SealBrokenError as error:
        raise SegmentBrokenError(name=name, reason="seal") from error
    return (log, first, last, before, after), plain


def _signed(sealed: bytes, signature: bytes, public_keys: Sequence[bytes]) -> bool:
    message = to_sign(sealed)
    for public_key in public_keys:
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def _meaning(head: bytes) -> bytes:
    return canonical("hygie proof segment body v1", head)
