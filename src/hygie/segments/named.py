"""What the published journal says of the logs, and whether the database bears it out.

Each write of registers and each evaluation is journaled in its own transaction, with its number and its digest in the
chain: the journal holds every head that the logs ever had.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from hygie.base.actions import Action
from hygie.journal.entry import Entry
from hygie.segments.errors import LogLackingError
from hygie.segments.format import BATCHES, LOGS, RECORDS

ASKED_AT_ONCE = 10_000
SHOWN_MAX = 8  # ranges of numbers in one sentence; a machine gets them all
_DIGESTS = {
    RECORDS: "SELECT seq, digest FROM hygie_proof.record WHERE seq = ANY(%s)",
    BATCHES: "SELECT seq, digest FROM hygie_proof.batch WHERE seq = ANY(%s)",
}
_LOG = {Action.REGISTER_WRITE: RECORDS, Action.CHECK_RUN: BATCHES}
_DECLARING = frozenset({Action.VAULT_REBUILD, Action.BACKUP_RESTORE})
KINDS = frozenset({"evidence", "administration", "platform"})
"""Classes of entries that say something of the logs."""
DECLARED_CHARACTERS_MAX = 1_000
NUMBER_MAX = 2**63 - 1  # of a write: a bigint
log = logging.getLogger(__name__)
Range = tuple[int, int]
"""First and last number, both included."""


@dataclass(frozen=True, slots=True)
class NamedWrite:
    """One write as the journal names it. first, last: its numbers; digest: of the last one."""

    first: int
    last: int
    digest: bytes
    at_ms: int


@dataclass(slots=True)
class NamedWrites:
    """What the journal names, by log and last number.

    twice: numbers that it names with two digests, by log; declared: numbers that a rebuild or a restore said to be
    lost, by log, as the last one said it; newest_at_gaps: by log, the last number named each time that the journal said
    that it may miss entries.
    """

    writes: dict[str, dict[int, NamedWrite]] = field(default_factory=lambda: {name: {} for name in LOGS})
    twice: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in LOGS})
    declared: dict[str, list[Range]] = field(default_factory=lambda: {name: [] for name in LOGS})
    newest_at_gaps: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in LOGS})

    def hear(self, entry: Entry) -> None:
        """What one entry says; most say nothing of these logs, nor does one that is not of their form: whoever may add
        to the journal must not blind the comparison by it."""
        try:
            if declares(entry):
                self.declared = {name: _read_ranges(entry.detail.get(f"lacking_{name}", "")) for name in LOGS}
            if entry.action is Action.JOURNAL_GAP:
                for log_, writes in self.writes.items():
                    self.newest_at_gaps[log_].add(max(writes, default=0))
            name = _LOG.get(entry.action)
            if name is None or entry.outcome != "done" or entry.kind != "evidence":
                return
            write = _named_by(entry, name)
        except (KeyError, ValueError):
            log.error("an entry of the journal names the logs in no known form: %s", entry.action)
            return
        known = self.writes[name].setdefault(write.last, write)
        if known.digest != write.digest:
            self.twice[name].add(write.last)

    def newest(self, log: str) -> NamedWrite | None:
        """The write of the highest number."""
        writes = self.writes[log]
        return writes[max(writes)] if writes else None

    def follows_unnamed(self, log: str, write: NamedWrite) -> bool:
        """Whether the number before a write is named by nothing, though earlier ones are, and no gap of the journal
        tells why: somebody put it there."""
        writes = self.writes[log]
        before = write.first - 1
        if before in writes or write.first <= next(iter(writes.values())).first:
            return False
        last = max((one for one in writes if one < before), default=0)
        return last not in self.newest_at_gaps[log]

    def contradicts(self, log: str, seq: int, digest: bytes) -> bool:
        """Whether the journal names another digest under this number, and this one never."""
        write = self.writes[log].get(seq)
        return write is not None and write.digest != digest and seq not in self.twice[log]


@dataclass(slots=True)
class Difference:
    """Between one log and what the journal names of it. lacking: ranges of numbers that are not there; declared: of
    those, what a rebuild said to be lost; other: numbers whose write is another one, or that it names twice; added:
    numbers of writes that are there and that it does not name."""

    log: str
    lacking: list[Range] = field(default_factory=list)
    other: list[int] = field(default_factory=list)
    declared: list[Range] = field(default_factory=list)
    added: list[int] = field(default_factory=list)

    @property
    def none(self) -> bool:
        """Whether the log is as the journal says, but for what was declared lost."""
        return not (self.lacking or self.other or self.added)

    def shown(self) -> str:
        """The numbers, for a sentence: ``105-107, 110, ≠ 98, + 99``."""
        parts = [str(first) if first == last else f"{first}-{last}" for first, last in self.lacking]
        parts += [f"≠ {seq}" for seq in self.other] + [f"+ {seq}" for seq in self.added]
        return ", ".join(parts[:SHOWN_MAX]) + (" …" if len(parts) > SHOWN_MAX else "")

    def require_none(self) -> None:
        """Raises: LogLackingError: names the numbers."""
        if not self.none:
            raise LogLackingError(log=self.log, numbers=self.shown())


async def compare(
    connection: psycopg.AsyncConnection[Any], named: NamedWrites, log: str, *, only: Collection[int] | None = None
) -> Difference:
    """Hold one log to what the journal names.

    Args: only: last numbers of the writes to look at, all by default.
    """
    found = Difference(log)
    declared = named.declared[log]
    wanted = sorted(named.writes[log] if only is None else only)
    for start in range(0, len(wanted), ASKED_AT_ONCE):
        asked = wanted[start : start + ASKED_AT_ONCE]
        before = [
            named.writes[log][seq].first - 1 for seq in asked if named.follows_unnamed(log, named.writes[log][seq])
        ]
        cursor = await connection.execute(_DIGESTS[log].encode(), ([*asked, *before],))
        there = {seq: bytes(digest) for seq, digest in await cursor.fetchall()}
        found.added += [seq for seq in before if seq in there]
        for seq in asked:
            write = named.writes[log][seq]
            if seq not in there:
                excused = any(first <= write.first and write.last <= last for first, last in declared)
                _extend(found.declared if excused else found.lacking, (write.first, write.last))
            elif there[seq] != write.digest or seq in named.twice[log]:
                found.other.append(seq)
    return found


def _extend(ranges: list[Range], more: Range) -> None:
    """Add a range that begins after the last one's beginning; adjacent ones become one."""
    if ranges and ranges[-1][1] + 1 >= more[0]:
        ranges[-1] = (ranges[-1][0], max(ranges[-1][1], more[1]))
    else:
        ranges.append(more)


def declaration(lacking: Mapping[str, Sequence[Range]]) -> dict[str, str]:
    """What the entry of a rebuild or a restore says of numbers that nobody holds: ``lacking_batches: 105-107,110-110``.

    What does not fit in an entry is not declared: it goes on being a fault.
    """
    said = {}
    for name, ranges in lacking.items():
        text = ""
        for first, last in ranges:
            more = f"{text},{first}-{last}" if text else f"{first}-{last}"
            if len(more) > DECLARED_CHARACTERS_MAX:
                break
            text = more
        if text:
            said[f"lacking_{name}"] = text
    return said


def _named_by(entry: Entry, name: str) -> NamedWrite:
    """Raises: KeyError, ValueError: not of the form, or numbers that no log has."""
    said = entry.detail
    last = int(said["last"] if name == RECORDS else said["batch"])
    first = int(said["first"]) if name == RECORDS else last
    if not 0 < first <= last <= NUMBER_MAX:
        raise ValueError(name)
    return NamedWrite(first, last, bytes.fromhex(said["digest"]), entry.at_ms)


def declares(entry: Entry) -> bool:
    """Whether an entry is that of a rebuild or a restore, which says what nobody holds: perhaps nothing."""
    return entry.action in _DECLARING and entry.outcome != "intent"


def _read_ranges(text: str) -> list[Range]:
    pairs = (one.partition("-") for one in text.split(",") if one)
    return [(int(first), int(last)) for first, _, last in pairs]
