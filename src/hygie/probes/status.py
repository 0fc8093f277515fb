"""Where the platform stands now: gather the facts, run every check, judge every obligation."""

from __future__ import annotations

from hygie.app import House
from hygie.probes.gather import gather
from hygie.proof.checks import CHECKS
from hygie.proof.judge import judge_all
from hygie.proof.model import Context, ObligationResult
from hygie.proof.obligations import technical_obligations


async def judge_platform(house: House) -> list[ObligationResult]:
    """Verdicts on the technical obligations, in order."""
    facts = await gather(house)
    return judge_all(technical_obligations(), CHECKS, facts, Context(house.settings, house.clock.now_ms()))
