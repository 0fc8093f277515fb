"""Two records that must tell the same story: the keys that the KMS gave out, and the journal of who asked for what.

The KMS keeps its own record, which no other process writes.  Each key that it gave names a permit; the journal has an
entry under that permit.  A key given under a permit that no entry names was taken outside the doors.

The other way round proves nothing: an entry without an unwrap is a key that was still in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hygie.gate.errors import UnjournaledUnwrapError
from hygie.journal.entry import PLATFORM, Entry
from hygie.keys.kms import UnwrapLine

WINDOW_MS = 5 * 60_000  # between a key and the entry of what it was for
RECENT_MS = 10_000  # a request under way has its key before its entry


@dataclass(slots=True)
class Reconciliation:
    """lines: of the KMS's record, refusals included; keys: given out by them; matched: lines with their entry; waiting:
    too young to tell; orphans: lines without any entry."""

    lines: int = 0
    keys: int = 0
    refused: int = 0
    matched: int = 0
    waiting: int = 0
    orphans: list[UnwrapLine] = field(default_factory=list)


def reconcile(lines: Iterable[UnwrapLine], entries: Iterable[Entry], *, now_ms: int) -> Reconciliation:
    """Compare. Pure.

    An entry covers a line when it names the same permit and the same environment (or the whole platform), and the line
    is within ``WINDOW_MS`` of it, or between the first and the last entry of that permit: a rebuild may last hours.

    Args: entries: all those published, in any order; now_ms: when the lines were read, before the entries.
    """
    instants: dict[tuple[str, str], list[int]] = {}
    for entry in entries:
        if entry.permit_id:
            instants.setdefault((entry.permit_id.hex(), entry.environment_id.hex()), []).append(entry.at_ms)
    found = Reconciliation()
    for line in lines:
        found.lines += 1
        if line.outcome != "done":
            found.refused += 1
            continue
        found.keys += len(line.compartments)
        if any(
            _covers(instants.get((line.permit, environment), []), line.at_ms)
            for environment in (line.environment, PLATFORM.hex())
        ):
            found.matched += 1
        elif line.at_ms > now_ms - RECENT_MS:
            found.waiting += 1
        else:
            found.orphans.append(line)
    return found


def require_journaled(found: Reconciliation) -> None:
    """Say that a key left without a trace. Raises: UnjournaledUnwrapError."""
    if found.orphans:
        first = found.orphans[0]
        keys = sum(len(line.compartments) for line in found.orphans)
        raise UnjournaledUnwrapError(count=keys, line=first.line, permit=first.permit)


def _covers(instants: list[int], at_ms: int) -> bool:
    """Whether the entries of one permit are around a line."""
    return bool(instants) and min(instants) - WINDOW_MS <= at_ms <= max(instants) + WINDOW_MS
