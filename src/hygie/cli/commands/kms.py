"""``hygie kms``: one long-running process, as a systemd unit starts it."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "kms",
        help=say(
            fr="Lance le processus des clés, seul à détenir la clé racine.",
            en="Run the key process, the only one that holds the root key.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie kms --data /srv/hygie",
    )(kms)


def kms(
    context: typer.Context,
    secret_fd: Annotated[
        int | None,
        typer.Option(
            help=say(fr="Descripteur qui donne la phrase de passe.", en="Descriptor that gives the passphrase.")
        ),
    ] = None,
    shares_fd: Annotated[
        int | None,
        typer.Option(
            help=say(
                fr="Descripteur qui donne les parts, une par ligne.", en="Descriptor that gives shares, one a line."
            )
        ),
    ] = None,
    allow_uid: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            help=say(
                fr="Autre utilisateur du système qui héberge, par son numéro (à répéter).",
                en="Another user of the system who hosts, by number (repeat).",
            ),
        ),
    ] = None,
    admin_gid: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            help=say(
                fr="Groupe dont les processus de ces utilisateurs administrent aussi les clés (à répéter).",
                en="Group in which these users' processes also administer the keys (repeat).",
            ),
        ),
    ] = None,
    ready_fd: Annotated[
        int | None, typer.Option(help=say(fr="Descripteur à prévenir une fois prêt.", en="Descriptor told when ready."))
    ] = None,
) -> None:
    """Serve until SIGTERM."""
    from hygie import services

    frame = frame_of(context)
    services.kms(
        frame.folder.path,
        secret_fd=secret_fd,
        shares_fd=shares_fd,
        ready_fd=ready_fd,
        allowed_uids=allow_uid or (),
        admin_gids=admin_gid or (),
    )
