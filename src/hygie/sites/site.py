"""A site: an object store and where on earth it is. Every driver keeps this promise (tests/contract/site_contract.py).

Source: docs/formats/sites.md v1.  Calls block; ``placement`` runs them in threads of the site's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hygie.base.errors import HygieError
from hygie.sites.errors import ObjectNameError

NAME_BYTES_MAX = 200  # S3 allows 1024, but a path of a folder site must fit in the system's 255-byte segments
SEGMENT_BYTES_MAX = 128  # leaves room for a quarantine suffix under the 143 bytes of encrypting file systems
RESERVED = "site.json"
QUARANTINE_PREFIX = "quarantine/"

_SEGMENT = r"[a-z0-9_-][a-z0-9._-]*"  # no leading dot: '.', '..' and hidden files cannot be named
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*", re.ASCII)
_PREFIX = re.compile(rf"(?:{_SEGMENT}/)*(?:{_SEGMENT})?", re.ASCII)

Range = tuple[str, int, int | None]
"""(name, offset in bytes, length in bytes or None for the rest of the object)"""


@dataclass(frozen=True, slots=True)
class SiteLocation:
    """Where a site is and who runs it.

    country: ISO 3166-1 alpha-2, upper case; latitude, longitude: degrees WGS 84.
    """

    country: str
    city: str
    latitude: float
    longitude: float
    operator: str


@dataclass(frozen=True, slots=True)
class SiteProperties:
    """What a driver can honestly promise; policy and status read it.

    durable: a put that returned survives a power cut; locks: objects can be locked against their own administrator;
    failure_domain: two sites with the same one die together (same disk, same machine), so they are not independent.
    """

    durable: bool
    locks: bool
    failure_domain: str


class Site(Protocol):
    """An object store somewhere. All methods block, may be called from several threads, and raise ``HygieError`` only.

    Any method may raise SiteUnavailableError (away, full, read-only) and, for a bad name, ObjectNameError.
    """

    @property
    def name(self) -> str: ...

    @property
    def place(self) -> SiteLocation: ...

    @property
    def properties(self) -> SiteProperties: ...

    def put(self, name: str, data: bytes) -> None:
        """Make ``data`` durable under ``name`` before returning; the same bytes again are welcome.

        Raises: ObjectExistsError: other bytes are there (they stay); ReadBackError.
        """

    def replace(self, name: str, data: bytes) -> None:
        """Make ``data`` durable under ``name`` whatever was there: a reader sees the old or the new, whole."""

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes of an object, or exactly ``length`` of them from ``offset``.

        Raises: ObjectAbsentError, ObjectTruncatedError (shorter than the range), ForeignEntryError.
        """

    def peek(self, name: str, offset: int, length: int) -> bytes | None:
        """A range that can be given at once, from memory; None when it would take a wait. Called on the event loop."""

    def get_many(self, ranges: Sequence[Range]) -> list[bytes | HygieError]:
        """Several ranges in one call; each fails alone. Raises SiteUnavailableError when none can be served."""

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Names that start with ``prefix`` and their sizes in bytes, in byte order of names."""

    def delete(self, name: str) -> None:
        """Remove an object, durably; an absent one is already removed."""

    def digest(self, name: str) -> bytes:
        """SHA-256 of what the medium holds now, 32 bytes (not of a cache, where the driver can avoid it)."""

    def check(self) -> None:
        """Raise SiteUnavailableError unless the site is there, is itself and takes a durable write."""

    def close(self) -> None:
        """Give back descriptors and connections."""


def check_name(name: str) -> str:
    """``name`` itself, when every site can hold it.

    Raises: ObjectNameError: absolute, dotted, too long, reserved, or with other characters.
    """
    if (
        len(name) > NAME_BYTES_MAX
        or not _NAME.fullmatch(name)
        or ".." in name
        or name.split("/", 1)[0] == RESERVED
        or max(map(len, name.split("/"))) > SEGMENT_BYTES_MAX
    ):
        raise ObjectNameError()
    return name


def check_prefix(prefix: str) -> str:
    """``prefix`` itself, when it can start a name (the empty one starts them all).

    Raises: ObjectNameError.
    """
    if len(prefix) > NAME_BYTES_MAX or not _PREFIX.fullmatch(prefix) or ".." in prefix:
        raise ObjectNameError()
    return prefix
