"""Where the platform stands now: gather the facts, run every check, judge every obligation."""

from __future__ import annotations

from collections.abc import Sequence

from hygie.app import House, opened
from hygie.base.actions import Action
from hygie.gate.local import LocalOperator
from hygie.journal.writer import JournalWriter
from hygie.probes.gather import gather
from hygie.proof.checks import CHECKS
from hygie.proof.judge import judge_all
from hygie.proof.model import Context, ObligationResult
from hygie.proof.obligations import technical_obligations


async def judge_platform(house: House) -> list[ObligationResult]:
    """Verdicts on the technical obligations, in order."""
    facts = await gather(house, {check.fact for check in CHECKS})
    return judge_all(technical_obligations(), CHECKS, facts, Context(house.settings, house.clock.now_ms()))


async def record_status(house: House, results: Sequence[ObligationResult], account: str) -> None:
    """Journal that the state was read, and each verdict: a run kept as evidence, which nobody can alter afterwards.

    Raises: UnavailableError: the journal cannot be written.
    """
    async with opened(house.dsns.owner, size=1) as database:
        journal = JournalWriter(database, house.month_keys, house.clock)
        try:
            detail = {one.obligation.id: one.verdict.value for one in results}
            await LocalOperator(journal, house.clock, account).record(Action.STATUS_READ, detail=detail)
        finally:
            await journal.close()
