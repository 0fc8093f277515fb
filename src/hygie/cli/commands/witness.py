"""``hygie witness``: one long-running process, as a systemd unit starts it."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "witness",
        help=say(
            fr="Lance le témoin, qui contresigne le journal après l'avoir vérifié.",
            en="Run the witness, which cosigns the journal after checking it.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie witness --data /srv/hygie",
    )(witness)


def witness(
    context: typer.Context,
    ready_fd: Annotated[
        int | None, typer.Option(help=say(fr="Descripteur à prévenir une fois prêt.", en="Descriptor told when ready."))
    ] = None,
) -> None:
    """Serve until SIGTERM."""
    from hygie import services

    frame = frame_of(context)
    services.witness(frame.folder.path, ready_fd=ready_fd)
