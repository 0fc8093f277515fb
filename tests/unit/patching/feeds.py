"""Feeds shaped as osv.dev and Debian's tracker publish them; their content is made up."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from hygie.patching.model import Component, Inventory, System

BOOKWORM = System("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)")
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
WHEN = "2026-11-01T10:00:00Z"


def osv(id_: str, ecosystem: str, name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    """One OSV record of one package."""
    kind = "SEMVER" if ecosystem == "Bitnami" else "ECOSYSTEM"
    affected = {
        "package": {"ecosystem": ecosystem, "name": name, "purl": "pkg:x/y"},
        "ranges": [{"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]}, {"type": kind, "events": [*events]}],
        **more.pop("affected", {}),
    }
    base = {"schema_version": "1.7.3", "id": id_, "modified": WHEN, "published": WHEN, "details": "…"}
    return {**base, "affected": [affected], **more}


def zipped(*records: dict[str, Any]) -> bytes:
    """As osv.dev's ``all.zip``."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in records:
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    return held.getvalue()


def lines(*records: dict[str, Any]) -> bytes:
    """One record a line."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def tracker(**sources: dict[str, dict[str, dict[str, Any]]]) -> bytes:
    """As the tracker: source → CVE → release → state."""
    whole = {
        source: {
            name: {"description": "…", "scope": "local", "releases": {
                release: {"repositories": {release: "1"}, "urgency": "not yet assigned", **state}
                for release, state in releases.items()}}
            for name, releases in issues.items()}
        for source, issues in sources.items()
    }  # fmt: skip
    return json.dumps(whole).encode()


def sha256(content: bytes) -> str:
    """Its digest, as an operator gives it."""
    return hashlib.sha256(content).hexdigest()


def pypi(name: str, version: str) -> Component:
    """A Python distribution."""
    return Component("library", name, version, f"pkg:pypi/{name}@{version}", f"pypi/{name}")


def deb(source: str, version: str) -> Component:
    """A package of Debian, of its own name."""
    return Component("library", source, version, f"pkg:deb/debian/{source}@{version}", f"deb/{source}", version)


def inventory(*components: Component, system: System = BOOKWORM) -> Inventory:
    """What runs."""
    return Inventory(components, system)


def written(folder: Path, content: bytes, name: str = "feed") -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(content)
    return path
