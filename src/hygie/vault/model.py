"""What callers hand to the vault and get from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

OBJECT_BYTES_MAX = 16 * 1024 * 1024  # one resource; larger content goes through streams
REQUEST_OBJECTS_MAX = 10_000  # one transaction: its rows and its pack must fit one commit
STREAM_BYTES_MAX = 1 << 30  # one binary content


class SetMember(NamedTuple):
    """A patient of a set, by logical id, and when it counts: ms UTC, ``until_ms`` exclusive."""

    patient: str
    from_ms: int
    until_ms: int


@dataclass(slots=True)
class NewObject:
    """One version to be written.

    body: canonical bytes without version and instant, empty for a deletion; terms: index terms, plaintext;
    patients: logical ids of the patients it belongs to, none = the environment's own compartment;
    new: the id was drawn by the server, so nothing has to be looked up; if_version: the version the caller expects
    (0 = must not exist); blob: what a stream left on the sites, if any; chunks: (rank, SHA-256, bytes) of each of its
    sealed chunks; members: of a set of patients, present and to come.
    """

    type: str
    id: str
    body: bytes
    terms: Sequence[str]
    patients: tuple[str, ...]
    new: bool = False
    if_version: int | None = None
    delete: bool = False
    blob: Blob | None = None
    chunks: Sequence[tuple[int, bytes, int]] = ()
    members: Sequence[SetMember] = ()


@dataclass(frozen=True, slots=True)
class Blob:
    """A content stored in sealed chunks beside the packs.

    blob_id: 16 random bytes; compartment: the 16-byte compartment it was sealed in; size_bytes: plaintext size.
    """

    blob_id: bytes
    compartment: bytes
    size_bytes: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Condition:
    """Find objects by exact terms, under the writer's locks.

    clauses: all must hold; inside one, any term; matches: the exact filter on an opened body.
    """

    key: str
    type: str
    clauses: Sequence[Sequence[str]]
    matches: Callable[[bytes, str], bool] | None = None


Builder = Callable[[Mapping[str, Sequence[str]]], list[NewObject]]


@dataclass(slots=True)
class WriteRequest:
    """All or nothing: either every object is stored, or none.

    objects: the objects, or a function that makes them once conditions are resolved (condition key -> ids found,
    two at most), and again if another writer was faster; the function may raise a HygieError to refuse the whole.
    """

    objects: list[NewObject] | Builder
    conditions: Sequence[Condition] = ()
    weight: int = 1  # resources expected, for the group's size


@dataclass(frozen=True, slots=True)
class Written:
    """One version that is now durable."""

    type: str
    id: str
    version: int
    at_ms: int
    created: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """One version, opened. body: canonical bytes without version and instant, empty if deleted."""

    type: str
    id: str
    version: int
    at_ms: int
    body: bytes
    deleted: bool
    blob: Blob | None = None


@dataclass(slots=True)
class Query:
    """A search: candidates by blind terms, then an exact filter on what opens.

    clauses: all must hold; inside one, any term; patient: search one patient's compartment only;
    updated: (from, to) instants, ms, inclusive and exclusive; count: page size, 0 = total only;
    sort_key: sorts by what the body says (bounded candidates), else by last update; include: references to add;
    label: the query as its caller writes it, to tell two queries apart when their filters are functions.
    """

    types: tuple[str, ...]
    clauses: Sequence[Sequence[str]] = ()
    patient: str | None = None
    updated: tuple[int | None, int | None] = (None, None)
    ids: Sequence[str] | None = None
    matches: Callable[[bytes, str], bool] | None = None
    count: int = 50
    cursor: str | None = None
    ascending: bool = False
    sort_key: Callable[[bytes, str], Any] | None = None
    include: Callable[[bytes, str], Sequence[tuple[str, str]]] | None = None
    total: bool = False
    label: str = ""


@dataclass(slots=True)
class Page:
    """items: matches in order; included: what they refer to; next: sealed cursor, None at the end."""

    items: list[Stored]
    included: list[Stored] = field(default_factory=list)
    next: str | None = None
    total: int | None = None
