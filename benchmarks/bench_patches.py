"""Patches: a feed of 200,000 OSV records is brought, then compared with 500 packages; times, and memory at most.

Records are made up, of 20,000 packages; each installed one has ten. Memory is of a process of its own for each step.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from hygie.patching.matching import keys_of, match
from hygie.patching.model import Component, Inventory, System
from hygie.patching.reading import check_digest
from hygie.patching.store import Feed, Shelf

RECORDS = 200_000
PACKAGES = 20_000
INSTALLED = 500
TEXT = "What is told of a vulnerability, in as many words as people write. " * 20
NOW_MS = 1_800_000_000_000


def records() -> Iterator[dict[str, object]]:
    """Made-up records: two thirds are fixed below the installed version."""
    for number in range(RECORDS):
        fixed = "9.1" if number % 3 == 0 else "1.2"
        yield {
            "id": f"PYSEC-2026-{number}",
            "modified": "2026-11-01T00:00:00Z",
            "published": "2026-10-01T00:00:00Z",
            "aliases": [f"CVE-2026-{number}"],
            "details": TEXT,
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": f"package-{number % PACKAGES}"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
                    "versions": [f"0.{minor}" for minor in range(20)],
                }
            ],
        }


def write_feed(path: Path) -> str:
    """The feed as ``all.zip``. Returns its SHA-256."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for one in records():
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bring(folder: Path, feed: Path, sha256: str) -> list[Feed]:
    """As ``hygie patch feed`` takes it."""
    with feed.open("rb") as content:
        check_digest(content, sha256)
        return Shelf(folder).take(content, sha256, NOW_MS)


def compare(folder: Path, feed: Feed) -> int:
    """As ``hygie work`` compares it. Returns how many are open."""
    installed = tuple(
        Component("library", f"package-{one}", "2.0", f"pkg:pypi/package-{one}@2.0", f"pypi/package-{one}")
        for one in range(INSTALLED)
    )
    wanted = keys_of(Inventory(installed, System("debian", "12", "bookworm", "")))
    return len(match(wanted, Shelf(folder).advisories(feed, wanted.keys())))


def _apart(name: str, act: Callable[..., object], *arguments: object) -> object:
    """Run one step in a process of its own, and tell its time and its memory at most."""
    fresh = multiprocessing.get_context("spawn")
    mine, its = fresh.Pipe()
    process = fresh.Process(target=_measured, args=(its, act, arguments))
    process.start()
    spent_s, memory_kib, result = mine.recv()
    process.join()
    print(f"{name}: {spent_s:.2f} s, {memory_kib / 1024:.0f} MiB at most")
    return result


def _measured(pipe: Connection, act: Callable[..., object], arguments: tuple[object, ...]) -> None:
    begun_s = time.perf_counter()
    result = act(*arguments)
    spent_s = time.perf_counter() - begun_s
    most = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    pipe.send((spent_s, int(most.split()[1]), result))  # getrusage would tell the parent's, before this program began


def main() -> None:
    """Write, bring, compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        feed = folder / "all.zip"
        sha256 = write_feed(feed)
        print(f"feed: {RECORDS:,} records, {feed.stat().st_size / 2**20:.0f} MiB")
        _apart("nothing", time.time)
        [kept] = _apart("bring", bring, folder / "kept", feed, sha256)  # type: ignore[misc]
        print(f"kept: {sum(one.stat().st_size for one in (folder / 'kept').iterdir()) / 2**20:.0f} MiB")
        print(f"open: {_apart(f'compare with {INSTALLED} packages', compare, folder / 'kept', kept):,}")


if __name__ == "__main__":
    main()
