"""One check of the platform alone, on its own fact: what a test that breaks one thing looks at."""

from __future__ import annotations

from hygie.app import House
from hygie.probes.gather import gather
from hygie.proof.checks import CHECKS
from hygie.proof.judge import judge_check
from hygie.proof.model import Context, Finding


async def judge_one(house: House, check: str) -> Finding:
    """What a check says now. Raises: KeyError: no such check."""
    chosen = {one.id: one for one in CHECKS}[check]
    facts = await gather(house, {chosen.fact})
    return judge_check(chosen, facts, Context(house.settings, house.clock.now_ms()))
