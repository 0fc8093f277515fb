"""``hygie contacts``: the list of client contacts that the authority may ask for at any time (EXI 11)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.commands.publish import Means, show_handed
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.papers import HandedOver


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(fr="Contacts des clients, pour l'autorité.", en="Client contacts, for the authority."),
        no_args_is_help=True,
    )
    group.command(
        "export",
        help=say(
            fr="Remet à l'autorité la liste signée des contacts, et mesure le délai (EXI 11).",
            en="Hand the authority the signed list of contacts, and measure the delay (EXI 11).",
        ),
        epilog=f"{say(fr='Exemple', en='Example')}: hygie contacts export --to contacts.xlsx --recipient 'ANS'",
    )(export)
    app.add_typer(group, name="contacts")


def export(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--to", help=say(fr="Fichier .xlsx ou .json.", en="A .xlsx or .json file."))],
    recipient: Annotated[str, typer.Option(help=say(fr="À qui.", en="To whom."))],
    means: Annotated[Means, typer.Option(help=say(fr="Moyen de remise.", en="How it is handed over."))] = "portal",
    asked_at: Annotated[
        str, typer.Option(help=say(fr="Quand elle a été demandée (sinon maintenant).", en="When it was asked for."))
    ] = "",
) -> None:
    """Hand over the list."""
    from hygie.cli.moment import moment_ms

    frame = frame_of(context)
    asked_ms = moment_ms(asked_at) if asked_at else None

    async def main() -> HandedOver:
        from hygie.app import open_house
        from hygie.papers import Delivery, hand_contacts

        async with open_house(frame.folder.path) as house:
            return await hand_contacts(house, operator_name(), to, Delivery(recipient, means, asked_ms))

    show_handed(frame, asyncio.run(main()))
