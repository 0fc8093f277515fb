"""The JSON of Debian's security tracker: source package → CVE → release → state.

Source: security-tracker.debian.org/tracker/data/json, and "Data format" of its documentation. It tells no dates.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hygie.patching.advisories import ID, PACKAGE, Advisory, package_key

_URGENCIES = {"high": "high", "medium": "medium", "low": "low", "end-of-life": "high"}  # most are not yet assigned


class _Release(msgspec.Struct, frozen=True):
    status: str | None = None
    urgency: str | None = None
    fixed_version: str | None = None
    nodsa: str | None = None


class _Issue(msgspec.Struct, frozen=True):
    releases: dict[str, _Release] = {}


_FILE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SOURCE = msgspec.json.Decoder(dict[str, _Issue])


def read_tracker(content: bytes) -> Iterator[tuple[str, str, Advisory]]:
    """What the file says: (slot, key, advisory) for each source, CVE and release.

    Raises: ValueError: not such a file. One source after the other is decoded: the whole would take gigabytes.
    """
    try:
        for source, raw in _FILE.decode(content).items():
            if not PACKAGE.fullmatch(source):
                raise ValueError("package")
            for name, issue in _SOURCE.decode(raw).items():
                if not ID.fullmatch(name):
                    raise ValueError("id")
                yield from _told(source, name, issue)
    except RecursionError as error:
        raise ValueError("too deep") from error


def _told(source: str, name: str, issue: _Issue) -> Iterator[tuple[str, str, Advisory]]:
    """Version 0 says that the release was never affected; one that is resolved without a version is not cleared."""
    for release, state in issue.releases.items():
        urgency = (state.urgency or "").rstrip("*")
        resolved = state.status == "resolved"
        if urgency == "unimportant" or (resolved and state.fixed_version == "0"):
            continue
        if not PACKAGE.fullmatch(release) or "/" in release:
            raise ValueError("release")
        severity = _URGENCIES.get(urgency) or ("low" if state.nodsa is not None else "")
        end = (("fixed", state.fixed_version),) if resolved and state.fixed_version else ()
        told = Advisory(name, (name,), severity, None, None, ((("introduced", "0"), *end),))
        yield "tracker", package_key("Debian", release, source), told
