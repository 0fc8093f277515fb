"""The proof plane of one installation, for the command line and the working process: registers and evidence.

Django's models are synchronous: each act runs in a thread, and seals its journal entries with month keys that the event
loop asks the KMS for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hygie.app import House, MonthKeyCache
from hygie.journal.entry import Entry, seal_entry
from hygie.journal.errors import JournalUnavailableError
from hygie.journal.leaf import month_at
from hygie.proof.certification.writing import hooks
from hygie.proof.evidence import EvidenceLog
from hygie.proof.incidents.significance import incident_hooks
from hygie.registers.engine import Registers
from hygie.registers.hooks import joined
from hygie.registers.orm import bound

T = TypeVar("T")
KEY_S_MAX = 10.0  # the KMS answers within milliseconds, or it is away


@dataclass(frozen=True, slots=True)
class ProofPlane:
    """What an act on the proof plane may use."""

    registers: Registers
    evidence: EvidenceLog


class LoopJournaling:
    """Seals entries from a thread; month keys come through the event loop that reaches the KMS."""

    def __init__(self, loop: asyncio.AbstractEventLoop, month_keys: MonthKeyCache) -> None:
        self._loop = loop
        self._month_keys = month_keys

    def leaf(self, entry: Entry) -> bytes:
        """See ``registers.engine.Journaling``. Raises: JournalUnavailableError: no key in time; KmsUnavailableError."""
        wanted = self._month_keys.month_key(entry.tenant_id, entry.kind, month_at(entry.at_ms))
        asked = asyncio.run_coroutine_threadsafe(wanted, self._loop)
        try:
            key = asked.result(KEY_S_MAX)
        except TimeoutError as error:
            asked.cancel()
            raise JournalUnavailableError(part="keys") from error
        return seal_entry(entry, month_key=key)


async def with_proof(house: House, author: str, act: Callable[[ProofPlane], T]) -> T:
    """Run one act on the proof plane, in a thread.

    Args: author: who acts, as the journal names him. Raises: what the act raises; DatabaseUnavailableError.
    """
    journal = LoopJournaling(asyncio.get_running_loop(), house.month_keys)
    return await asyncio.to_thread(_run, house, author, journal, act)


def _run(house: House, author: str, journal: LoopJournaling, act: Callable[[ProofPlane], T]) -> T:
    with bound(house.dsns.console):
        held_to = joined(hooks(), incident_hooks(in_scope=house.settings.nis2.in_scope))
        registers = Registers(journal, house.clock, author, hooks=held_to)
        return act(ProofPlane(registers, EvidenceLog(journal, house.clock, author)))
