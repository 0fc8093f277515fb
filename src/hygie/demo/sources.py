"""What ``--load FOLDER`` reads: anyone's Bundles and resources, turned into transactions that the FHIR face takes.

A transaction or a batch is sent as it is, byte for byte.  Any other Bundle, a resource alone or a line of NDJSON
becomes entries of transactions, its bytes untouched, under its own id when it has one.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

SUFFIXES = (".json", ".json.gz", ".ndjson", ".ndjson.gz")
FILE_BYTES_MAX = 64 * 1024 * 1024  # what the FHIR face takes in one body
GROUP_ENTRIES = 250
GROUP_BYTES = 1024 * 1024


class _Head(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 (FHIR's own name)
    id: str = ""
    type: msgspec.Raw = msgspec.Raw()  # a code in a Bundle, anything elsewhere


class _Part(msgspec.Struct):
    fullUrl: str = ""  # noqa: N815
    resource: msgspec.Raw = msgspec.Raw()


class _Collection(msgspec.Struct):
    entry: list[_Part] = []


@dataclass(frozen=True, slots=True)
class Parcel:
    """One Bundle to send. resources: entries in it; refused: why it cannot be sent, instead of a body."""

    source: str
    body: bytes
    resources: int
    refused: str = ""


def files_to_load(folder: Path) -> list[Path]:
    """Every file below a folder that may hold FHIR, sorted."""
    return sorted(path for path in folder.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())


def parcels(path: Path, name: str) -> Iterator[Parcel]:
    """The Bundles of one file. What cannot be read is a parcel that says why; nothing is raised for a bad file."""
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with cast("BinaryIO", opener(path, "rb")) as file:
            if ".ndjson" in path.name:
                yield from _lines(file, name)
                return
            raw = file.read(FILE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error):
        yield Parcel(name, b"", 0, "unreadable file")
        return
    if len(raw) > FILE_BYTES_MAX:
        yield Parcel(name, b"", 0, "over 64 MiB")
        return
    yield from _document(raw, name)


def _document(raw: bytes, name: str) -> Iterator[Parcel]:
    try:
        head = msgspec.json.decode(raw, type=_Head)
        if head.resourceType == "Bundle" and bytes(head.type) in (b'"transaction"', b'"batch"'):
            yield Parcel(name, raw, raw.count(b'"request"'))
        elif head.resourceType == "Bundle":
            parts = msgspec.json.decode(raw, type=_Collection).entry
            yield from _groups(((part.fullUrl, bytes(part.resource)) for part in parts), name)
        elif head.resourceType:
            yield from _groups(iter([("", raw)]), name)
        else:
            yield Parcel(name, b"", 0, "not FHIR")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        yield Parcel(name, b"", 0, "not JSON")


def _lines(file: BinaryIO, name: str) -> Iterator[Parcel]:
    def resources() -> Iterator[tuple[str, bytes]]:
        while line := file.readline(FILE_BYTES_MAX):
            if line.strip():
                yield "", line.strip()

    yield from _groups(resources(), name)


def _groups(resources: Iterator[tuple[str, bytes]], name: str) -> Iterator[Parcel]:
    """Resources (full URL, bytes) in transactions of a bounded size; Bundles among them go their own way."""
    waiting: list[bytes] = []
    size = 0
    for full_url, raw in resources:
        try:
            head = msgspec.json.decode(raw, type=_Head)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            yield Parcel(name, b"", 0, "not JSON")
            continue
        if head.resourceType == "Bundle":
            yield from _document(raw, name)
            continue
        if not head.resourceType:
            yield Parcel(name, b"", 0, "not FHIR")
            continue
        waiting.append(_entry(full_url, raw, head))
        size += len(raw)
        if len(waiting) >= GROUP_ENTRIES or size >= GROUP_BYTES:
            yield _transaction(waiting, name)
            waiting, size = [], 0
    if waiting:
        yield _transaction(waiting, name)


def _entry(full_url: str, raw: bytes, head: _Head) -> bytes:
    request = {"method": "POST", "url": head.resourceType}
    if head.id:
        request = {"method": "PUT", "url": f"{head.resourceType}/{head.id}"}
    entry: dict[str, object] = {"resource": msgspec.Raw(raw), "request": request}
    if full_url:
        entry["fullUrl"] = full_url
    return msgspec.json.encode(entry)


def _transaction(entries: list[bytes], name: str) -> Parcel:
    body = b'{"resourceType":"Bundle","type":"transaction","entry":[' + b",".join(entries) + b"]}"
    return Parcel(name, body, len(entries))
