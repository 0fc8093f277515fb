"""``hygie token``: bearer tokens, shown once, kept as a hash."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_act, run_live, show_rows
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help=say(fr="Jetons d'accès.", en="Access tokens."), no_args_is_help=True)
    example = say(fr="Exemple", en="Example")
    group.command(
        "create",
        help=say(
            fr="Crée un jeton ; il est montré une seule fois.", en="Create a token; it is shown once and only once."
        ),
        epilog=f"{example}: hygie token create logiciel-a chu-x prod --days 30",
    )(create)
    group.command(
        "revoke",
        help=say(fr="Révoque un jeton, aussitôt.", en="Revoke a token, at once."),
        epilog=f"{example}: hygie token revoke 3f2a…",
    )(revoke)
    group.command("list", help=say(fr="Liste les jetons (sans leur valeur).", en="List tokens (without value)."))(
        listing
    )
    app.add_typer(group, name="token")


def create(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help=say(fr="Compte.", en="Account."))],
    tenant: Annotated[str, typer.Argument(help="Client.")],
    environment: Annotated[str, typer.Argument(help=say(fr="Environnement.", en="Environment."))],
    days: Annotated[float, typer.Option(help=say(fr="Jours avant sa fin.", en="Days until it ends."))] = 30,
    exception: Annotated[
        str,
        typer.Option(
            help=say(
                fr="Pourquoi ce compte ne peut signer (exigé en production).",
                en="Why this account cannot sign (required in production).",
            )
        ),
    ] = "",
) -> None:
    """Create a token."""
    frame = frame_of(context)
    id_, token = run_live(
        frame,
        tenant,
        environment,
        lambda acts: acts.create_token(account, tenant, environment, days=days, exception=exception),
    )
    frame.out.line(say(fr=f"Jeton {id_}, à copier maintenant :", en=f"Token {id_}, copy it now:"))
    frame.out.line(token)
    frame.out.result({"id": id_, "token": token})


def revoke(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(help=say(fr="Son identifiant (voir list).", en="Its id (see list)."))],
) -> None:
    """Revoke a token."""
    frame = frame_of(context)
    run_act(frame, lambda acts: acts.revoke_token(token_id))
    frame.out.line(say(fr="Jeton révoqué.", en="Token revoked."))
    frame.out.result({"token": token_id, "state": "revoked"})


def listing(context: typer.Context) -> None:
    """List tokens."""
    frame = frame_of(context)
    show_rows(frame, run_act(frame, lambda acts: acts.listing("token")))
