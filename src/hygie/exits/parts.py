"""Lines of NDJSON, gathered by environment, kind and type, and handed over as files of a bounded size.

Kinds: ``current`` (one resource a line), ``history`` (one FHIR Bundle of type history a line, of at most a hundred
superseded versions and deletions), ``contents`` (where the raw content of each Binary is), ``names`` (which resource
stands behind each opaque name of the traces).  Patients come one after another, so all types fill at once: what waits
is bounded in all, and the largest goes first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

PART_BYTES = 32 * 1024 * 1024  # a file that one reads again alone when it is damaged
WAITING_BYTES_MAX = 96 * 1024 * 1024  # of all types together: what an export holds in memory
BUNDLE_ENTRIES = 100

Save = Callable[[str, bytes], Awaitable[None]]
Slot = tuple[str, str, str]
"""(environment, kind, type)"""


@dataclass(slots=True)
class _Waiting:
    lines: list[bytes] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    bytes: int = 0
    number: int = 0


class Parts:
    """Files of NDJSON under way.

    Args: save: takes the name and the bytes of a file that is full.
    """

    def __init__(self, save: Save) -> None:
        self._save = save
        self._slots: dict[Slot, _Waiting] = {}
        self._bytes = 0

    async def line(self, slot: Slot, line: bytes) -> None:
        """One line, without its end."""
        waiting = self._slots.setdefault(slot, _Waiting())
        waiting.lines.append(line)
        await self._grown(slot, waiting, len(line) + 1)

    async def entry(self, slot: Slot, entry: bytes) -> None:
        """One entry of a Bundle of history; a hundred of them make a line."""
        waiting = self._slots.setdefault(slot, _Waiting())
        waiting.entries.append(entry)
        if len(waiting.entries) == BUNDLE_ENTRIES:
            _close_bundle(waiting)
        await self._grown(slot, waiting, len(entry) + 1)

    async def flush(self) -> None:
        """Hand over all that waits."""
        for slot, waiting in self._slots.items():
            await self._hand_over(slot, waiting)

    async def _grown(self, slot: Slot, waiting: _Waiting, by: int) -> None:
        waiting.bytes += by
        self._bytes += by
        if waiting.bytes >= PART_BYTES:
            await self._hand_over(slot, waiting)
        elif self._bytes >= WAITING_BYTES_MAX:
            largest = max(self._slots.items(), key=lambda item: item[1].bytes)
            await self._hand_over(*largest)

    async def _hand_over(self, slot: Slot, waiting: _Waiting) -> None:
        _close_bundle(waiting)
        if not waiting.lines:
            return
        waiting.number += 1
        environment, kind, type_ = slot
        data = b"\n".join([*waiting.lines, b""])
        self._bytes -= waiting.bytes
        waiting.lines, waiting.bytes = [], 0
        await self._save(f"{environment}/{kind}/{type_}.{waiting.number:05d}.ndjson", data)


def _close_bundle(waiting: _Waiting) -> None:
    if waiting.entries:
        waiting.lines.append(
            b'{"resourceType":"Bundle","type":"history","entry":[' + b",".join(waiting.entries) + b"]}"
        )
        waiting.entries = []
