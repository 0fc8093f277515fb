"""``hygie serve``: one long-running process, as a systemd unit starts it."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "serve",
        help=say(
            fr="Lance un processus d'hébergement : l'interface FHIR en HTTPS.",
            en="Run one hosting process: the FHIR face over HTTPS.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie serve --data /srv/hygie",
    )(serve)


def serve(
    context: typer.Context,
    listen_fd: Annotated[
        int | None,
        typer.Option(help=say(fr="Descripteur d'une prise qui écoute.", en="Descriptor of a listening socket.")),
    ] = None,
    ready_fd: Annotated[
        int | None, typer.Option(help=say(fr="Descripteur à prévenir une fois prêt.", en="Descriptor told when ready."))
    ] = None,
) -> None:
    """Serve until SIGTERM."""
    from hygie import services

    frame = frame_of(context)
    services.serve(frame.folder.path, listen_fd=listen_fd, ready_fd=ready_fd)
