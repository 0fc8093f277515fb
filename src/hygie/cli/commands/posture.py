"""``hygie posture``: which requirements hold, how one knows, since when; now or at any past instant."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from rich.console import Group

WATCH_EVERY_S = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "posture",
        help=say(
            fr="Montre ce qui est satisfait, comment on le sait et depuis quand ; maintenant ou à une date passée.",
            en="Show what is satisfied, how one knows and since when; now or at a past date.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie posture EXI-05 --at 2026-11-27",
    )(posture)


def posture(
    context: typer.Context,
    requirement: Annotated[
        str,
        typer.Argument(help=say(fr="Une exigence : EXI-05.D, tech-3, A.8.15…", en="One: EXI-05.D, tech-3, A.8.15…")),
    ] = "",
    at: Annotated[
        str, typer.Option(help=say(fr="Ce qu'on savait à cette date.", en="What was known on that date."))
    ] = "",
    now: Annotated[bool, typer.Option("--now", help=say(fr="Évaluer d'abord.", en="Evaluate first."))] = False,
    watch: Annotated[bool, typer.Option("--watch", help=say(fr="Suivre en direct.", en="Follow live."))] = False,
) -> None:
    """Show the posture."""
    from hygie.cli.moment import moment_ms

    frame = frame_of(context)
    at_ms = moment_ms(at) if at else None
    if now:
        asyncio.run(_evaluate(frame))
    found = asyncio.run(_read(frame, at_ms))
    if watch and not frame.out.json_mode:
        _watch(frame, requirement)
        return
    frame.out.draw(_page(frame, found, requirement))
    frame.out.result(found if not requirement else _one(found, requirement))


async def _evaluate(frame: Frame) -> None:
    from hygie.app import open_house
    from hygie.evaluation import Evaluator

    async with open_house(frame.folder.path) as house:
        await Evaluator(house, operator_name()).run("command")


async def _read(frame: Frame, at_ms: int | None) -> dict[str, Any]:
    from hygie.app import open_house
    from hygie.proof.posture import posture_at
    from hygie.proving import ProofPlane, with_proof

    async with open_house(frame.folder.path) as house:

        def act(plane: ProofPlane) -> dict[str, Any]:
            instant = house.clock.now_ms() if at_ms is None else at_ms
            return posture_at(plane.evidence.known(instant), instant)

        return await with_proof(house, operator_name(), act)


def _page(frame: Frame, found: dict[str, Any], requirement: str) -> Group:
    from hygie.cli import posture_view

    if requirement:
        return posture_view.draw_requirement(found, _one(found, requirement), plain=frame.out.plain)
    chosen = [
        row
        for row in found["requirements"]
        if row["assessable"] and row["controls"] and row["verdict"] in ("unsatisfied", "unknown")
    ]
    return posture_view.draw(found, chosen=chosen, plain=frame.out.plain)


def _one(found: dict[str, Any], requirement: str) -> dict[str, Any]:
    """A requirement by its reference or id. Raises: RequirementUnknownError."""
    from hygie.proof.errors import RequirementUnknownError

    for row in found["requirements"]:
        if requirement in (row["ref"], row["id"]):
            return dict(row)
    raise RequirementUnknownError(referential=", ".join(found["referentials"]), id=requirement[:80])


def _watch(frame: Frame, requirement: str) -> None:
    """Draw again every two seconds, until the person leaves."""
    from rich.live import Live

    with Live(screen=True, auto_refresh=False) as live:
        while True:
            live.update(_page(frame, asyncio.run(_read(frame, None)), requirement), refresh=True)
            time.sleep(WATCH_EVERY_S)
