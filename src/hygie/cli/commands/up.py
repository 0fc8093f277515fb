"""``hygie up``: everything on one machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import Frame, frame_of
from hygie.cli.secret import ask_option, given_secret, share_option

if TYPE_CHECKING:
    from hygie.keys.sealing import Secret


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "up",
        help=say(
            fr="Démarre tout sur cette machine : base, clés, témoin, journal, hébergement. Ctrl-C arrête proprement.",
            en="Start everything on this machine: database, keys, witness, journal, hosting. Ctrl-C stops it cleanly.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie up --data /srv/hygie",
    )(up)


def up(
    context: typer.Context,
    ask: Annotated[bool, ask_option()] = False,
    share_file: Annotated[list[Path] | None, share_option()] = None,
) -> None:
    """Run until SIGTERM or Ctrl-C."""
    from hygie.base.hardening import harden_process

    harden_process()  # the passphrase, or shares, pass through here
    frame = frame_of(context)
    secret = given_secret(frame, ask=ask, share_files=share_file)
    asyncio.run(_up(frame, secret))


async def _up(frame: Frame, secret: Secret | None) -> None:
    from hygie.start import running

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = frame.settings()
    async with running(frame.folder.path, secret=secret, tell=lambda name: frame.out.line(f"  {name}")):
        url = f"https://{settings.host.address}:{settings.host.port}/"
        frame.out.line(say(fr=f"Hygie sert {url} — Ctrl-C pour arrêter", en=f"Hygie serves {url} — Ctrl-C to stop"))
        frame.out.result({"url": url})
        await stop.wait()
        frame.out.line(say(fr="Arrêt…", en="Stopping…"))
