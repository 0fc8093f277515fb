"""``hygie environment``: the spaces of a client, each with its keys, its schema and its role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_act, run_custody, run_live, show_rows
from hygie.cli.errors import NotConfirmedError
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.custody import Custody
    from hygie.gate.administration import Administration


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(fr="Environnements d'un client.", en="Environments of a client."), no_args_is_help=True
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "create",
        help=say(fr="Crée un environnement.", en="Create an environment."),
        epilog=f"{example}: hygie environment create chu-x prod --kind production",
    )(create)
    group.command("list", help=say(fr="Liste les environnements.", en="List environments."))(listing)
    group.command(
        "destroy",
        help=say(
            fr="Détruit les clés puis le catalogue d'un environnement hors production, ou vide. Irréversible.",
            en="Destroy keys, then catalogue, of an environment that is not production, or empty. Irreversible.",
        ),
        epilog=f"{example}: hygie environment destroy chu-x test --confirm chu-x/test",
    )(destroy)
    app.add_typer(group, name="environment")


def create(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")],
    name: Annotated[str, typer.Argument(help=say(fr="Nom court.", en="Short name."))],
    kind: Annotated[str, typer.Option(help="production, pre-production, test, demonstration.")] = "test",
) -> None:
    """Create an environment."""
    frame = frame_of(context)
    made = run_live(frame, tenant, name, lambda acts: acts.create_environment(tenant, name, kind), kind=kind)
    frame.out.line(
        say(fr=f"Environnement {tenant}/{name} créé ({kind}).", en=f"Environment {tenant}/{name} created ({kind}).")
    )
    frame.out.result({"tenant": tenant, "environment": name, "kind": kind, "id": made.place.environment_id.hex()})


def listing(context: typer.Context) -> None:
    """List environments."""
    frame = frame_of(context)
    rows = [
        {"tenant": one.tenant, "environment": one.name, "kind": one.kind, "state": one.state}
        for one in run_act(frame, lambda acts: acts.environments())
    ]
    show_rows(frame, rows)


def destroy(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")],
    name: Annotated[str, typer.Argument(help=say(fr="Environnement.", en="Environment."))],
    confirm: Annotated[
        str, typer.Option(help=say(fr="CLIENT/ENVIRONNEMENT, répétés.", en="TENANT/ENVIRONMENT once more."))
    ] = "",
) -> None:
    """Destroy an environment."""
    if confirm != f"{tenant}/{name}":
        raise NotConfirmedError(expected=f"{tenant}/{name}")
    frame = frame_of(context)

    async def act(custody: Custody, acts: Administration) -> None:
        from hygie.departure import destroy_unused

        await destroy_unused(custody, acts, await acts.environment(tenant, name))

    run_custody(frame, act)
    frame.out.line(say(fr=f"Environnement {tenant}/{name} détruit.", en=f"Environment {tenant}/{name} destroyed."))
    frame.out.result({"tenant": tenant, "environment": name, "state": "destroyed"})
