"""The logs of machines as one source of the watch: every file is followed from its mark, a page of each at a time.

The marks lie with the cursor, in the transaction of the findings: a watch that is killed reads again what it had not
written down, and nothing twice.  Source: docs/adr/0031-host-logs.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from hygie.base.clock import Clock
from hygie.watch import host_files
from hygie.watch.engine import Hit
from hygie.watch.events import HOST, Event, Value, clock_fields
from hygie.watch.findings import digest_of
from hygie.watch.host_files import Mark, Piece, Place
from hygie.watch.host_lines import Said, read_line
from hygie.watch.messages import SILENT_CARD
from hygie.watch.sources import Connection, Page

TURN_BYTES = 4 * host_files.PAGE_BYTES  # of all logs together: 0.3 s of a core
OWN = "hygie"  # the program of what is told of a log itself
UNREADABLE = "log.unreadable"
STUCK_MS = 300_000  # a disk that does not answer keeps its thread


@dataclass(frozen=True, slots=True)
class FollowedLog:
    """One log. kind: of ``host_lines.READERS``; host: the machine, empty where each line tells its own; silent_minutes:
    its rhythm; spool: it is written for this source alone, from its beginning, and removed behind it."""

    name: str
    place: Place
    kind: str
    host: str
    silent_minutes: int | None = None
    spool: bool = False


class LogState(msgspec.Struct):
    """What is kept of one log. last_ms: when it last said something; absent: that it cannot be read was told."""

    last_ms: int
    mark: Mark | None = None
    absent: bool = False


class HostMark(msgspec.Struct):
    """What is kept of all. senders: of the receiver, when each last said something."""

    logs: dict[str, LogState] = msgspec.field(default_factory=dict)
    senders: dict[str, int] = msgspec.field(default_factory=dict)


@dataclass(slots=True)
class _Turn:
    """What one page gathers. changed: whether something is to be written down."""

    state: HostMark
    page: Page
    now_ms: int
    changed: bool = False
    spools: dict[str, tuple[Place, Mark]] = field(default_factory=dict)


class HostSource:
    """Every followed log. Args: senders: machines that the receiver expects; sender_minutes: the rhythm of each."""

    name = HOST

    def __init__(
        self, logs: Sequence[FollowedLog], clock: Clock, *, senders: Sequence[str] = (), sender_minutes: int = 0
    ) -> None:
        self._logs = list(logs)
        self._clock = clock
        self._senders = {one.lower() for one in senders}
        self._sender_minutes = sender_minutes
        self._state = HostMark()
        self._first = 0  # which log is read first: each in turn
        self._passed_ms = 0  # when all was last found to be read
        self._read_ms = clock.now_ms()  # when a page last came to its end
        self._looked_ms = 0  # the same, at the last look for silences

    async def end(self, connection: Connection) -> int:
        """See :class:`hygie.watch.sources.Source`: lines are counted from the first that is read."""
        del connection
        return 0

    async def begin(self, kept: object) -> None:
        """Take up the marks. A log that has none begins now, at its end; the spool begins at its beginning."""
        with contextlib.suppress(msgspec.ValidationError):  # rows of somebody else: begin again
            self._state = msgspec.convert(kept or {}, HostMark)
        now_ms = self._clock.now_ms()
        before, self._state.logs = self._state.logs, {}
        for one in self._logs:
            if one.name not in before:
                before[one.name] = LogState(now_ms, None if one.spool else await asyncio.to_thread(_end, one.place))
            self._state.logs[one.name] = before[one.name]
        self._state.senders = {one: self._state.senders.get(one, now_ms) for one in self._senders}

    def mark(self) -> object:
        """As the cursor keeps it."""
        return msgspec.to_builtins(self._state)

    async def page(self, connection: Connection, position: int) -> Page:
        """See :class:`hygie.watch.sources.Source`."""
        del connection
        turn = await asyncio.to_thread(self._read, position)
        self._read_ms = self._clock.now_ms()
        page = turn.page
        if not turn.changed:
            self._passed_ms = turn.now_ms
            return page
        page.mark, page.kept = msgspec.to_builtins(turn.state), self._keeping(turn)
        return page

    def silent(self) -> list[Hit]:
        """A finding for each log and sender that said nothing within its rhythm, as of when all was last read; and one
        for all when no page comes to its end."""
        found: list[Hit] = []
        hangs, self._looked_ms = self._looked_ms == self._read_ms, self._read_ms
        now_ms = self._clock.now_ms()
        if hangs and now_ms - self._read_ms > STUCK_MS:
            found.append(_silence("*", "", now_ms, self._read_ms))
        now_ms = self._passed_ms
        for one in self._logs:
            state = self._state.logs[one.name]
            if one.silent_minutes is not None and now_ms - state.last_ms > one.silent_minutes * 60_000:
                found.append(_silence(one.name, one.host, now_ms, state.last_ms))
        for host, last_ms in sorted(self._state.senders.items()):
            if now_ms - last_ms > self._sender_minutes * 60_000:
                found.append(_silence("received", host, now_ms, last_ms))
        return found

    def _keeping(self, turn: _Turn) -> Callable[[], None]:
        def kept() -> None:
            self._state = turn.state
            if not turn.page.more:
                self._passed_ms = turn.now_ms
            for place, mark in turn.spools.values():
                _tidy(place, mark)

        return kept

    def _read(self, position: int) -> _Turn:
        """A page of each log until the turn is full, another one first each time. Blocks."""
        state = msgspec.convert(msgspec.to_builtins(self._state), HostMark)
        turn = _Turn(state, Page(position=position), self._clock.now_ms())
        left = TURN_BYTES
        order = self._logs[self._first :] + self._logs[: self._first]
        self._first = (self._first + 1) % max(len(self._logs), 1)
        for one in order:
            if left <= 0:
                turn.page.more = True
                break
            left -= self._read_one(one, turn)
        return turn

    def _read_one(self, one: FollowedLog, turn: _Turn) -> int:
        """One page of one log. Returns: how many bytes."""
        state = turn.state.logs[one.name]
        try:
            piece = host_files.read(one.place, state.mark)
        except OSError:
            if not state.absent and not one.spool:
                state.absent, turn.changed = True, True
                _add(turn, _event(one, turn, Said(None, UNREADABLE, {"program": OWN})), b"")
            return 0
        turn.changed |= state.absent or not _same(piece.mark, state.mark)
        turn.page.more |= piece.more
        state.absent, state.mark = False, piece.mark
        for told in piece.told:
            _add(turn, _event(one, turn, Said(None, told, {"program": OWN})), b"")
        if piece.lines:
            state.last_ms = turn.now_ms
        self._take(one, turn, piece)
        if one.spool and piece.mark is not None:
            turn.spools[one.name] = (one.place, piece.mark)
        return sum(map(len, piece.lines))

    def _take(self, one: FollowedLog, turn: _Turn, piece: Piece) -> None:
        unread = 0
        for raw in piece.lines:
            said = read_line(one.kind, raw)
            unread += said is None
            event = None
            if said is not None:
                if said.host.lower() in turn.state.senders:
                    turn.state.senders[said.host.lower()] = turn.now_ms
                event = _event(one, turn, said) if said.event else None
            _add(turn, event, raw)
        for name, count in (("log.cut", piece.cut), ("log.unread", unread)):
            if count:
                _add(turn, _event(one, turn, Said(None, name, {"program": OWN, "count": count})), b"")


def _event(one: FollowedLog, turn: _Turn, said: Said) -> Event:
    """As rules see it. Its rank: of the line among all that were read."""
    at_ms = min(said.at_ms, turn.now_ms) if said.at_ms is not None else turn.now_ms  # nobody speaks of what is to come
    fields: dict[str, Value] = {"source": HOST, "log": one.name, "event": said.event}
    host = said.host or one.host
    fields |= {"host": host} if host else {}
    return Event(HOST, turn.page.position, at_ms, fields | dict(said.fields) | clock_fields(at_ms))


def _add(turn: _Turn, event: Event | None, raw: bytes) -> None:
    """Count one line, or one thing told; keep what rules may look for."""
    if event is not None:
        turn.page.events.append(event)
        turn.page.digests[event.rank] = digest_of(raw)
    turn.page.position += 1


def _same(one: Mark | None, other: Mark | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.device, one.inode, one.offset, one.skipping) == (
        other.device,
        other.inode,
        other.offset,
        other.skipping,
    )


def _end(place: Place) -> Mark | None:
    try:
        return host_files.end_of(place)
    except OSError:
        return None  # it is told at the first turn


def _tidy(place: Place, mark: Mark) -> None:
    """Remove the parts of a spool that were read whole."""
    with contextlib.suppress(OSError):  # the next turn does it
        for path in place.files():
            if path.stat().st_ino == mark.inode:
                return
            path.unlink()


def _silence(log: str, host: str, now_ms: int, last_ms: int) -> Hit:
    group: Mapping[str, str] = {"host": host, "log": log} if host else {"log": log}
    return Hit(SILENT_CARD, group, now_ms, HOST, (), {"silent_ms": now_ms - last_ms})
