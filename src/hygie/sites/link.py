"""One site as a process sees it: its lanes, its health, what is on its way to it and what it lacks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hygie.base.errors import HygieError
from hygie.sites.errors import SiteUnavailableError
from hygie.sites.lanes import Lane
from hygie.sites.site import Site

T = TypeVar("T")

WRITE_THREADS = 4  # fsyncs of one disk overlap; beyond four they only queue in the kernel
READ_THREADS = 4
BEHIND_NAMES_MAX = 100_000  # about 20 MB of names; beyond, only counts are kept and catch-up lists the site anyway


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """Bounds of patience, in seconds and bytes.

    write_timeout_s: the most a caller waits for the quorum; read_timeout_s: for a read, over all sites;
    hedge_after_s: a read that is not answered by then is also asked of the next site; stall_after_s: a write older than
    this makes its site unhealthy; cool_down_s: first rest of an unhealthy site, doubled up to cool_down_s_max;
    upkeep_timeout_s: for one call of upkeep, the listing of a large site among them;
    in_flight_bytes_max: over this, objects are not sent to a slow site any more: it is behind and catches up later.
    """

    write_timeout_s: float = 10.0
    read_timeout_s: float = 10.0
    hedge_after_s: float = 0.25
    stall_after_s: float = 2.0
    cool_down_s: float = 1.0
    cool_down_s_max: float = 60.0
    upkeep_timeout_s: float = 120.0
    in_flight_bytes_max: int = 64 << 20


@dataclass(frozen=True, slots=True)
class SiteLag:
    """What a site is known to lack: objects, their bytes, and the age of the oldest in seconds (0 when none)."""

    objects: int
    bytes: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class SiteHealth:
    """How a site fares: state is healthy, cooling, probing or stalled; last_error a code and reason, never data."""

    state: str
    failures: int
    last_error: str
    in_flight_bytes: int


class SiteLink:
    """A site with its lanes. Lives in one event loop; only the site's own calls run in threads."""

    def __init__(self, site: Site, limits: SiteLimits) -> None:
        self.site = site
        self.name = site.name
        self.limits = limits
        self.writes = Lane(f"site-{site.name}-write", WRITE_THREADS)
        self.replaces = Lane(f"site-{site.name}-replace", 1)  # in order: an older checkpoint never lands last
        self.reads = Lane(f"site-{site.name}-read", READ_THREADS)
        self.upkeep = Lane(f"site-{site.name}-upkeep", 1)  # scrub and listings never delay a read
        self.in_flight: dict[asyncio.Future[None], tuple[str, int, float]] = {}
        self.in_flight_bytes = 0
        self.behind: dict[str, tuple[int, float]] = {}
        self.behind_uncounted = 0
        self._listed = (0, 0)  # objects and bytes that the last full comparison left behind
        self._lacking_since: float | None = None
        self._failures = 0
        self._last_error = ""
        self._cooling_until = 0.0
        self._probe: asyncio.Future[None] | None = None

    def usable(self) -> bool:
        """Whether the site is worth asking now. An unhealthy one that has rested is probed, aside from any request."""
        if self._stalled():
            return False
        if self._failures and self._probe is None and time.monotonic() >= self._cooling_until:
            self._probe = self.upkeep.run(self.site.check)
            self._probe.add_done_callback(self._probed)
        return not self._failures

    def has_room(self, size_bytes: int) -> bool:
        """Whether an object may be sent without passing the bound on bytes in flight."""
        return not self.in_flight or self.in_flight_bytes + size_bytes <= self.limits.in_flight_bytes_max

    def send(self, name: str, data: bytes, *, replace: bool) -> asyncio.Future[None]:
        """Start one write; it is tracked to its end whether anybody waits or not."""
        lane, method = (self.replaces, self.site.replace) if replace else (self.writes, self.site.put)
        future = lane.run(partial(method, name, data))
        self.in_flight[future] = (name, len(data), time.monotonic())
        self.in_flight_bytes += len(data)
        future.add_done_callback(self._sent)
        return future

    def read(self, call: Callable[[Site], T]) -> asyncio.Future[T]:
        """Start one read; its outcome is told to the health record by the caller of the read."""
        return self.reads.run(partial(call, self.site))

    async def ask(self, call: Callable[[Site], T]) -> T:
        """Make a blocking call on the thread of upkeep: a comparison, a scrub, a repair.

        Raises: SiteUnavailableError (timeout): it does not answer in time, or an earlier call still waits for it; then
        the others are compared and mended without it. What the call itself raises.
        """
        if self.upkeep.busy_s() <= self.limits.upkeep_timeout_s:
            future = self.upkeep.run(partial(call, self.site))
            try:
                await asyncio.wait([future], timeout=self.limits.upkeep_timeout_s)
                if future.done():
                    return future.result()
            finally:
                future.add_done_callback(lambda late: late.exception())  # nobody may be waiting for it any more
        raise SiteUnavailableError(site=self.name, reason="timeout")

    def note_behind(self, name: str, size_bytes: int) -> None:
        """Remember that the site lacks an object."""
        if len(self.behind) < BEHIND_NAMES_MAX:
            self.behind.setdefault(name, (size_bytes, time.monotonic()))
        else:
            self.behind_uncounted += 1

    def note_present(self, name: str) -> None:
        """The site has this object now."""
        self.behind.pop(name, None)

    def note_listing(self, objects: int, size_bytes: int, *, started_at: float) -> None:
        """What a full comparison leaves behind: it replaces what was noted before it started (monotonic s)."""
        noted = [since for _, since in self.behind.values()]
        self.behind = {name: noted for name, noted in self.behind.items() if noted[1] >= started_at}
        self.behind_uncounted = 0
        self._listed = (objects, size_bytes)
        if not objects:
            self._lacking_since = None
        elif self._lacking_since is None:
            self._lacking_since = min([started_at, *noted])

    def note_success(self) -> None:
        """The site answered: it is healthy."""
        self._failures = 0

    def note_failure(self, error: BaseException) -> None:
        """The site failed in itself (not an object of it): it rests, longer each time in a row."""
        self._failures += 1
        self._last_error = _told(error)
        rest_s = min(self.limits.cool_down_s * 2 ** min(self._failures - 1, 16), self.limits.cool_down_s_max)
        self._cooling_until = time.monotonic() + rest_s

    def note_timeout(self) -> None:
        """The site did not answer in time."""
        self.note_failure(SiteUnavailableError(site=self.name, reason="timeout"))

    def lag(self) -> SiteLag:
        """What is known to be missing: what the last comparison left, failures noted since, and writes under way."""
        waiting = list(self.in_flight.values())
        objects = self._listed[0] + len(self.behind) + self.behind_uncounted + len(waiting)
        size_bytes = self._listed[1] + sum(size for size, _ in self.behind.values()) + self.in_flight_bytes
        since = [since for _, since in self.behind.values()] + [since for _, _, since in waiting]
        if self._lacking_since is not None:
            since.append(self._lacking_since)
        return SiteLag(objects, size_bytes, time.monotonic() - min(since) if since else 0.0)

    def health(self) -> SiteHealth:
        """The state as the next request would find it."""
        if self._stalled():
            state = "stalled"
        elif not self._failures:
            state = "healthy"
        else:
            state = "probing" if self._probe is not None else "cooling"
        return SiteHealth(state, self._failures, self._last_error, self.in_flight_bytes)

    def close(self) -> None:
        """End the lanes' threads and give back what the site holds."""
        for lane in (self.writes, self.replaces, self.reads, self.upkeep):
            lane.close()
        self.site.close()

    def _stalled(self) -> bool:
        if not self.in_flight:
            return False
        _, _, since = next(iter(self.in_flight.values()))  # insertion order: the oldest
        return time.monotonic() - since > self.limits.stall_after_s

    def _sent(self, future: asyncio.Future[None]) -> None:
        name, size_bytes, _ = self.in_flight.pop(future)
        self.in_flight_bytes -= size_bytes
        error = future.exception()
        if error is None:
            self.note_present(name)
            self.note_success()
        else:
            self.note_behind(name, size_bytes)
            self.tell_failure(error)

    def tell_failure(self, error: BaseException) -> None:
        """Record an error of a call, when it speaks of the site and not of one object."""
        if isinstance(error, SiteUnavailableError) or not isinstance(error, HygieError):
            self.note_failure(error)
        else:
            self._last_error = _told(error)

    def _probed(self, probe: asyncio.Future[None]) -> None:
        self._probe = None
        error = probe.exception()
        if error is None:
            self.note_success()
        else:
            self.note_failure(error)


def _told(error: BaseException) -> str:
    if isinstance(error, HygieError):
        return f"{error.code} {error.facts.get('reason', '')}".strip()
    return type(error).__name__
