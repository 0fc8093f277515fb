"""``hygie upgrade``: bring the database to this version, with a copy taken first and a way back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name, show_rows
from hygie.cli.errors import NotConfirmedError
from hygie.cli.frame import Frame, frame_of
from hygie.cli.secret import ask_option, given_secret, share_option

if TYPE_CHECKING:
    from hygie.keys.sealing import Secret


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "upgrade",
        help=say(
            fr="Met la base à cette version, hygie up étant arrêté : en prend d'abord une copie, et sait y revenir.",
            en="Bring the database to this version, hygie up being stopped: copies it first, and can go back.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie upgrade --data /srv/hygie",
    )(upgrade)


def upgrade(
    context: typer.Context,
    check: Annotated[
        bool,
        typer.Option("--check", help=say(fr="Dire seulement ce qui changerait.", en="Only say what would change.")),
    ] = False,
    back: Annotated[
        bool, typer.Option("--back", help=say(fr="Remettre la copie la plus récente.", en="Put the newest copy back."))
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help=say(fr="Montrer les copies.", en="Show the copies."))] = False,
    copy: Annotated[
        str | None, typer.Option(help=say(fr="Avec --back : une autre copie.", en="With --back: another copy."))
    ] = None,
    no_copy: Annotated[
        bool,
        typer.Option("--no-copy", help=say(fr="Une copie a été prise ailleurs.", en="A copy was taken elsewhere.")),
    ] = False,
    ask: Annotated[bool, ask_option()] = False,
    share_file: Annotated[list[Path] | None, share_option()] = None,
    confirm: Annotated[str, typer.Option(help=say(fr="Avec --back : back.", en="With --back: back."))] = "",
) -> None:
    """Upgrade, or go back."""
    from hygie import upgrade as acts
    from hygie.base.hardening import harden_process

    frame = frame_of(context)
    data = frame.folder.path
    if listing:
        rows = [{"copy": name, "version": f.version, "taken_ms": f.at_ms} for name, f in acts.copies_of(data)]
        show_rows(frame, rows)
    elif check:
        _say_pending(frame, asyncio.run(acts.pending(data)))
    elif back:
        if confirm != "back":
            raise NotConfirmedError(expected="back")
        with frame.out.step(say(fr="Copie remise en place", en="Copy put back")):
            facts = asyncio.run(acts.go_back(data, name=copy))
        frame.out.line(
            say(
                fr=f"Installez la version que Hygie {facts.version} a remplacée, puis lancez hygie up.",
                en=f"Install the version that Hygie {facts.version} replaced, then run hygie up.",
            )
        )
        frame.out.result({"version": facts.version, "taken_ms": facts.at_ms})
    else:
        harden_process()
        _upgrade(frame, copy=not no_copy, secret=given_secret(frame, ask=ask, share_files=share_file))


def _upgrade(frame: Frame, *, copy: bool, secret: Secret | None) -> None:
    from hygie import upgrade as acts

    done = asyncio.run(
        acts.upgrade(
            frame.folder.path,
            operator=operator_name(),
            secret=secret,
            copy=copy,
            tell=lambda name: frame.out.line(f"  {name}"),
        )
    )
    _say_pending(frame, done.pending, copy=done.copy, version=done.version)


def _say_pending(frame: Frame, pending: list[str], *, copy: str = "", version: str = "") -> None:
    if not pending:
        frame.out.line(say(fr="La base est à jour.", en="The database is up to date."))
    for name in pending:
        frame.out.line(f"  {name}")
    if copy:
        frame.out.line(say(fr=f"Copie d'avant : {copy}", en=f"Copy taken before: {copy}"))
    frame.out.result({"migrations": pending, "copy": copy, "version": version})
