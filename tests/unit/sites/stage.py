"""Real folder sites whose calls a test can slow down, hang or fail."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from hygie.base.errors import HygieError
from hygie.sites.errors import SiteUnavailableError
from hygie.sites.folder import FolderSite
from hygie.sites.link import SiteLimits
from hygie.sites.placement import SiteSet
from hygie.sites.room import initialise
from hygie.sites.site import Range, SiteLocation, SiteProperties

PLACES = {
    "paris": SiteLocation("FR", "Paris", 48.86, 2.35, "Hygie"),
    "lyon": SiteLocation("FR", "Lyon", 45.76, 4.84, "Hygie"),
    "lille": SiteLocation("FR", "Lille", 50.63, 3.06, "Hygie"),
    "nantes": SiteLocation("FR", "Nantes", 47.22, -1.55, "Hygie"),
    "nice": SiteLocation("FR", "Nice", 43.70, 7.27, "Hygie"),
}
PARIS_HOST = (48.86, 2.35)
QUICK = SiteLimits(
    write_timeout_s=1.0,
    read_timeout_s=1.0,
    hedge_after_s=0.05,
    stall_after_s=0.2,
    cool_down_s=0.1,
    cool_down_s_max=0.4,
    upkeep_timeout_s=1.0,
    in_flight_bytes_max=1000,
)


class StagedSite:
    """A folder site behind a gate: ``hold`` makes calls wait, ``fail`` makes them fail. Counts what reaches it."""

    def __init__(self, inner: FolderSite) -> None:
        self.inner = inner
        self.calls: list[str] = []
        self.fail_reason = ""
        self.next_call_slow_s = 0.0
        self._open = threading.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def place(self) -> SiteLocation:
        return self.inner.place

    @property
    def properties(self) -> SiteProperties:
        return self.inner.properties

    def put(self, name: str, data: bytes) -> None:
        self._enter("put")
        self.inner.put(name, data)

    def replace(self, name: str, data: bytes) -> None:
        self._enter("replace")
        self.inner.replace(name, data)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        self._enter("get")
        return self.inner.get(name, offset, length)

    def peek(self, name: str, offset: int, length: int) -> bytes | None:
        return None

    def get_many(self, ranges: Sequence[Range]) -> list[bytes | HygieError]:
        self._enter("get_many")
        return self.inner.get_many(ranges)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        self._enter("list")
        return self.inner.list(prefix)

    def delete(self, name: str) -> None:
        self._enter("delete")
        self.inner.delete(name)

    def digest(self, name: str) -> bytes:
        self._enter("digest")
        return self.inner.digest(name)

    def check(self) -> None:
        self._enter("check")
        self.inner.check()

    def close(self) -> None:
        self.inner.close()

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        assert self._open.wait(20), "a test forgot to release its site"
        slow_s, self.next_call_slow_s = self.next_call_slow_s, 0.0
        time.sleep(slow_s)
        if self.fail_reason:
            raise SiteUnavailableError(site=self.name, reason=self.fail_reason)


def stage(base: Path, names: Sequence[str] = ("paris", "lyon", "lille")) -> dict[str, StagedSite]:
    """Initialised sites in folders of ``base``."""
    sites = {}
    for name in names:
        initialise(base / name, name)
        sites[name] = StagedSite(FolderSite(base / name, name, PLACES[name]))
    return sites


def site_set(sites: dict[str, StagedSite], *, quorum: int = 2, limits: SiteLimits = QUICK) -> SiteSet:
    """The sites as one set, in France, seen from Paris."""
    return SiteSet(list(sites.values()), quorum=quorum, allowed_countries=["FR"], host=PARIS_HOST, limits=limits)


def fill(sites: dict[str, StagedSite], count: int = 5, size_bytes: int = 5000) -> dict[str, bytes]:
    """The same packs on every site."""
    packs = {f"packs/e1/{number:012d}.pack": bytes([number + 1]) * size_bytes for number in range(count)}
    for name, data in packs.items():
        for staged in sites.values():
            staged.inner.put(name, data)
    return packs


async def expect(packs: dict[str, bytes]) -> AsyncIterator[tuple[str, bytes, int]]:
    """What the catalogue would say of these packs."""
    for name, data in packs.items():
        yield name, hashlib.sha256(data).digest(), len(data)
