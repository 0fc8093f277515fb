"""``hygie unseal``: give the passphrase, or one's share, to a key process that waits sealed, as a unit starts it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import Frame, frame_of
from hygie.cli.secret import share_option, shares_in, typed_secret


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "unseal",
        help=say(
            fr="Donne la phrase de passe, ou sa part, au processus des clés lancé sans elle. Chaque porteur peut venir"
            " seul, l'un après l'autre.",
            en="Give the passphrase, or one's share, to the key process that was started without it. Holders may come"
            " alone, one after the other.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie unseal --data /srv/hygie",
    )(unseal)


def unseal(context: typer.Context, share_file: Annotated[list[Path] | None, share_option()] = None) -> None:
    """Ask for one share, or the passphrase; or take shares from files."""
    from hygie.base.hardening import harden_process

    harden_process()
    frame = frame_of(context)
    missing = asyncio.run(_unseal(frame, share_file or []))
    if missing:
        frame.out.line(say(fr=f"Il manque encore {missing} part(s).", en=f"{missing} more share(s) needed."))
    else:
        frame.out.line(say(fr="Les clés sont ouvertes.", en="The keys are open."))
    frame.out.result({"open": missing == 0, "missing": missing})


async def _unseal(frame: Frame, share_files: list[Path]) -> int:
    """How many more shares are needed. Raises: as ``KmsClient.unseal``; NoTerminalError."""
    from hygie.base.settings import kms_socket
    from hygie.keys.client import KmsClient
    from hygie.keys.sealing import Shares

    kms = KmsClient(kms_socket(frame.settings(), frame.folder))
    try:
        status = await kms.status()
        if not status.sealed:
            return 0
        by_shares = status.properties.sealing == "shares"
        secret = shares_in(share_files) if share_files else typed_secret(by_shares=by_shares)
        if isinstance(secret, Shares):
            return await kms.unseal(shares=secret.texts)
        return await kms.unseal(passphrase=secret.text)
    finally:
        await kms.close()
