"""``hygie status``: the eight technical obligations, from live checks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.proof.model import ObligationResult


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "status",
        help=say(
            fr="Montre les huit obligations techniques, contrôlées à l'instant sur ce qui tourne.",
            en="Show the eight technical obligations, checked now on what runs.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie status --verbose",
    )(status)


def status(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Each check / chaque contrôle.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 unless all is satisfied / sinon code 1.")] = False,
) -> None:
    """Look, judge, say."""
    frame = frame_of(context)
    results = asyncio.run(_judge(frame))
    show(frame, results, verbose=verbose)
    frame.out.result([as_json(one) for one in results])
    if strict and any(one.verdict.value != "satisfied" for one in results):
        raise typer.Exit(1)


async def _judge(frame: Frame) -> list[ObligationResult]:
    from hygie.app import open_house
    from hygie.probes.status import judge_platform

    async with open_house(frame.folder.path) as house:
        return await judge_platform(house)


def show(frame: Frame, results: list[ObligationResult], *, verbose: bool = False) -> None:
    """The table for people; one more line per check when asked."""
    from hygie.proof.judge import duration

    words = {
        "satisfied": say(fr="✓ satisfaite", en="✓ satisfied"),
        "unsatisfied": say(fr="✗ non satisfaite", en="✗ unsatisfied"),
        "unknown": say(fr="? inconnue", en="? unknown"),
        "not_applicable": say(fr="– sans objet", en="– not applicable"),
    }
    rows: list[tuple[str, str, str, str]] = []
    for one in results:
        age = duration(one.age_s).said() if one.age_s is not None else "-"
        why = one.leading.outcome.why.said() if one.leading else "-"
        rows.append((one.obligation.id, f"{words[one.verdict]}\n{one.obligation.title.said()}", why, age))
        for finding in one.findings if verbose else ():
            outcome = finding.outcome
            text = f"{outcome.why.said()}\n{outcome.observed.said()} / {outcome.declared.said()}"
            if outcome.remedy is not None:
                text += f"\n→ {outcome.remedy.said()}"
            title = f"{words[finding.verdict][0]} {finding.check.title.said()}"
            rows.append(("", title, text, duration(finding.age_s).said() if finding.age_s is not None else "-"))
    columns = (
        "",
        say(fr="obligation", en="obligation"),
        say(fr="pourquoi", en="why"),
        say(fr="âge de la preuve", en="evidence age"),
    )
    frame.out.table(columns, rows)
    frame.out.line(
        say(
            fr="Mesuré à l'instant sur cette machine. Hygie ne certifie pas : un organisme accrédité le fait.",
            en="Measured now on this machine. Hygie certifies nothing: an accredited body does.",
        )
    )


def as_json(one: ObligationResult) -> dict[str, Any]:
    """One obligation for machines."""
    return {
        "id": one.obligation.id,
        "status": one.obligation.status.value,
        "verdict": one.verdict.value,
        "age_s": one.age_s,
        "exi": list(one.obligation.exi),
        "checks": [
            {
                "id": finding.check.id,
                "verdict": finding.verdict.value,
                "evidence": finding.check.evidence.value,
                "age_s": finding.age_s,
                "fresh_s": finding.check.fresh_s,
                "why": finding.outcome.why.said(),
                "observed": finding.outcome.observed.said(),
                "declared": finding.outcome.declared.said(),
                "remedy": finding.outcome.remedy.said() if finding.outcome.remedy else None,
                "sabotage": finding.check.sabotage,
            }
            for finding in one.findings
        ],
    }
