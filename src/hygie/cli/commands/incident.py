"""``hygie incident``: its clocks, the notices prepared from facts, who was told, the evidence that is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.incidents import Incident

_KEY = say(fr="Sa clé : INC-0001.", en="Its key: INC-0001.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Incidents : délais qui courent, avis à préparer, preuves conservées.",
            en="Incidents: clocks that run, notices to prepare, evidence kept.",
        ),
        no_args_is_help=True,
    )
    group.command(
        "list", help=say(fr="Les incidents ouverts et ce qui presse.", en="Open incidents and what presses.")
    )(listing)
    group.command(
        "show",
        help=say(
            fr="Un incident : chaque délai, par quel texte, à qui, depuis quand, ce qui reste.",
            en="One incident: each clock, by which text, whose, since when, what remains.",
        ),
    )(show)
    app.add_typer(group, name="incident")


def listing(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help=say(fr="Les clos aussi.", en="Closed ones too."))] = False,
) -> None:
    """List incidents."""
    from hygie.cli.incident_view import show_listed

    frame = frame_of(context)

    async def main() -> list[Incident]:
        from hygie.app import open_house
        from hygie.incidents import listed

        async with open_house(frame.folder.path) as house:
            return await listed(house, operator_name(), every=every)

    show_listed(frame.out, asyncio.run(main()))


def show(context: typer.Context, key: Annotated[str, typer.Argument(help=_KEY)]) -> None:
    """Show one."""
    from hygie.cli.incident_view import show_one

    frame = frame_of(context)

    async def main() -> Incident:
        from hygie.app import open_house
        from hygie.incidents import one_incident

        async with open_house(frame.folder.path) as house:
            return await one_incident(house, operator_name(), key)

    show_one(frame.out, asyncio.run(main()))
