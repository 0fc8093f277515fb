"""The sites together: an object is placed when a quorum has it durable, and read from the nearest that has it whole."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import asin, cos, radians, sin, sqrt
from typing import TypeVar

from hygie.base.errors import HygieError
from hygie.sites.errors import (
    ObjectAbsentError,
    ObjectDamagedError,
    ObjectExistsError,
    SiteQuorumError,
    SiteSettingsError,
    SiteUnavailableError,
)
from hygie.sites.link import SiteHealth, SiteLag, SiteLimits, SiteLink
from hygie.sites.reading import first_answer
from hygie.sites.site import Range, Site, check_name, check_prefix

T = TypeVar("T")
Links = list[SiteLink]
Listing = list[tuple[str, int]]
EARTH_RADIUS_KM = 6371.0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an object is durable (``done``), where it failed and why (a code), where it is still on its way."""

    done: list[str]
    failed: dict[str, str]
    pending: list[str] = field(default_factory=list)


class SiteSet:
    """Sites with a quorum. Used inside one event loop; many tasks may use it at once."""

    def __init__(
        self,
        sites: Sequence[Site],
        *,
        quorum: int,
        allowed_countries: Iterable[str],
        host: tuple[float, float] | None = None,
        limits: SiteLimits | None = None,
    ) -> None:
        """Refuse a set that may not be used.

        Args: quorum: sites that must have an object before it counts; host: latitude and longitude of this machine in
        degrees, for 'nearest' (without it: the configured order).
        Raises: SiteSettingsError: a site outside the allowed countries, two of one name, a quorum that cannot be.
        """
        _check_set(sites, quorum, set(allowed_countries))
        self.quorum = quorum
        self.limits = limits or SiteLimits()
        self.links = [SiteLink(site, self.limits) for site in _by_distance(sites, host)]
        self._by_name = {link.name: link for link in self.links}

    @property
    def names(self) -> list[str]:
        """Names of the sites, nearest first."""
        return [link.name for link in self.links]

    @property
    def sites(self) -> Sequence[Site]:
        """The sites themselves, nearest first, for what must look at each store alone. Their calls block."""
        return [link.site for link in self.links]

    def link(self, site: str) -> SiteLink:
        """One site by its name. Raises: KeyError."""
        return self._by_name[site]

    async def place(self, name: str, data: bytes) -> Placement:
        """Put a new object on every site at once; return when the quorum has it durable. The others go on, tracked.

        Raises: SiteQuorumError: too few in time, the outcome is unknown; ObjectExistsError: other bytes have this name;
        ObjectNameError.
        """
        return await self._write(check_name(name), data, replace=False)

    async def replace(self, name: str, data: bytes) -> Placement:
        """Set the bytes of a name that changes (checkpoint, partial tile). On one site, replaces land in order.

        Raises: SiteQuorumError, ObjectNameError.
        """
        return await self._write(check_name(name), data, replace=True)

    async def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """An object, or exactly ``length`` bytes of it, from the nearest healthy site that gives it.

        Raises: ObjectAbsentError: every site answered that it has none; SiteUnavailableError: no copy among those that
        answered, and one did not; ObjectDamagedError: no whole copy; ObjectNameError.
        """
        check_name(name)
        data, _ = await first_answer(
            self._reading_order(), lambda site: site.get(name, offset, length), name, self.limits
        )
        return data

    async def read_valid(self, name: str, offset: int, length: int | None, check: Callable[[bytes], T]) -> T:
        """As ``read``, but a copy counts only when ``check`` accepts it; the others are tried before giving up.

        check: runs in a thread; returns what the caller wants of the bytes, raises IntegrityError if they are damaged.
        Raises: as ``read``; ObjectDamagedError when no copy passes.
        """
        check_name(name)
        answer, _ = await first_answer(
            self._reading_order(), lambda site: check(site.get(name, offset, length)), name, self.limits
        )
        return answer

    async def copies(self, name: str, offset: int = 0, length: int | None = None) -> AsyncIterator[tuple[str, bytes]]:
        """Every copy that can be read, nearest healthy first: (site, bytes). A site that fails is passed over.

        For a caller that found one copy damaged. Raises: ObjectNameError; SiteUnavailableError at the end when no copy
        was given and a site did not answer.
        """
        check_name(name)
        silent: SiteUnavailableError | None = None
        given = False
        for link in self._reading_order():
            try:
                data, _ = await first_answer([link], lambda site: site.get(name, offset, length), name, self.limits)
            except SiteUnavailableError as error:
                silent = error
            except (ObjectAbsentError, ObjectDamagedError):
                continue
            else:
                given = True
                yield link.name, data
        if silent is not None and not given:
            raise silent

    async def read_many(self, items: Sequence[Range]) -> list[bytes | None]:
        """Several ranges from the nearest healthy site, in one thread hop for those that it cannot give at once.

        Only what it lacks is asked of the others.

        Args: items: (name, offset, length or None for the rest of the object).
        Returns: bytes in the order asked; None where every site answered and none gives the range.
        Raises: SiteUnavailableError: some range was found nowhere and a site did not answer; ObjectNameError.
        """
        for name, _, _ in items:
            check_name(name)
        remaining = self._reading_order()
        nearest = remaining[0].site
        answers = [nearest.peek(name, offset, length) if length is not None else None for name, offset, length in items]
        wanted = [index for index, answer in enumerate(answers) if answer is None]
        while wanted and remaining:
            batch = [items[index] for index in wanted]
            results, link = await first_answer(remaining, partial(_get_many, batch), "", self.limits)
            for index, result in zip(wanted, results, strict=True):
                answers[index] = result if isinstance(result, bytes) else None
            wanted = [index for index in wanted if answers[index] is None]
            remaining = [other for other in remaining if other is not link]
        return answers

    async def list(self, prefix: str) -> Listing:
        """Names under a prefix on any site that answers, with the largest size seen, in byte order of names.

        Raises: SiteUnavailableError: no site answered.
        """
        listings = await self.list_sites(prefix)
        union: dict[str, int] = {}
        answered = False
        for listing in listings.values():
            if listing is None:
                continue
            answered = True
            for name, size_bytes in listing.items():
                union[name] = max(size_bytes, union.get(name, 0))
        if not answered:
            raise SiteUnavailableError(site="*", reason="absent")
        return sorted(union.items())

    async def list_sites(self, prefix: str) -> dict[str, dict[str, int] | None]:
        """Each site's own listing (name to bytes), or None for a site that did not answer."""
        check_prefix(prefix)
        calls = [link.ask(partial(_listing, prefix)) for link in self.links]
        listings: dict[str, dict[str, int] | None] = {}
        for link, answer in zip(self.links, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(answer, BaseException):
                if not isinstance(answer, HygieError):
                    raise answer
                link.tell_failure(answer)
                listings[link.name] = None
            else:
                listings[link.name] = answer
        return listings

    def lag(self) -> dict[str, SiteLag]:
        """What each site is known to lack."""
        return {link.name: link.lag() for link in self.links}

    def health(self) -> dict[str, SiteHealth]:
        """How each site fares."""
        return {link.name: link.health() for link in self.links}

    async def drain(self, timeout_s: float) -> bool:
        """Wait for the writes still under way. Returns: whether none is left."""
        waiting = [future for link in self.links for future in link.in_flight]
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_s)
        return not any(link.in_flight for link in self.links)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Let what is under way end, for at most ``timeout_s``, then give everything back."""
        await self.drain(timeout_s)
        for link in self.links:
            link.close()

    def _reading_order(self) -> Links:
        usable = [link for link in self.links if link.usable()]
        return usable + [link for link in self.links if link not in usable] if len(usable) < len(self.links) else usable

    async def _write(self, name: str, data: bytes, *, replace: bool) -> Placement:
        chosen = [link for link in self.links if link.usable() and link.has_room(len(data))]
        reserve = deque(link for link in self.links if link not in chosen)
        while len(chosen) < self.quorum:
            chosen.append(reserve.popleft())  # unhealthy or crowded, but without it the quorum cannot be
        tally = _Tally(self.quorum, name, data, replace=replace, reserve=reserve)
        for link in chosen:
            tally.send(link)
        try:
            async with asyncio.timeout(self.limits.write_timeout_s):
                await tally.settled
        except TimeoutError:
            for link in tally.waiting:
                link.note_timeout()
        finally:
            for link in reserve:
                link.note_behind(name, len(data))
        return tally.verdict()


class _Tally:
    """Counts the sites of one write until the quorum is reached or out of reach."""

    def __init__(self, quorum: int, name: str, data: bytes, *, replace: bool, reserve: deque[SiteLink]) -> None:
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting: list[SiteLink] = []
        self._quorum = quorum
        self._name = name
        self._data = data
        self._replace = replace
        self._reserve = reserve
        self._done: list[str] = []
        self._failed: dict[str, HygieError] = {}

    def send(self, link: SiteLink) -> None:
        """Start the write on one site."""
        self.waiting.append(link)
        link.send(self._name, self._data, replace=self._replace).add_done_callback(partial(self._count, link))

    def verdict(self) -> Placement:
        """The placement. Raises: ObjectExistsError, SiteQuorumError, or what is not an outcome but a fault."""
        if len(self._done) < self._quorum:
            for error in self._failed.values():
                if isinstance(error, ObjectExistsError):
                    raise error
            raise SiteQuorumError(done=len(self._done), quorum=self._quorum)
        failed = {site: str(error.facts.get("reason", error.code)) for site, error in self._failed.items()}
        failed.update((link.name, "behind") for link in self._reserve)
        return Placement(list(self._done), failed, [link.name for link in self.waiting])

    def _count(self, link: SiteLink, future: asyncio.Future[None]) -> None:
        self.waiting.remove(link)
        error = future.exception()
        if error is None:
            self._done.append(link.name)
        elif isinstance(error, HygieError):
            self._failed[link.name] = error
        elif not self.settled.done():
            self.settled.set_exception(error)
            return
        if self.settled.done():
            return
        if len(self._done) >= self._quorum:
            self.settled.set_result(None)
        elif error is not None and len(self._done) + len(self.waiting) < self._quorum:
            if self._reserve:
                self.send(self._reserve.popleft())
            else:
                self.settled.set_result(None)


def _get_many(batch: list[Range], site: Site) -> list[bytes | HygieError]:
    return site.get_many(batch)


def _listing(prefix: str, site: Site) -> dict[str, int]:
    return dict(site.list(prefix))


def _check_set(sites: Sequence[Site], quorum: int, countries: set[str]) -> None:
    names = [site.name for site in sites]
    if not 1 <= quorum <= len(sites):
        raise SiteSettingsError(site="*", reason=f"quorum {quorum} of {len(sites)} sites")
    if len(set(names)) < len(names):
        raise SiteSettingsError(site="*", reason="two sites of one name")
    for site in sites:
        if site.place.country not in countries:
            raise SiteSettingsError(site=site.name, reason=f"country {site.place.country} is not allowed")


def _by_distance(sites: Sequence[Site], host: tuple[float, float] | None) -> list[Site]:
    """Nearest first; equal distances keep the configured order."""
    if host is None:
        return list(sites)
    return sorted(sites, key=lambda site: _distance_km(host, (site.place.latitude, site.place.longitude)))


def _distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Great-circle distance (haversine) between two points in degrees."""
    one_lat, one_lon, other_lat, other_lon = map(radians, (*one, *other))
    half = sin((other_lat - one_lat) / 2) ** 2 + cos(one_lat) * cos(other_lat) * sin((other_lon - one_lon) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half)))
