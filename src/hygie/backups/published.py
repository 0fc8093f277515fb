"""What the published journal names: packs that a rebuild must find again, erasures that it must not undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hygie.base.actions import Action
from hygie.base.errors import NotFoundError
from hygie.gate.platform_ledger import REVOKING
from hygie.journal.entry import Entry
from hygie.journal.reader import JournalReader
from hygie.segments.named import NamedWrites

WINDOWS = frozenset({Action.AVAILABILITY_DECLARE, Action.AVAILABILITY_CANCEL})
WRITES = frozenset({Action.OBJECT_CREATE, Action.OBJECT_UPDATE, Action.OBJECT_DELETE})


@dataclass(slots=True)
class Published:
    """entries: of the signed tree, each checked; foreign: indexes of bytes that are no entry, passed over; packs:
    environment id -> pack number -> SHA-256 (hex); first: index of the first entry that names a pack; erased:
    environment id -> compartments; revocations: entries that withdrew a right or an environment,
    or that took a suspended right up again, in their order; windows: entries that declared or withdrew a planned
    window, likewise; logs: writes of registers and of evidence."""

    entries: int = 0
    foreign: list[int] = field(default_factory=list)
    packs: dict[bytes, dict[int, str]] = field(default_factory=dict)
    first: dict[tuple[bytes, int], int] = field(default_factory=dict)
    erased: dict[bytes, set[bytes]] = field(default_factory=dict)
    revocations: list[Entry] = field(default_factory=list)
    windows: list[Entry] = field(default_factory=list)
    logs: NamedWrites = field(default_factory=NamedWrites)

    def take(self, index: int, entry: Entry) -> None:
        """What one entry says."""
        self.logs.hear(entry)
        if entry.action in REVOKING:
            self.revocations.append(entry)
        if entry.outcome != "done":
            return
        if entry.action in WINDOWS:
            self.windows.append(entry)
        elif entry.action in WRITES and "pack" in entry.detail:
            number = int(entry.detail["pack"])
            self.packs.setdefault(entry.environment_id, {})[number] = entry.detail["sha256"]
            self.first.setdefault((entry.environment_id, number), index)
        elif entry.action is Action.PATIENT_ERASE and entry.subject:
            self.erased.setdefault(entry.environment_id, set()).add(entry.subject)

    def later(self, environment_id: bytes, size: int) -> set[int]:
        """Packs that were written after the journal had ``size`` entries."""
        return {n for (environment, n), index in self.first.items() if environment == environment_id and index >= size}


async def read_published(reader: JournalReader, progress: Callable[[int], None] | None = None) -> Published:
    """Read the whole journal, checked up to its signed root, and what its writes name.

    Raises: IntegrityError: an entry, a tile or the checkpoint is not what was signed.
    """
    found = Published()
    try:
        tree, _ = await reader.tree()
    except NotFoundError:
        return found  # nothing was ever published
    async for first, leaves in tree.bundles(0, tree.head.size):
        for index, leaf in enumerate(leaves, first):
            opened = await reader.open(index, leaf)
            if opened.foreign:
                found.foreign.append(index)
            elif opened.entry is not None:
                found.take(index, opened.entry)
        found.entries = first + len(leaves)
        if progress is not None:
            progress(len(leaves))
    return found
