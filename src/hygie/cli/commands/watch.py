"""``hygie watch``: one long-running process, as a systemd unit starts it."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "watch",
        help=say(
            fr="Lance la veille : les règles lisent le journal et ouvrent des alertes.",
            en="Run the watch: rules read the journal and open findings.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie watch --data /srv/hygie",
    )(watch)


def watch(
    context: typer.Context,
    ready_fd: Annotated[
        int | None, typer.Option(help=say(fr="Descripteur à prévenir une fois prêt.", en="Descriptor told when ready."))
    ] = None,
) -> None:
    """Serve until SIGTERM."""
    from hygie import services

    frame = frame_of(context)
    services.watch(frame.folder.path, ready_fd=ready_fd)
