"""Records in JSON, with every version: what one installation wrote, another reads back without loss.

Source: docs/formats/register-files.md v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, BinaryIO

import msgspec

from hygie.registers.chain import RecordVersion
from hygie.registers.exchange.grid import refused
from hygie.registers.exchange.limits import ROWS_MAX
from hygie.registers.schema import Schema

FORMAT = "hygie register export 1"


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version as it was written; seq, at_ms, author and digest are those of the log it comes from."""

    version: int
    state: str
    fields: dict[str, Any]
    tenant: str = ""
    reason: str = ""
    approver: str = ""
    author: str = ""
    at_ms: int = 0
    seq: int = 0
    digest: str = ""


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One record and its versions, oldest first."""

    key: str
    versions: tuple[Version, ...]


class Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file. at_ms: what it holds is as known then."""

    format: str
    register: str
    schema: int
    at_ms: int
    records: tuple[Kept, ...]


def read_json(content: bytes) -> Export:
    """The records of a file, versions in order. Raises: FileRefusedError: not such a file, or a limit."""
    try:
        export = msgspec.json.decode(content, type=Export)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise refused(1, "ce n'est pas un export de registre", "not the export of a register") from None
    if export.format != FORMAT:
        raise refused(1, "format inconnu", "unknown format")
    if sum(len(one.versions) for one in export.records) > ROWS_MAX:
        raise refused(1, f"{ROWS_MAX} versions au plus", f"{ROWS_MAX} versions at most")
    seen: set[str] = set()
    for number, one in enumerate(export.records, 1):
        if one.key in seen:
            raise refused(number, "une fiche y est deux fois", "a record is there twice")
        seen.add(one.key)
        if [each.version for each in one.versions] != list(range(1, len(one.versions) + 1)):
            raise refused(number, "des versions manquent", "versions are missing")
    return export


def write_json(file: BinaryIO, schema: Schema, versions: Iterable[RecordVersion], *, at_ms: int) -> int:
    """Write every version, by key then version: one record a line. Returns how many records."""
    encode = msgspec.json.Encoder(order="sorted").encode
    head = encode({"format": FORMAT, "register": schema.id, "schema": schema.version, "at_ms": at_ms})
    file.write(head[:-1] + b',"records":[')
    count = 0
    for key, each in groupby(versions, key=lambda one: one.key):
        file.write((b",\n" if count else b"\n") + encode({"key": key, "versions": [_version(one) for one in each]}))
        count += 1
    file.write(b"\n]}\n")
    return count


def _version(record: RecordVersion) -> dict[str, Any]:
    return {
        "version": record.version,
        "state": record.state,
        "fields": dict(record.fields),
        "tenant": record.tenant,
        "reason": record.reason,
        "approver": record.approver,
        "author": record.author,
        "at_ms": record.at_ms,
        "seq": record.seq,
        "digest": record.digest.hex(),
    }


def same_content(stored: Sequence[RecordVersion], kept: Sequence[Version]) -> bool:
    """Whether versions say the same: fields, state and client; who wrote them and when is of each log."""
    return all(
        (dict(a.fields), a.state, a.tenant) == (b.fields, b.state, b.tenant) for a, b in zip(stored, kept, strict=False)
    )
