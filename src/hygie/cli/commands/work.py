"""``hygie work``: one long-running process, as a systemd unit starts it."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "work",
        help=say(
            fr="Lance le travail de fond : scellement du journal, rattrapage des sites, relecture.",
            en="Run the background work: sealing the journal, site catch-up, scrub.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie work --data /srv/hygie",
    )(work)


def work(
    context: typer.Context,
    ready_fd: Annotated[
        int | None, typer.Option(help=say(fr="Descripteur à prévenir une fois prêt.", en="Descriptor told when ready."))
    ] = None,
) -> None:
    """Serve until SIGTERM."""
    from hygie import services

    frame = frame_of(context)
    services.work(frame.folder.path, ready_fd=ready_fd)
