"""``hygie network``: where networks are, as somebody declares it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_act, show_rows
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.gate.administration import Administration


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(fr="Réseaux déclarés, et leur pays.", en="Declared networks, and their country."), no_args_is_help=True
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "add",
        help=say(
            fr="Déclare le pays d'un réseau : ses adresses ne sont plus cherchées dans la table des pays.",
            en="Declare the country of a network: its addresses are no longer looked up in the table of countries.",
        ),
        epilog=f"{example}: hygie network add 192.0.2.0/24 --country FR --whose chu-x --label 'sortie du CHU X'",
    )(add)
    group.command("remove", help=say(fr="Retire un réseau, aussitôt.", en="Withdraw a network, at once."))(remove)
    group.command("list", help=say(fr="Liste les réseaux déclarés.", en="List declared networks."))(listing)
    app.add_typer(group, name="network")


def add(
    context: typer.Context,
    network: Annotated[str, typer.Argument(help=say(fr="Réseau (CIDR).", en="Network (CIDR)."))],
    country: Annotated[str, typer.Option(help=say(fr="Pays, ISO 3166-1 alpha-2.", en="Country, ISO 3166-1 alpha-2."))],
    label: Annotated[str, typer.Option(help=say(fr="Ce que c'est.", en="What it is."))],
    whose: Annotated[str, typer.Option(help=say(fr="Site ou client.", en="Site or client."))] = "",
    days: Annotated[
        int, typer.Option(help=say(fr="Jours avant sa fin, 1 100 au plus.", en="Days until it ends, 1,100 at most."))
    ] = 366,
) -> None:
    """Declare a network."""
    frame = frame_of(context)

    async def act(acts: Administration) -> str:
        from hygie.gate.place_acts import PlaceActs

        return await PlaceActs(acts).add_network(network, country=country, label=label, whose=whose, days=days)

    id_ = run_act(frame, act)
    frame.out.line(say(fr=f"Réseau {id_} déclaré.", en=f"Network {id_} declared."))
    frame.out.result({"network": id_})


def remove(
    context: typer.Context,
    network: Annotated[str, typer.Argument(help=say(fr="Son identifiant (voir list).", en="Its id (see list)."))],
) -> None:
    """Withdraw a network."""
    frame = frame_of(context)

    async def act(acts: Administration) -> None:
        from hygie.gate.place_acts import PlaceActs

        await PlaceActs(acts).remove_network(network)

    run_act(frame, act)
    frame.out.line(say(fr="Réseau retiré.", en="Network withdrawn."))
    frame.out.result({"network": network, "state": "removed"})


def listing(context: typer.Context) -> None:
    """List networks."""
    frame = frame_of(context)

    async def act(acts: Administration) -> Sequence[dict[str, object]]:
        from hygie.gate.place_acts import PlaceActs

        return await PlaceActs(acts).networks()

    show_rows(frame, run_act(frame, act))
    from hygie.gate.countries import ATTRIBUTION

    frame.out.line(say(fr=f"Les autres adresses : {ATTRIBUTION}.", en=f"Other addresses: {ATTRIBUTION}."))
