"""How fast an account and its client may ask, over all hosting processes, without a question to the database a request.

Source: docs/adr/0022-limits.md.  The points left are in PostgreSQL, one bucket an account and one a client.  A process
lets requests through at once and settles ten times a second: it charges what it let through and takes some points
ahead, as many as it used lately.  What it may let through without having asked is bounded (``_Purse.overdraft``);
whoever is beyond waits for the settlement, and is refused when the bucket is empty, until it fills again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from hygie.base.actions import Action
from hygie.base.clock import Clock, SteadyClock
from hygie.base.errors import HygieError, UnavailableError
from hygie.database.hot import HotConnections
from hygie.gate.allowances import ACCOUNT, BURST_S, COST, COST_OF_OTHERS, POINTS, TENANT, Defaults, allowed
from hygie.gate.errors import RateLimitedError
from hygie.gate.snapshot import Bearer, Snapshot
from hygie.journal.entry import Entry
from hygie.journal.writer import JournalWriter

SETTLE_S = 0.1  # between two settlements: ten statements a second in a busy process, none in one that rests
OVERDRAFT_PART = 20  # of a burst, let through by one process before it asks: 5 %
OVERDRAFT_MAX = 500  # points: half a second of one process's reads
AHEAD_PART = 8  # of a burst, taken ahead at most
IDLE_MS = 10_000  # after which a purse is given back and forgotten
TOLD_MS = 60_000  # refusals of one account or client: one entry at once, then one a minute with their number
HELD_S = 0.25  # a refusal waits that long: who ignores Retry-After asks four times a second and a connection
HELD_MAX = 64  # refusals waiting at once in a process, of the 256 requests that it takes
_TAKE = "SELECT rank, given, wait_ms FROM hygie.take_points(%s, %s, %s, %s, %s)"

log = logging.getLogger("hygie.gate")


@dataclass(slots=True)
class _Refused:
    """Whom the next entry on refusals is about, and how many they are."""

    bearer: Bearer
    action: Action
    address: str
    device: str
    country: str
    count: int


class _Purse:
    """What one process holds of one bucket. credit: points taken ahead; spent: let through and not charged yet; used:
    since the last settlement."""

    __slots__ = (
        "blocked_ms", "burst", "credit", "limit", "rate", "refused", "spent", "subject", "told_ms", "touched_ms",
        "used",
    )  # fmt: skip

    def __init__(self, limit: str, subject: str, rate: int) -> None:
        self.limit = limit
        self.subject = hashlib.sha256(f"{limit}\0{subject}".encode()).digest()[:16]
        self.credit = self.spent = self.used = self.blocked_ms = self.touched_ms = 0
        self.told_ms: int | None = None
        self.refused: _Refused | None = None
        self.rate = self.burst = 0
        self.set(rate)

    def set(self, rate: int) -> None:
        """Take a rate that changed: who was to wait asks anew, and what was taken ahead at a higher one is given up.

        Args: rate: points a second.
        """
        self.rate, self.burst, self.blocked_ms = rate, rate * BURST_S, 0
        self.credit = min(self.credit, self.burst // AHEAD_PART)

    @property
    def overdraft(self) -> int:
        """Points let through before the bucket is asked."""
        return max(1, min(self.burst // OVERDRAFT_PART, OVERDRAFT_MAX))

    @property
    def open(self) -> bool:
        """Whether one more request may pass, whatever its cost: what it owes then is paid before the next."""
        return self.credit - self.spent + self.overdraft > 0

    @property
    def ahead(self) -> int:
        """Points to take for what comes next: twice what was used since the last settlement."""
        return max(0, min(self.burst // AHEAD_PART, 2 * self.used) - self.credit)

    def spend(self, cost: int) -> bool:
        """Pay. Returns: whether there is something to settle."""
        self.used += cost
        from_credit = min(self.credit, cost)
        self.credit -= from_credit
        self.spent += cost - from_credit
        return self.spent > 0


class Rates:
    """One per gate. Memory: one purse for each account and client that asked in the last ten seconds, of those that
    exist."""

    def __init__(self, hot: HotConnections, journal: JournalWriter, clock: Clock, defaults: Defaults) -> None:
        self._hot = hot
        self._journal = journal
        self._clock = clock
        self._steady = SteadyClock()
        self.defaults = defaults
        self._purses: dict[tuple[str, str], _Purse] = {}
        self._dirty: dict[bytes, _Purse] = {}
        self._hurry = asyncio.Event()
        self._next: asyncio.Future[HygieError | None] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._held = 0
        self._closed = False

    async def charge(
        self, snapshot: Snapshot, bearer: Bearer, action: Action, where: tuple[str, str, str], *, weight: int = 1
    ) -> None:
        """Let one admitted request through, and count it.

        Args: where: address, device and country; weight: how many entries a bundle has; 0 asks without paying.
        Raises: RateLimitedError: the account or its client used up its points; journaled, the first at once, then their
        number each minute. UnavailableError: the points cannot be read.
        """
        account = snapshot.accounts.get(bearer.account)
        now_ms = self._clock.now_ms()
        subjects = (
            (ACCOUNT, bearer.account, account.kind if account is not None else ""),
            (TENANT, bearer.place.tenant_id.hex(), TENANT),
        )
        purses = []
        for kind, subject, default in subjects:
            rate = allowed(snapshot.allowances, (kind, subject, POINTS), self.defaults.points(default), now_ms)
            purses.append(self._purse(kind, subject, rate))
        while True:
            now_ms = self._steady.now_ms()
            blocked = next((one for one in purses if one.blocked_ms > now_ms), None)
            if blocked is not None:
                await self._refuse(blocked, _Refused(bearer, action, *where, 1), now_ms)
            if all(one.open for one in purses):
                break
            await self._settled(one for one in purses if not one.open)
        cost = COST.get(action, COST_OF_OTHERS) * weight
        for one in purses:
            if one.spend(cost):
                self._dirty[one.subject] = one
        self._start()

    async def close(self) -> None:
        """Charge what was let through, give back what was taken ahead, and say the last refusals."""
        self._closed = True
        self._hurry.set()
        if self._loop is not None:
            await self._loop

    def _purse(self, kind: str, subject: str, rate: int) -> _Purse:
        purse = self._purses.get((kind, subject))
        if purse is None:
            purse = self._purses[kind, subject] = _Purse(kind, subject, rate)
        elif purse.rate != rate:
            purse.set(rate)
        purse.touched_ms = self._steady.now_ms()
        return purse

    async def _refuse(self, purse: _Purse, refused: _Refused, now_ms: int) -> None:
        """Raise, once it is on record; a refusal is held a moment so that asking again at once gains nothing."""
        error = RateLimitedError(limit=purse.limit, retry_after_s=math.ceil((purse.blocked_ms - now_ms) / 1000))
        if purse.refused is not None:
            refused.count += purse.refused.count
        purse.refused = refused
        if purse.told_ms is None or now_ms - purse.told_ms >= TOLD_MS:
            await self._tell([purse], now_ms)
        if self._held < HELD_MAX:
            self._held += 1
            try:
                await asyncio.sleep(HELD_S)
            finally:
                self._held -= 1
        raise error

    async def _tell(self, purses: Sequence[_Purse], now_ms: int) -> None:
        """Journal the refusals since the last entry. Raises: JournalUnavailableError: they are still to be told."""
        told = [(one, one.refused, one.told_ms) for one in purses]
        for one in purses:
            one.refused, one.told_ms = None, now_ms
        entries = [self._entry(one.limit, refused) for one, refused, _ in told if refused is not None]
        try:
            await self._journal.append_now(entries)
        except HygieError:
            for one, refused, told_ms in told:
                if refused is not None and one.refused is not None:
                    one.refused.count += refused.count
                one.refused, one.told_ms = one.refused or refused, told_ms
            raise

    def _entry(self, limit: str, refused: _Refused) -> Entry:
        bearer, place = refused.bearer, refused.bearer.place
        return Entry(
            action=refused.action,
            outcome="refused",
            kind="security",
            at_ms=self._clock.now_ms(),
            tenant_id=place.tenant_id,
            environment_id=place.environment_id,
            account=bearer.account,
            professional_id=bearer.professional_id,
            authentication=bearer.authentication,
            count=refused.count,
            address=refused.address,
            device=refused.device,
            country=refused.country,
            detail={"code": RateLimitedError.code, "limit": limit},
        )

    # -- settlement -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if (self._loop is None or self._loop.done()) and not self._closed:
            self._loop = asyncio.create_task(self._run(), name="gate-rates")

    async def _settled(self, purses: Iterable[_Purse]) -> None:
        """Wait for a settlement of these purses that begins after this call. Raises: UnavailableError."""
        for one in purses:
            self._dirty[one.subject] = one
        self._start()
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        self._hurry.set()
        error = await asyncio.shield(self._next)
        if error is not None:
            raise error

    async def _run(self) -> None:
        """Settle while there are purses; ends by itself when nobody asked for ten seconds."""
        while self._purses:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), SETTLE_S if self._dirty else 10 * SETTLE_S)
            self._hurry.clear()
            waiters, self._next = self._next, None
            error: HygieError | None = UnavailableError(part="gate")
            try:
                await self._round()
                error = None
            except HygieError as failed:
                error = failed
                log.warning("rates are not settled: %s", failed.code)
            finally:  # whatever broke, nobody waits for ever
                if waiters is not None:
                    waiters.set_result(error)
            if self._closed:
                return

    async def _round(self) -> None:
        now_ms = self._steady.now_ms()
        late = [
            one
            for one in self._purses.values()
            if one.refused is not None and (self._closed or now_ms - (one.told_ms or 0) >= TOLD_MS)
        ]
        idle = {
            key: one
            for key, one in self._purses.items()
            if (self._closed or now_ms - one.touched_ms > IDLE_MS) and (one.refused is None or self._closed)
        }
        leaving = [one for one in idle.values() if one.credit or one.spent]
        for one in leaving:  # what was taken ahead is given back
            one.spent, one.credit, one.used = one.spent - one.credit, 0, 0
            self._dirty[one.subject] = one
        if self._dirty:
            await self._settle(now_ms)
        for key, one in idle.items():
            if not one.spent and not one.credit and one.subject not in self._dirty:
                self._purses.pop(key, None)
        if late:
            await self._tell(late, now_ms)

    async def _settle(self, now_ms: int) -> None:
        """One statement for all purses that owe or want something. Raises: UnavailableError: they still do."""
        purses, self._dirty = list(self._dirty.values()), {}
        sent = [one.spent for one in purses]
        values = [
            [one.subject for one in purses],
            sent,
            [one.ahead for one in purses],
            [one.rate for one in purses],
            [one.burst for one in purses],
        ]
        try:
            rows = await self._hot.fetch(_TAKE, values)
        except (psycopg.Error, HygieError) as error:
            self._dirty = {one.subject: one for one in purses} | self._dirty
            raise UnavailableError(part="gate") from error
        for rank, given, wait_ms in rows:
            one = purses[rank - 1]
            one.spent -= sent[rank - 1]
            one.credit += given
            one.used = 0
            one.blocked_ms = now_ms + wait_ms if wait_ms else 0
