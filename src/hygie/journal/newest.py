"""The newest entries that somebody asks for, read backwards from the sites and checked against the signed tree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from hygie.base.errors import NotFoundError
from hygie.journal.reader import Found, JournalReader
from hygie.journal.tiles import TILE_WIDTH

LATE_MS = 60_000  # an entry is indexed after others that are this much younger, at most: transactions are shorter


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries. tenant_id: of one client (zeros: the platform's own); actions, outcomes: all when empty; since_ms:
    not older; permit_id: under one permit; subjects: about one of these pseudonyms. An entry whose month key is
    destroyed has none of these."""

    tenant_id: bytes | None = None
    actions: Collection[str] = ()
    outcomes: Collection[str] = ()
    since_ms: int = 0
    permit_id: bytes | None = None
    subjects: Collection[bytes] = ()

    def wants(self, found: Found) -> bool:
        """Whether this entry is asked for."""
        if found.foreign or found.head.at_ms < self.since_ms or self.tenant_id not in (None, found.head.tenant_id):
            return False
        if not (self.actions or self.outcomes or self.permit_id or self.subjects):
            return True
        entry = found.entry
        return (
            entry is not None
            and (not self.actions or entry.action.value in self.actions)
            and (not self.outcomes or entry.outcome in self.outcomes)
            and self.permit_id in (None, entry.permit_id)
            and (not self.subjects or entry.subject in self.subjects)
        )


async def newest_first(reader: JournalReader, asked: Asked) -> AsyncIterator[Found]:
    """Published entries that are asked for, the last one first; nothing while nothing is published.

    Raises: IntegrityError: an entry, a tile or the checkpoint is not what was signed.
    """
    try:
        tree, _ = await reader.tree()
    except NotFoundError:
        return
    for number in range((tree.head.size - 1) // TILE_WIDTH, -1, -1):
        first = number * TILE_WIDTH
        async for start, leaves in tree.bundles(first, min(first + TILE_WIDTH, tree.head.size)):
            youngest_ms = 0
            for index in range(start + len(leaves) - 1, start - 1, -1):
                found = await reader.open(index, leaves[index - start])
                youngest_ms = max(youngest_ms, found.head.at_ms)
                if asked.wants(found):
                    yield found
            if youngest_ms < asked.since_ms - LATE_MS:
                return


async def newest(reader: JournalReader, asked: Asked, limit: int) -> list[Found]:
    """At most ``limit`` of them, oldest first. Raises: as ``newest_first``."""
    found: list[Found] = []
    async for one in newest_first(reader, asked):
        if len(found) >= limit:
            break
        found.append(one)
    return found[::-1]
