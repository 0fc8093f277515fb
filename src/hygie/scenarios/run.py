"""A scenario from its beginning to its signed report: sandbox, attacks one after the other, what is left afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hygie.backups.drill import DrillCheck, DrillReport, ScenarioKind, attach, to_sign
from hygie.backups.keys import KmsSigner
from hygie.base.channels import ChannelSettings
from hygie.base.clock import Clock
from hygie.base.errors import HygieError
from hygie.keys.kms import Kms
from hygie.scenarios import breach, intrusion, ransomware
from hygie.scenarios.model import After, Answer, Attack, checks_of
from hygie.scenarios.noticing import Eye, rules_of
from hygie.scenarios.sandbox import Sandbox, sandbox


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one kind of drill does. after: what must hold when all is over."""

    attacks: Sequence[Attack]
    after: Callable[[Sandbox, Sequence[Answer]], Awaitable[After]] | None = None


SCENARIOS: Mapping[ScenarioKind, Scenario] = {
    "intrusion": Scenario(intrusion.ATTACKS),
    "ransomware": Scenario(ransomware.ATTACKS, ransomware.read_again),
    "breach": Scenario(breach.ATTACKS, breach.tell_the_controller),
}


@dataclass(frozen=True, slots=True)
class ScenarioRequest:
    """kms: of production, signs the report; folder: of the sandbox, does not exist yet; channels: of production, told
    too; people_s: how long people are waited for, seconds; 0: the drill answers itself; tell: hears what is done."""

    kms: Kms
    clock: Clock
    folder: Path
    operator: str
    drill_id: str
    channels: Sequence[ChannelSettings] = ()
    people_s: float = 0.0
    tell: Callable[[str], None] = lambda _: None


async def run_scenario(kind: ScenarioKind, request: ScenarioRequest) -> bytes:
    """Run one and give its signed report, passed or not.

    Raises: HygieError: the sandbox does not start; OSError.
    """
    scenario, started_at_ms = SCENARIOS[kind], request.clock.now_ms()
    checks: list[DrillCheck] = []
    answers: list[Answer] = []
    async with sandbox(request.folder, request.drill_id, request.channels, request.tell) as made:
        eye = Eye(made, await asyncio.to_thread(rules_of, made), request.people_s)
        for attack in scenario.attacks:
            request.tell(attack.name)
            try:
                answer = await eye.answer_to(attack)
            except HygieError as error:
                checks.append(DrillCheck(f"{attack.name}: done", passed=False, detail=error.code))
                continue
            answers.append(answer)
            checks += checks_of(attack, answer)
        after = await _after(scenario, made, answers)
    report = DrillReport(
        drill_id=request.drill_id,
        kind=kind,
        operator=request.operator,
        started_at_ms=started_at_ms,
        ended_at_ms=request.clock.now_ms(),
        figures=figures_of(answers) | after.figures,
        checks=[*checks, *after.checks],
    )
    signer = await KmsSigner.of(request.kms, "drill")
    return attach(report, signature=await signer.sign(to_sign(report)), public_key=signer.public_key)


async def _after(scenario: Scenario, made: Sandbox, answers: Sequence[Answer]) -> After:
    """What holds at the end; what was not seen at all leaves nothing to answer for."""
    if scenario.after is None or not all(one.finding for one in answers) or len(answers) < len(scenario.attacks):
        return After([])
    try:
        return await scenario.after(made, answers)
    except HygieError as error:
        return After([DrillCheck("answered for", passed=False, detail=error.code)])


def figures_of(answers: Sequence[Answer]) -> dict[str, float]:
    """The slowest of each part, in seconds, of those that came."""
    parts = {
        "noticed_s_max": [one.noticed_s for one in answers],
        "told_s_max": [one.told_s for one in answers],
        "acknowledged_s_max": [one.acknowledged_s for one in answers],
    }
    came = {name: [one for one in found if one is not None] for name, found in parts.items()}
    return {"attacks": float(len(answers))} | {name: round(max(found), 3) for name, found in came.items() if found}
