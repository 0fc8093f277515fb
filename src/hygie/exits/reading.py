"""Read decrypted files as they come, line by line, and count: what the client compares with the signed manifest.

Memory: eight bytes and a set's overhead for each resource, so that references can be looked up: about 80 MB a million.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict

import msgspec

from hygie.exits.errors import ExportDamagedError
from hygie.exits.model import RECEIPT, REFERENCE, TypeCount
from hygie.exits.traces import TABLE

LINE_BYTES_MAX = 2 * 1024 * 1024 * 1024  # a Bundle of a hundred versions of 16 MiB
SMALL_BYTES_MAX = 4_096
_PART = re.compile(r"^([a-z0-9][a-z0-9-]{0,62})/(current|history|contents|names)/([A-Z][A-Za-z]{1,63})\.\d{5}\.ndjson$")
_CONTENT = re.compile(r"^([a-z0-9][a-z0-9-]{0,62})/content/\d{4,}/\d{7,}$")


class _Meta(msgspec.Struct):
    versionId: str  # noqa: N815 (FHIR's own name)
    lastUpdated: str  # noqa: N815


class _Resource(msgspec.Struct):
    resourceType: str  # noqa: N815
    id: str
    meta: _Meta


class _Request(msgspec.Struct):
    method: str
    url: str


class _Entry(msgspec.Struct):
    request: _Request
    resource: _Resource | None = None


class _Bundle(msgspec.Struct):
    resourceType: str  # noqa: N815
    type: str
    entry: list[_Entry]


class _Content(msgspec.Struct):
    file: str
    bytes: int
    sha256: str


_resource = msgspec.json.Decoder(_Resource)
_bundle = msgspec.json.Decoder(_Bundle)
_content = msgspec.json.Decoder(_Content)


class Tally:
    """What was read. ``begin``, then ``take`` some bytes any number of times, then ``end``, for each file."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], TypeCount] = defaultdict(TypeCount)
        self._references: dict[str, int] = defaultdict(int)
        self._targets: dict[str, set[int]] = defaultdict(set)
        self._wanted: dict[str, set[int]] = defaultdict(set)
        self._told: dict[str, tuple[str, int]] = {}
        self._found: dict[str, tuple[str, int]] = {}
        self._rows: dict[str, int] = {}
        self._small: dict[str, bytes] = {}
        self._name = ""
        self._part: tuple[str, ...] | None = None
        self._left = b""

    def begin(self, name: str) -> None:
        """A file begins. Raises: ExportDamagedError: no file of the format has this name."""
        match = _PART.match(name)
        if match is None and not _CONTENT.match(name) and not name.startswith("traces/") and name != RECEIPT:
            raise ExportDamagedError(name=name, reason="no file of the format has this name")
        self._name = name
        self._part = match.groups() if match is not None else None
        self._left = b""
        self._quotes = self._ends = 0

    def take(self, data: bytes) -> None:
        """Some bytes of it. Raises: ExportDamagedError: a line that is not what it should be."""
        if self._part is not None:
            lines = (self._left + data).split(b"\n")
            self._left = lines.pop()
            if len(self._left) > LINE_BYTES_MAX:
                raise ExportDamagedError(name=self._name, reason="a line is too long")
            for line in lines:
                self._line(line)
        elif self._name == TABLE:
            self._count_rows(data)
        elif self._name == RECEIPT:
            self._left = (self._left + data)[:SMALL_BYTES_MAX]

    def end(self, name: str, sha256: str, size: int) -> None:
        """The file has ended."""
        if self._part is not None and self._left:
            raise ExportDamagedError(name=name, reason="its last line is cut")
        if name == TABLE:
            self._rows[name] = self._ends - 1
        elif name == RECEIPT:
            self._small[name] = self._left
        elif self._part is None and _CONTENT.match(name):
            self._found[name] = (sha256, size)

    def _count_rows(self, data: bytes) -> None:
        """Ends of lines outside quotes (RFC 4180: a quote inside a cell is doubled, so parity tells)."""
        for rank, piece in enumerate(data.split(b'"')):
            self._quotes += rank > 0
            if self._quotes % 2 == 0:
                self._ends += piece.count(b"\n")

    def _line(self, line: bytes) -> None:
        assert self._part is not None
        environment, kind, type_ = self._part
        try:
            if kind == "current":
                self._resource(environment, type_, _resource.decode(line), line)
                self._counts[environment, type_].current += 1
            elif kind == "history":
                self._history(environment, type_, _bundle.decode(line), line)
            elif kind == "contents":
                told = _content.decode(line)
                self._told[told.file] = (told.sha256, told.bytes)
            else:
                msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise ExportDamagedError(name=self._name, reason="a line is not what it should be") from error

    def _resource(self, environment: str, type_: str, found: _Resource, line: bytes) -> None:
        if found.resourceType != type_:
            raise ExportDamagedError(name=self._name, reason="a line is of another type")
        target = _print(f"{type_}/{found.id}".encode())
        if target in self._targets[environment]:
            raise ExportDamagedError(name=self._name, reason="a resource is there twice")
        self._targets[environment].add(target)
        self._refer(environment, line)

    def _history(self, environment: str, type_: str, bundle: _Bundle, line: bytes) -> None:
        if (bundle.resourceType, bundle.type) != ("Bundle", "history"):
            raise ExportDamagedError(name=self._name, reason="a line is no Bundle of history")
        count = self._counts[environment, type_]
        for entry in bundle.entry:
            if not entry.request.url.startswith(f"{type_}/"):
                raise ExportDamagedError(name=self._name, reason="an entry is of another type")
            if entry.request.method == "DELETE" and entry.resource is None:
                count.deleted += 1
            elif entry.resource is not None and entry.resource.resourceType == type_:
                count.history += 1
            else:
                raise ExportDamagedError(name=self._name, reason="an entry has no resource")
        self._refer(environment, line)

    def _refer(self, environment: str, line: bytes) -> None:
        found = REFERENCE.findall(line)
        self._references[environment] += len(found)
        self._wanted[environment].update(map(_print, found))

    def count(self, environment: str, type_: str) -> TypeCount:
        """Versions read of one type."""
        return self._counts[environment, type_]

    def types(self, environment: str) -> list[str]:
        """Types read of one environment."""
        return [type_ for one, type_ in self._counts if one == environment]

    def environments(self) -> set[str]:
        """Environments of which something was read."""
        return {one for one, _ in self._counts}

    def references(self, environment: str) -> int:
        """References written in all versions of one environment."""
        return self._references[environment]

    def unresolved(self) -> int:
        """Resources that are referred to, and of which the export has no current version."""
        return sum(len(wanted - self._targets[one]) for one, wanted in self._wanted.items())

    def contents(self, environment: str) -> int:
        """Raw contents of one environment, each compared with what its line says.

        Raises: ExportDamagedError: one is missing, foreign, or another one.
        """
        mine = {name for name in {*self._told, *self._found} if name.startswith(f"{environment}/content/")}
        for name in sorted(mine):
            if self._told.get(name) != self._found.get(name):
                raise ExportDamagedError(name=name, reason="it is not the content that its line tells")
        return len(mine)

    def rows(self, name: str) -> int:
        """Rows of a table, without its head. Raises: ExportDamagedError: there is no such table."""
        if name not in self._rows:
            raise ExportDamagedError(name=name, reason="it is missing")
        return self._rows[name]

    def small(self, name: str) -> bytes:
        """A short file. Raises: ExportDamagedError: it is missing."""
        if name not in self._small:
            raise ExportDamagedError(name=name, reason="it is missing")
        return self._small[name]


def _print(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
