"""What an environment holds, against what it may: known by each process without a question a request.

Source: docs/adr/0022-limits.md.  The permit says how much it may hold.  What it holds is the sum of its packs and
chunks, asked beside the requests at most every ``FRESH_S``, and more rarely where the question takes long; what this
process writes meanwhile is added.  So several processes may go over together by what they write between two questions.
"""

from __future__ import annotations

import asyncio
import logging
import time

import psycopg

from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.base.permit import Permit
from hygie.database.pool import Database
from hygie.journal.writer import JournalWriter
from hygie.vault import catalogue
from hygie.vault.entries import refusal_entry
from hygie.vault.errors import QuotaError

FRESH_S = 10.0
REST = 50  # the next question comes after as many times what the last one took
TOLD_S = 60.0  # a refusal at once, then one entry a minute with their number

log = logging.getLogger("hygie.vault")


class Quotas:
    """One environment in one process."""

    def __init__(self, role: str, *, database: Database, journal: JournalWriter, clock: Clock) -> None:
        self._role = role
        self._database = database
        self._journal = journal
        self._clock = clock
        self._held: tuple[int, int] | None = None  # bytes, versions
        self._added = (0, 0)  # by this process since that was asked
        self._asked_s = self._told_s = float("-inf")
        self._fresh_s = FRESH_S
        self._asking: asyncio.Task[None] | None = None
        self._refused = 0

    def add(self, bytes_: int, versions: int) -> None:
        """What this process stored just now."""
        self._added = (self._added[0] + bytes_, self._added[1] + versions)

    async def check(self, permit: Permit) -> None:
        """Refuse what would be stored beyond the quota. Deletions store nothing to speak of, and are not asked about.

        Raises: QuotaError: its first refusal of a minute is on record. JournalUnavailableError.
        """
        if permit.quota is None:
            return
        if time.monotonic() - self._asked_s > self._fresh_s and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(), name="quota")
        if self._held is None:
            return  # the first writes of a process are not kept waiting for a sum
        held = [before + added for before, added in zip(self._held, self._added, strict=True)]
        over = [name for name, has, may in zip(("bytes", "versions"), held, permit.quota, strict=True) if has >= may]
        if not over:
            return
        error = QuotaError(limit=over[0])
        self._refused += 1
        if time.monotonic() - self._told_s >= TOLD_S:
            count, self._refused, self._told_s = self._refused, 0, time.monotonic()
            await self._journal.append_now(
                [refusal_entry(permit, error, permit.place, self._clock.now_ms(), count=count)]
            )
        raise error

    async def close(self) -> None:
        """Let the question under way end."""
        if self._asking is not None:
            await asyncio.wait([self._asking])

    async def _ask(self) -> None:
        began_s = self._asked_s = time.monotonic()
        before = self._added
        try:
            async with self._database.transaction(self._role) as connection:
                self._held = await catalogue.held(connection)
        except (psycopg.Error, HygieError) as error:
            log.warning("what an environment holds is not known: %s", type(error).__name__)
            return
        self._added = (self._added[0] - before[0], self._added[1] - before[1])
        self._fresh_s = max(FRESH_S, REST * (time.monotonic() - began_s))
