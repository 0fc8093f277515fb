"""``hygie tenant``: clients, that is controllers of data."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_act, show_rows
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(fr="Clients (responsables de traitement).", en="Clients (controllers)."), no_args_is_help=True
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "create", help=say(fr="Crée un client.", en="Create a client."), epilog=f"{example}: hygie tenant create chu-x"
    )(create)
    group.command("list", help=say(fr="Liste les clients.", en="List clients."))(listing)
    app.add_typer(group, name="tenant")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=say(fr="Nom court : a-z 0-9 -", en="Short name: a-z 0-9 -"))],
    label: Annotated[str, typer.Option(help=say(fr="Nom complet.", en="Full name."))] = "",
) -> None:
    """Create a tenant."""
    frame = frame_of(context)
    tenant_id = run_act(frame, lambda acts: acts.create_tenant(name, label or name))
    frame.out.line(say(fr=f"Client {name} créé.", en=f"Client {name} created."))
    frame.out.result({"tenant": name, "id": tenant_id.hex()})


def listing(context: typer.Context) -> None:
    """List tenants."""
    frame = frame_of(context)
    show_rows(frame, run_act(frame, lambda acts: acts.listing("tenant")))
