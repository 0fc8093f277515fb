"""``hygie account``: people and applications. An account alone can do nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_act, show_rows
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help=say(fr="Comptes.", en="Accounts."), no_args_is_help=True)
    example = say(fr="Exemple", en="Example")
    group.command(
        "create",
        help=say(fr="Crée un compte.", en="Create an account."),
        epilog=f"{example}: hygie account create marie.durand --label 'Marie Durand' --days 365",
    )(create)
    group.command(
        "disable",
        help=say(fr="Ferme un compte : ses jetons cessent aussitôt.", en="Close an account: its tokens stop at once."),
        epilog=f"{example}: hygie account disable marie.durand",
    )(disable)
    group.command("list", help=say(fr="Liste les comptes.", en="List accounts."))(listing)
    app.add_typer(group, name="account")


def create(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help=say(fr="Identifiant : a-z 0-9 . -", en="Identifier: a-z 0-9 . -"))],
    kind: Annotated[
        str, typer.Option(help=say(fr="person (une personne) ou application.", en="person or application."))
    ] = "person",
    label: Annotated[str, typer.Option(help=say(fr="Nom lisible.", en="Name for people."))] = "",
    professional_id: Annotated[
        str, typer.Option(help=say(fr="Numéro RPPS ou ADELI.", en="RPPS or ADELI number."))
    ] = "",
    tenant: Annotated[
        str, typer.Option(help=say(fr="Client dont c'est une personne ou une application.", en="Whose account it is."))
    ] = "",
    days: Annotated[int, typer.Option(help=say(fr="Jours avant sa fin.", en="Days until it ends."))] = 365,
) -> None:
    """Create an account."""
    frame = frame_of(context)
    run_act(
        frame,
        lambda acts: acts.create_account(
            account, kind=kind, label=label or account, professional_id=professional_id, days=days, tenant=tenant
        ),
    )
    frame.out.line(say(fr=f"Compte {account} créé.", en=f"Account {account} created."))
    frame.out.result({"account": account, "kind": kind, "days": days})


def disable(
    context: typer.Context, account: Annotated[str, typer.Argument(help=say(fr="Compte.", en="Account."))]
) -> None:
    """Disable an account."""
    frame = frame_of(context)
    run_act(frame, lambda acts: acts.disable_account(account))
    frame.out.line(say(fr=f"Compte {account} fermé.", en=f"Account {account} closed."))
    frame.out.result({"account": account, "state": "disabled"})


def listing(context: typer.Context) -> None:
    """List accounts."""
    frame = frame_of(context)
    show_rows(frame, run_act(frame, lambda acts: acts.listing("account")))
