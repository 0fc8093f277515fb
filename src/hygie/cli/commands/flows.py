"""``hygie flows``: who may call whom, beside who listens and who is connected now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from hygie.base.language import say
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.proof.facts import Facts


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(
            fr="Matrice des flux : qui peut appeler qui, et ce qui se voit sur cette machine.",
            en="Flow matrix: who may call whom, and what is seen on this machine.",
        ),
        no_args_is_help=True,
    )
    group.command(
        "show",
        help=say(
            fr="Montre chaque flux déclaré, s'il écoute, combien y sont connectés, et tout ce qui n'est pas déclaré.",
            en="Show each declared flow, whether it listens, how many are connected, and all that is not declared.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie flows show",
    )(show)
    app.add_typer(group, name="flows")


def show(context: typer.Context) -> None:
    """Look, compare, say. Exit code 1 when something is on no line. Raises: SettingsError."""
    from hygie.cli.flows_view import as_row, draw
    from hygie.proof.flows.compare import compare, said
    from hygie.proof.flows.declared import declared_lines
    from hygie.proof.flows.model import LineState

    frame = frame_of(context)
    facts = asyncio.run(_look(frame))
    seen = facts.matrix.value
    compared = compare(seen) if seen is not None else None
    lines = [LineState(one, "unknown", 0) for one in declared_lines(frame.settings(), frame.folder)]
    states = list(compared.states) if compared is not None else lines
    draw(frame.out, states, compared, failure="" if seen is not None else facts.matrix.failure)
    answer: dict[str, Any] = {
        "lines": [as_row(one) for one in states],
        "seen": seen is not None,
        "undeclared": [said(one) for one in compared.undeclared] if compared is not None else [],
        "unnamed": [said(one) for one in compared.unnamed] if compared is not None else [],
    }
    frame.out.result(answer)
    if compared is not None and compared.undeclared:
        raise typer.Exit(1)


async def _look(frame: Frame) -> Facts:
    from hygie.app import open_house
    from hygie.probes.gather import gather

    async with open_house(frame.folder.path) as house:
        return await gather(house, {"matrix"})
