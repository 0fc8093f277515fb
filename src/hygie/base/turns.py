"""Shares one process between environments: a flood of one leaves the others their turn.

Source: docs/adr/0022-limits.md.  ``who`` is an environment whose caller was let in; nobody else comes here.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from contextlib import suppress

from hygie.base.errors import UnavailableError

ALONE = 64  # requests of one environment under way while no other asks: as many as reads share a transaction
SHARED = 2  # while another asked in the last seconds: its requests take longer by what two others do meanwhile
RECENT_S = 5.0
HELD_MAX = 224  # under way or waiting, all environments: the server takes 256 requests a process, some not known yet


class CrowdedError(UnavailableError):
    """So many requests of one environment wait in this process that one more would take the place of others'."""

    code = "HYG-401"
    fr = "Trop de requêtes de cet environnement à la fois : réessayez dans un instant."
    en = "Too many requests of this environment at once: try again in a moment."


class Turn:
    """Somebody's turn, given back once: at ``end``, or at the end of its context."""

    __slots__ = ("_line", "_turns")

    def __init__(self, turns: Turns, line: _Line) -> None:
        self._turns: Turns | None = turns
        self._line = line

    def end(self) -> None:
        """Let the next one begin."""
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.ended(self._line)


class _Line:
    """One environment. running: turns it has; waiting: those who want one."""

    __slots__ = ("running", "seen_s", "waiting", "who")

    def __init__(self, who: str) -> None:
        self.who = who
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.seen_s = 0.0

    @property
    def held(self) -> int:
        return self.running + len(self.waiting)


class Turns:
    """One per process and face.

    Each environment has its own turns, so nobody waits for another's. Alone it has ``alone`` of them; while another
    asked within ``RECENT_S``, ``shared``. What waits is bounded by what is left for others: one that floods may hold
    half of ``held_max``, two a third each.
    """

    def __init__(self, *, alone: int = ALONE, shared: int = SHARED, held_max: int = HELD_MAX) -> None:
        self._alone = alone
        self._shared = shared
        self._held_max = held_max
        self._held = 0
        self._lines: OrderedDict[str, _Line] = OrderedDict()  # the one that asked last is at the end
        self.elsewhere: frozenset[str] = frozenset()  # environments that asked lately of any process

    async def take(self, who: str) -> Turn:
        """A turn, at once or after those of the same environment that wait. Raises: CrowdedError."""
        line = self._line(who)
        if line.held >= self._held_max - self._held:
            raise CrowdedError()
        self._held += 1
        if line.waiting or line.running >= self._turns_of(line):
            await self._wait(line)
        else:
            line.running += 1
        return Turn(self, line)

    def recent(self) -> list[str]:
        """The environments that asked lately of this process."""
        after_s = time.monotonic() - RECENT_S
        return [line.who for line in self._lines.values() if line.seen_s > after_s]

    def crowded(self, who: str) -> bool:
        """Whether another environment than this one asked lately."""
        line = self._lines.get(who)
        return line is not None and self._turns_of(line) < self._alone

    def ended(self, line: _Line) -> None:
        """A turn was given back."""
        line.running -= 1
        self._held -= 1
        self._next(line)

    def _line(self, who: str) -> _Line:
        now_s = time.monotonic()
        line = self._lines.get(who)
        if line is None:
            line = self._lines[who] = _Line(who)
            while len(self._lines) > 1:  # forget the oldest that rest: what is kept is what asked lately
                oldest = next(iter(self._lines.values()))
                if oldest.held or now_s - oldest.seen_s < RECENT_S:
                    break
                del self._lines[oldest.who]
        line.seen_s = now_s
        self._lines.move_to_end(who)
        return line

    def _turns_of(self, line: _Line) -> int:
        """How many turns an environment has now: the two that asked last tell whether it is alone."""
        if self.elsewhere - {line.who}:
            return self._shared
        after_s = time.monotonic() - RECENT_S
        for rank, other in enumerate(reversed(self._lines.values())):
            if other is not line:
                return self._shared if other.seen_s > after_s else self._alone
            if rank:
                break
        return self._alone

    def _next(self, line: _Line) -> None:
        while line.waiting and line.running < self._turns_of(line):
            waiting = line.waiting.popleft()
            if not waiting.done():
                line.running += 1
                waiting.set_result(None)

    async def _wait(self, line: _Line) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.cancelled():
                self._held -= 1
                with suppress(ValueError):  # passed over already
                    line.waiting.remove(waiting)
            else:  # its turn came at the same moment
                self.ended(line)
            raise


class OneAtATime:
    """One turn for the whole process, given to environments in rotation, and to one's own in order."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def take(self, who: str) -> Single:
        """The turn."""
        if not self._taken:
            self._taken = True
            return Single(self)
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if not waiting.cancelled():
                self.pass_on()
            raise
        return Single(self)

    def pass_on(self) -> None:
        """The turn goes to the environment that had none for longest."""
        while self._waiting:
            who, line = self._waiting.popitem(last=False)
            waiting = line.popleft()
            if line:
                self._waiting[who] = line
            if not waiting.done():
                waiting.set_result(None)
                return
        self._taken = False


class Single:
    """The turn of ``OneAtATime``, given back once."""

    __slots__ = ("_whole",)

    def __init__(self, whole: OneAtATime) -> None:
        self._whole: OneAtATime | None = whole

    def end(self) -> None:
        """Let the next one begin."""
        whole, self._whole = self._whole, None
        if whole is not None:
            whole.pass_on()
