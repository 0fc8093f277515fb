"""``hygie limit``: how much accounts, clients and environments may use, and what environments hold."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_act, show_rows
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.gate.administration import Administration
    from hygie.gate.allowances import Defaults


class Kind(StrEnum):
    """Whose limit."""

    ACCOUNT = "account"
    TENANT = "tenant"
    ENVIRONMENT = "environment"


class Name(StrEnum):
    """Of what."""

    POINTS = "points"
    BYTES = "bytes"
    VERSIONS = "versions"


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help=say(fr="Limites de débit et quotas.", en="Rate limits and quotas."), no_args_is_help=True)
    example = say(fr="Exemple", en="Example")
    group.command(
        "set",
        help=say(
            fr="Fixe une limite, à la place de celle des réglages : points par seconde d'un compte ou d'un client,"
            " octets ou versions d'un environnement.",
            en="Set a limit, instead of the settings' own: points a second of an account or a client, bytes or versions"
            " of an environment.",
        ),
        epilog=f"{example}: hygie limit set environment chu-x/prod bytes 2000000000000 --reason 'contrat 12'",
    )(set_)
    group.command(
        "remove",
        help=say(fr="Rend la limite des réglages, aussitôt.", en="Give the settings' limit back, at once."),
        epilog=f"{example}: hygie limit remove 3f2a…",
    )(remove)
    group.command(
        "list",
        help=say(
            fr="Liste les limites en vigueur et ce que chaque environnement contient.",
            en="List the limits that count and what each environment holds.",
        ),
    )(listing)
    app.add_typer(group, name="limit")


def set_(
    context: typer.Context,
    kind: Annotated[Kind, typer.Argument(help=say(fr="De qui : account, tenant, environment.", en="Whose."))],
    subject: Annotated[
        str,
        typer.Argument(help=say(fr="Compte, client, ou client/environnement.", en="Account, client or client/name.")),
    ],
    name: Annotated[Name, typer.Argument(help=say(fr="De quoi : points, bytes, versions.", en="Of what."))],
    value: Annotated[int, typer.Argument(min=1, help=say(fr="La limite.", en="The limit."))],
    reason: Annotated[str, typer.Option(help=say(fr="Motif.", en="Why."))],
    days: Annotated[
        int, typer.Option(help=say(fr="Jours avant sa fin, 1 100 au plus.", en="Days until it ends, 1,100 at most."))
    ] = 366,
) -> None:
    """Set a limit."""
    frame = frame_of(context)

    async def act(acts: Administration) -> str:
        from hygie.gate.allowance_acts import AllowanceActs

        return await AllowanceActs(acts).set(kind.value, subject, name.value, value, reason=reason, days=days)

    id_ = run_act(frame, act)
    frame.out.line(say(fr=f"Limite {id_} fixée.", en=f"Limit {id_} set."))
    frame.out.result({"limit": id_})


def remove(
    context: typer.Context,
    limit: Annotated[str, typer.Argument(help=say(fr="Son identifiant (voir list).", en="Its id (see list)."))],
) -> None:
    """Remove a limit."""
    frame = frame_of(context)

    async def act(acts: Administration) -> None:
        from hygie.gate.allowance_acts import AllowanceActs

        await AllowanceActs(acts).remove(limit)

    run_act(frame, act)
    frame.out.line(say(fr="Limite retirée.", en="Limit removed."))
    frame.out.result({"limit": limit, "state": "removed"})


def listing(context: typer.Context) -> None:
    """List limits and what is held."""
    frame = frame_of(context)

    async def act(acts: Administration) -> tuple[Sequence[dict[str, object]], Sequence[dict[str, object]]]:
        from hygie.gate.allowance_acts import AllowanceActs

        here = AllowanceActs(acts)
        return await here.listing(), await here.used()

    rows, used = run_act(frame, act)
    defaults = _defaults(frame)
    default = say(fr="réglage", en="setting")
    known = [
        {"kind": kind, "subject": subject, "name": name, "value": value, "reason": default}
        for kind, subject, name, value in (
            ("account", "person", "points", defaults.person),
            ("account", "application", "points", defaults.application),
            ("tenant", "*", "points", defaults.tenant),
            ("environment", "*", "bytes", defaults.environment_bytes),
            ("environment", "*", "versions", defaults.environment_versions),
        )
    ]
    held = [
        {"kind": "environment", "subject": one["environment"], "name": name, "used": one[name]}
        for one in used
        for name in ("bytes", "versions")
    ]
    show_rows(frame, [*known, *rows, *held])


def _defaults(frame: Frame) -> Defaults:
    from hygie.app import default_limits
    from hygie.base.settings import load_settings

    return default_limits(load_settings(frame.folder.path))
