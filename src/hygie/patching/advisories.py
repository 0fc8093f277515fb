"""One thing known against one package, as a kept feed holds it. Format: docs/formats/vulnerability-feed.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from hygie.patching.cvss import SEVERITIES, base_score, severity_of

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}", re.ASCII)
PACKAGE = re.compile(r"[^\s/\x00-\x1f\x7f][^\s\x00-\x1f\x7f]{0,199}")
ALIASES_MAX = 5_000  # one DSA of the kernel names hundreds of CVEs
SLOTS = ("PyPI", "Debian", "Bitnami", "tracker")  # what a feed can hold, each kept and replaced on its own
_WORDS = {
    "critical": "critical",
    "important": "high",
    "high": "high",
    "moderate": "medium",
    "medium": "medium",
    "low": "low",
    "negligible": "low",
    "none": "low",
}
_SEPARATORS = re.compile(r"[-_.]+")


class Advisory(msgspec.Struct, frozen=True, array_like=True):
    """names: its id and every other one; severity: of ``cvss.SEVERITIES``, nothing when it tells none; score: CVSS v3,
    if told; ranges: events in the order of the feed, (``introduced``, ``fixed`` or ``last_affected``; version);
    versions: named one by one; published_ms: None when the feed does not tell."""

    id: str
    names: tuple[str, ...]
    severity: str
    score: float | None
    published_ms: int | None
    ranges: tuple[tuple[tuple[str, str], ...], ...]
    versions: tuple[str, ...] = ()


def python_name(name: str) -> str:
    """A distribution's name as the index compares it (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


def package_key(ecosystem: str, release: str, name: str) -> str:
    """What a line of a kept feed begins with: ``pypi//django``, ``debian/12/openssl``, ``bitnami//python``."""
    name = python_name(name) if ecosystem == "PyPI" else name
    return f"{ecosystem.lower()}/{release}/{name}"


def instant_ms(text: str | None) -> int | None:
    """An RFC 3339 instant, UTC; None when it is none."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def rated(vectors: list[str], words: list[object]) -> tuple[str, float | None]:
    """Severity and score: of the gravest CVSS v3 vector, else of the gravest word, else nothing."""
    scores = [score for one in vectors if (score := base_score(one)) is not None]
    if scores:
        return severity_of(max(scores)), max(scores)
    told = [_WORDS[one.lower()] for one in words if isinstance(one, str) and one.lower() in _WORDS]
    return gravest(told), None


def gravest(severities: list[str]) -> str:
    """The gravest of these words; nothing for none."""
    return min(severities, key=SEVERITIES.index, default="")
