"""What is true of this very installation, obligation by obligation, and what one machine cannot prove."""

from __future__ import annotations

from hygie.app import open_house
from hygie.base.language import say
from hygie.demo.stage import Stage, check
from hygie.demo.story import Proved, Table
from hygie.probes.status import judge_platform

OBLIGATIONS = 8
MARKS = {"satisfied": "✓", "unsatisfied": "✗", "unknown": "?", "not_applicable": "–"}


async def status(stage: Stage) -> Proved:
    """The table of ``hygie status``."""
    async with open_house(stage.platform.folder.path) as house:
        results = await judge_platform(house)
    check(
        len(results) == OBLIGATIONS and all(one.findings for one in results),
        fr="une obligation n'a pas été contrôlée",
        en="an obligation was not checked",
    )
    proved = Proved(facts={"verdicts": {one.obligation.id: one.verdict.value for one in results}})
    proved.lines = [
        say(
            fr="✓ satisfaite, ✗ non satisfaite, ? inconnue. Une machine ne peut pas tout : ce qui manque est dit.",
            en="✓ satisfied, ✗ unsatisfied, ? unknown. One machine cannot do it all: what is lacking is said.",
        )
    ]
    proved.table = Table(
        (say(fr="obligation technique", en="technical obligation"), say(fr="pourquoi", en="why")),
        tuple(
            (
                f"{MARKS[one.verdict.value]} {one.obligation.title.said()}",
                one.leading.outcome.why.said() if one.leading else "-",
            )
            for one in results
        ),
    )
    proved.commands = ["hygie status --verbose"]
    return proved
