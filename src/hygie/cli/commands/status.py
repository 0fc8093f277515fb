"""``hygie status``: the eight technical obligations, from live checks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
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
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help=say(fr="Chaque contrôle.", en="Each check."))
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help=say(fr="Code 1 si tout n'est pas satisfait.", en="Exit 1 unless all is satisfied.")
        ),
    ] = False,
) -> None:
    """Look, judge, say. Exit code 0 whatever the verdicts, unless ``--strict``: a table in red is an answer."""
    from hygie.cli.status_view import draw

    frame = frame_of(context)
    results = asyncio.run(_judge(frame))
    frame.out.draw(draw(results, verbose=verbose, plain=frame.out.plain))
    frame.out.result([as_json(one) for one in results])
    if strict and any(one.verdict.value != "satisfied" for one in results):
        raise typer.Exit(1)


async def _judge(frame: Frame) -> list[ObligationResult]:
    """The verdicts, kept in the journal when it can be written."""
    from hygie.app import open_house
    from hygie.base.errors import HygieError
    from hygie.base.language import current_language
    from hygie.probes.status import judge_platform, record_status

    async with open_house(frame.folder.path) as house:
        results = await judge_platform(house)
        try:
            await record_status(house, results, operator_name())
        except HygieError as error:
            frame.out.warn(error.sentence(current_language()))
    return results


def as_json(one: ObligationResult) -> dict[str, Any]:
    """One obligation for machines."""
    return {
        "id": one.obligation.id,
        "title": one.obligation.title.said(),
        "status": one.obligation.status.value,
        "verdict": one.verdict.value,
        "why": one.leading.outcome.why.said() if one.leading else None,
        "remedy": one.leading.outcome.remedy.said() if one.leading and one.leading.outcome.remedy else None,
        "age_s": one.age_s,
        "exi": list(one.obligation.exi),
        "iso27001": list(one.obligation.iso27001),
        "rgpd": list(one.obligation.rgpd),
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
