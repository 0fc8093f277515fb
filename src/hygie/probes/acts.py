"""Acts of administration that the published journal holds, read once and followed: what is new at each look."""

from __future__ import annotations

from hygie.app import House, opened
from hygie.base.actions import Action
from hygie.base.errors import NotFoundError
from hygie.database.pool import Database
from hygie.gate.told import KINDS
from hygie.journal.leaf import Head
from hygie.journal.reader import head_of
from hygie.proof.facts import ActFacts, ActsFacts

KEPT_DAYS = 35  # a month of acts is compared with interventions and changes, with room for late records
TRACES_DAYS = 125  # a client's traces are handed over each quarter, from an export of the month before
ACTS_MAX = 20_000
LEAVES_MAX = 200_000  # of one look: a long journal is caught up with in several, and said not to be whole meanwhile
DAY_MS = 86_400_000
PLATFORM = bytes(16)  # the tenant of entries that are about none


class ActsWatch:
    """Follows the journal of one installation."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._next = 0
        self._acts: list[ActFacts] = []
        self._left_ms = 0  # of the newest act that was one too many
        self._traces: list[ActFacts] = []

    async def look(self) -> ActsFacts:
        """The acts of the last days. Raises: IntegrityError: the journal is not what was signed; UnavailableError."""
        now_ms = self._house.clock.now_ms()
        since_ms, traces_ms = now_ms - KEPT_DAYS * DAY_MS, now_ms - TRACES_DAYS * DAY_MS
        whole = True
        async with opened(self._house.dsns.sealer, size=1) as records:
            reader = await self._house.journal_reader(records)
            try:
                tree, _ = await reader.tree()
            except NotFoundError:
                return ActsFacts((), since_ms, whole=False)  # nothing is published yet
            names = await _names(records)
            end = min(tree.head.size, self._next + LEAVES_MAX)
            whole = end == tree.head.size
            async for first, leaves in tree.bundles(self._next, end):
                found: list[ActFacts] = []  # kept with their bundle: a look that fails in it reads it again
                for index, leaf in enumerate(leaves, first):
                    head = head_of(leaf)
                    if not _counts(head, since_ms, traces_ms):
                        continue
                    entry = (await reader.open(index, leaf)).entry
                    if entry is not None and not entry.account.startswith("system:"):
                        tenant = names.get(head.tenant_id, head.tenant_id.hex()) if head.tenant_id != PLATFORM else ""
                        disclosed = entry.detail.get("disclosed", "")
                        found.append(
                            ActFacts(entry.action, entry.at_ms, entry.account, entry.outcome, tenant, disclosed)
                        )
                self._acts += found
                self._traces += [one for one in found if one.action == Action.JOURNAL_EXPORT and one.tenant]
                self._next = first + len(leaves)
        recent = [one for one in self._acts if one.at_ms >= since_ms]
        if len(recent) > ACTS_MAX:
            self._left_ms = recent[-ACTS_MAX - 1].at_ms
        self._acts = recent[-ACTS_MAX:]
        self._traces = [one for one in self._traces if one.at_ms >= traces_ms][-ACTS_MAX:]
        return ActsFacts(tuple(self._acts), since_ms, whole and self._left_ms < since_ms, tuple(self._traces))


def _counts(head: Head, since_ms: int, traces_ms: int) -> bool:
    """Whether an entry may be one of those that are kept: of the last days, or about a client's traces."""
    if head.kind not in KINDS:
        return False
    return head.at_ms >= (traces_ms if head.tenant_id != PLATFORM else since_ms)


async def _names(records: Database) -> dict[bytes, str]:
    async with records.transaction() as connection:
        rows = await (await connection.execute("SELECT id, name FROM hygie.tenant")).fetchall()
    return {bytes(row[0]): row[1] for row in rows}
