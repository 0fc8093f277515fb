"""``hygie control``: what is done about each requirement, and the checks that can turn it red."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = say(fr="Exemple", en="Example")
    group = typer.Typer(
        help=say(
            fr="Mesures : ce qui est fait pour chaque exigence, et les contrôles qui peuvent la mettre au rouge.",
            en="Controls: what is done about each requirement, and the checks that can turn it red.",
        ),
        no_args_is_help=True,
    )
    group.command(
        "list",
        help=say(fr="Liste les mesures.", en="List the controls."),
        epilog=f"{example}: hygie control list --requirement EXI-05.D",
    )(listing)
    group.command(
        "show",
        help=say(fr="Montre une mesure, ou un de ses contrôles.", en="Show a control, or one of its checks."),
        epilog=f"{example}: hygie control show changes\n{example}: hygie control show change.consent",
    )(show)
    app.add_typer(group, name="control")


def listing(
    context: typer.Context,
    requirement: Annotated[
        str,
        typer.Option(help=say(fr="Qui répondent à celle-ci : EXI-05.D, tech-3, A.8.15…", en="That answer this one.")),
    ] = "",
    owner: Annotated[str, typer.Option(help=say(fr="Dont répond ce rôle : rssi, dpo…", en="Of this owner."))] = "",
) -> None:
    """List controls. Raises: ControlUnknownError: nothing answers that requirement, or no such owner."""
    from hygie.cli.control_view import show_list
    from hygie.proof.controls.find import find_controls

    frame = frame_of(context)
    found = find_controls(requirement=requirement, owner=owner)
    show_list(frame.out, found)
    frame.out.result([one.as_row() for one in found])


def show(
    context: typer.Context,
    control: Annotated[str, typer.Argument(metavar="ID", help=say(fr="Mesure ou contrôle.", en="Control or check."))],
) -> None:
    """Show one. Raises: ControlUnknownError."""
    from hygie.cli.control_view import show_check, show_control
    from hygie.proof.controls.find import CheckCard, find_one

    frame = frame_of(context)
    found = find_one(control)
    if isinstance(found, CheckCard):
        show_check(frame.out, found)
    else:
        show_control(frame.out, found)
    frame.out.result(found.as_row())
