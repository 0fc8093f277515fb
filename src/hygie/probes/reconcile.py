"""Two tellings of one story, compared: the rights in the tables and the key record, with what the journal says of them.

``hygie work`` does it every minute and reads only what is new; ``hygie journal reconcile`` reads everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from hygie.app import House
from hygie.base.errors import NotFoundError
from hygie.database.pool import Database
from hygie.gate.rights import Right, live_rights, rights_key
from hygie.gate.told import KINDS, Told, Wrong
from hygie.journal.reader import Found, JournalReader, head_of

PUBLISHED_S_MAX = 10.0
POLL_S = 0.5
_COMMITTED = "SELECT (SELECT size FROM hygie.journal_head) + (SELECT count(*) FROM hygie.journal_pending)"


@dataclass(frozen=True, slots=True)
class RightsLook:
    """live: rights in the tables; complete: the journal was read up to them; wrong: those it does not bear out;
    foreign: bytes in the journal that are no entry, each as (index, instant in ms of the entry before it)."""

    live: int
    complete: bool
    wrong: list[Wrong]
    foreign: list[tuple[int, int]]


class JournalWatch:
    """What the published journal says of rights and of the key record, checked up to its signed root.

    Args: records: opened as the sealer or as the owner.
    """

    def __init__(self, house: House, records: Database) -> None:
        self._house = house
        self._records = records
        self._next = 0
        self._latest_ms = 0
        self.told = Told()
        self.foreign: list[tuple[int, int]] = []

    async def follow(self, hear: Callable[[Found], None] | None = None) -> None:
        """Hear what was published since the last time.

        Args: hear: is given every entry; without it only those that tell of rights or of the key record are opened.
        What is no entry at all is kept in ``foreign`` and tells nothing.
        Raises: IntegrityError: an entry, a tile or the checkpoint is not what was signed.
        """
        reader: JournalReader = await self._house.journal_reader(self._records)
        try:
            tree, _ = await reader.tree()
        except NotFoundError:
            return  # nothing is published yet
        async for first, leaves in tree.bundles(self._next, tree.head.size):
            for index, leaf in enumerate(leaves, first):
                head = head_of(leaf)
                if hear is None and head.month and head.kind not in KINDS:
                    continue
                found = await reader.open(index, leaf)
                if found.foreign:
                    self.foreign.append((index, self._latest_ms))
                    continue
                self._latest_ms = found.head.at_ms
                if found.head.kind in KINDS:
                    self.told.hear(found.head, found.entry)
                if hear is not None:
                    hear(found)
            self._next = first + len(leaves)

    async def look_at_rights(self, hear: Callable[[Found], None] | None = None) -> RightsLook:
        """Compare. A right counts as wrong if it is so before and after the journal was read: what changes meanwhile
        is left for the next look.

        Raises: as ``follow``; UnavailableError.
        """
        key = await rights_key(self._house.kms)
        first = await self._rights()
        complete = await self.published()
        await self.follow(hear)
        after = await self._rights()
        before = {(right.name, right.mac) for right in first}
        both = [right for right in after if (right.name, right.mac) in before]
        wrong = self.told.wrong(both, key, complete=complete)
        if complete:
            wrong += self.told.absent([*first, *after], self._house.clock.now_ms())
        return RightsLook(len(after), complete, wrong, self.foreign)

    async def published(self) -> bool:
        """Wait until what is committed now is on the sites, some seconds at most. Returns whether it is."""
        reader = await self._house.journal_reader(self._records)
        async with self._records.transaction() as connection:
            row = await (await connection.execute(_COMMITTED)).fetchone()
        assert row is not None
        deadline = asyncio.get_running_loop().time() + PUBLISHED_S_MAX
        while row[0]:
            try:
                if (await reader.checkpoint())[0].size >= row[0]:
                    return True
            except NotFoundError:
                pass  # the first checkpoint comes
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _rights(self) -> list[Right]:
        async with self._records.transaction() as connection:
            return await live_rights(connection, self._house.clock.now_ms())
