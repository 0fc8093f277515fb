"""``hygie up``: everything on one machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import Frame, frame_of


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
    ask: Annotated[bool, typer.Option("--ask", help="Type the passphrase / taper la phrase de passe.")] = False,
) -> None:
    """Run until SIGTERM or Ctrl-C."""
    from hygie.base.hardening import harden_process

    harden_process()  # the passphrase passes through here
    frame = frame_of(context)
    passphrase = typer.prompt(say(fr="Phrase de passe", en="Passphrase"), hide_input=True) if ask else None
    asyncio.run(_up(frame, passphrase))


async def _up(frame: Frame, passphrase: str | None) -> None:
    from hygie.start import running

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = frame.settings()
    async with running(frame.folder.path, passphrase=passphrase, tell=lambda name: frame.out.line(f"  {name}")):
        url = f"https://{settings.host.address}:{settings.host.port}/"
        frame.out.line(say(fr=f"Hygie sert {url} — Ctrl-C pour arrêter", en=f"Hygie serves {url} — Ctrl-C to stop"))
        frame.out.result({"url": url})
        await stop.wait()
        frame.out.line(say(fr="Arrêt…", en="Stopping…"))
