"""What is true of this very installation, obligation by obligation, and what one machine cannot prove."""

from __future__ import annotations

from hygie.app import open_house
from hygie.base.language import say
from hygie.demo.stage import Stage, check
from hygie.demo.story import Proved, Table
from hygie.probes.status import judge_platform
from hygie.proof.model import Verdict

OBLIGATIONS = 8
# What this story has just shown, and what no machine alone can show: the table must say both.
HELD = frozenset(
    {"tech-1.plaintext", "tech-1.flows", "tech-2.database", "tech-2.door", "tech-3.history", "tech-5.files"}
)
NEVER_HERE = frozenset({"tech-1.custody", "tech-3.witness", "tech-4.lock", "tech-7.independence"})
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
    green = {one.check.id for result in results for one in result.findings if one.verdict is Verdict.SATISFIED}
    lost, false = sorted(HELD - green), sorted(NEVER_HERE & green)
    check(
        not lost, fr=f"l'état ne montre pas {', '.join(lost)} satisfait", en=f"{', '.join(lost)} is not shown satisfied"
    )
    check(
        not false,
        fr=f"l'état montre {', '.join(false)} satisfait sur une seule machine",
        en=f"{', '.join(false)} is shown satisfied on one machine",
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
