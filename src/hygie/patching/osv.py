"""OSV records, as osv.dev publishes them: what is affected of PyPI, of Debian, of Bitnami (upstream versions).

Source: ossf.github.io/osv-schema, version 1.7. What it has and is not used here (GIT ranges, credits, texts) is passed
over; other ecosystems too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from hygie.patching.advisories import ALIASES_MAX, ID, PACKAGE, Advisory, instant_ms, package_key, rated

ECOSYSTEMS = ("PyPI", "Debian", "Bitnami")
EVENTS = ("introduced", "fixed", "last_affected")


class _Severity(msgspec.Struct, frozen=True):
    type: str = ""
    score: str = ""


class _Range(msgspec.Struct, frozen=True):
    type: str = ""
    events: list[dict[str, str]] = []


class _Package(msgspec.Struct, frozen=True):
    ecosystem: str = ""
    name: str = ""


class _Affected(msgspec.Struct, frozen=True):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: list[_Severity] | None = None
    ecosystem_specific: dict[str, Any] | None = None
    database_specific: dict[str, Any] | None = None


class _Record(msgspec.Struct, frozen=True):
    id: str
    modified: str = ""
    published: str | None = None
    withdrawn: str | None = None
    aliases: list[str] | None = None
    upstream: list[str] | None = None
    severity: list[_Severity] | None = None
    affected: list[_Affected] | None = None
    database_specific: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(_Record)


def read_record(content: bytes) -> tuple[list[tuple[str, str, Advisory]], int]:
    """What one record says: (slot, key, advisory) for each package, and when it was last modified (ms, 0: not told).

    A withdrawn one says nothing. Raises: ValueError: not an OSV record, or one whose names do not hold.
    """
    try:
        record = _DECODER.decode(content)
    except RecursionError as error:
        raise ValueError("too deep") from error  # msgspec's own errors are ValueErrors
    if not ID.fullmatch(record.id):
        raise ValueError("id")
    modified_ms = instant_ms(record.modified) or 0
    if record.withdrawn is not None:
        return [], modified_ms
    return list(_affected(record)), modified_ms


def _affected(record: _Record) -> Iterator[tuple[str, str, Advisory]]:
    names = tuple(dict.fromkeys((record.id, *(record.aliases or ()), *(record.upstream or ()))))
    if len(names) > ALIASES_MAX:
        raise ValueError("aliases")
    names = tuple(one for one in names if ID.fullmatch(one))
    for one in record.affected or ():
        ecosystem, _, release = one.package.ecosystem.partition(":") if one.package else ("", "", "")
        if ecosystem not in ECOSYSTEMS or one.package is None:
            continue
        name = one.package.name
        if not PACKAGE.fullmatch(name) or "/" in release or any(mark.isspace() for mark in release):
            raise ValueError("package")
        ranges = tuple(found for each in one.ranges or () if each.type in ("ECOSYSTEM", "SEMVER")
                       for found in [_events(each)] if found)  # fmt: skip
        # Debian lists every version beside the range that says the same.
        versions = () if ecosystem == "Debian" and ranges else tuple(one.versions or ())
        rating = _rated(record, one)
        if rating is not None:
            told = Advisory(record.id, names, *rating, instant_ms(record.published), ranges, versions)
            yield ecosystem, package_key(ecosystem, release, name), told


def _events(told: _Range) -> tuple[tuple[str, str], ...]:
    return tuple((kind, event[kind]) for event in told.events for kind in EVENTS if kind in event)


def _rated(record: _Record, one: _Affected) -> tuple[str, float | None] | None:
    """None for what Debian calls unimportant: it has no effect on what is installed."""
    urgency = (one.ecosystem_specific or {}).get("urgency")
    if urgency == "unimportant":
        return None
    vectors = [each.score for each in (*(record.severity or ()), *(one.severity or ()))]
    words = [(told or {}).get("severity") for told in (record.database_specific, one.database_specific)]
    if record.id.startswith("MAL-"):  # a package made to harm
        return "critical", None
    return rated(vectors, [*words, urgency])
