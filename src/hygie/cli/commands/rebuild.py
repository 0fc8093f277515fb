"""``hygie rebuild``: the database again, from one site and the keys."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.errors import NotConfirmedError
from hygie.cli.frame import Frame, frame_of
from hygie.cli.journal_words import foreign_told
from hygie.cli.secret import ask_option, given_secret, share_option

if TYPE_CHECKING:
    from hygie.recover import Recovered, Watcher

NAMED_MAX = 20  # names shown to a person; a machine gets them all


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "rebuild",
        help=say(
            fr="Reconstruit la base depuis un seul site et les clés, hygie up étant arrêté, et nomme ce qui manque.",
            en="Rebuild the database from one site and the keys, hygie up being stopped, and name what is wanting.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie rebuild --data /srv/hygie --from paris",
    )(rebuild)


def rebuild(
    context: typer.Context,
    site: Annotated[str, typer.Option("--from", help=say(fr="Site à lire.", en="Site to read."))],
    tenant: Annotated[str | None, typer.Option(help=say(fr="Ce client seulement.", en="Only this client."))] = None,
    environment: Annotated[
        str | None, typer.Option(help=say(fr="Cet environnement seulement.", en="Only this environment."))
    ] = None,
    discard: Annotated[
        bool,
        typer.Option("--discard", help=say(fr="Jeter d'abord les catalogues.", en="Throw the catalogues away first.")),
    ] = False,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help=say(fr="Continuer sans un grand livre des clés.", en="Go on without a key ledger.")
        ),
    ] = False,
    ask: Annotated[bool, ask_option()] = False,
    share_file: Annotated[list[Path] | None, share_option()] = None,
    confirm: Annotated[
        str,
        typer.Option(
            help=say(
                fr="Le site, répété, avec --discard ou --partial.",
                en="The site once more, with --discard or --partial.",
            )
        ),
    ] = "",
) -> None:
    """Rebuild from one site; leaves with 50 when that site lacks something."""
    from hygie.base.hardening import harden_process
    from hygie.recover import Wanted, rebuild_installation, require_whole

    harden_process()
    frame = frame_of(context)
    if (discard or partial) and confirm != site:
        raise NotConfirmedError(expected=site)
    secret = given_secret(frame, ask=ask, share_files=share_file)
    wanted = Wanted(site, tenant, environment, discard=discard, partial=partial)
    began = time.monotonic()
    with ExitStack() as bars:
        found = asyncio.run(
            rebuild_installation(
                frame.folder.path,
                wanted,
                operator=operator_name(),
                secret=secret,
                watcher=_watcher(frame, bars),
            )
        )
    _say(frame, found, time.monotonic() - began)
    require_whole(found)


def _watcher(frame: Frame, bars: ExitStack) -> Watcher:
    """Names on lines; a bar for the packs of the environment under way."""
    from hygie.recover import Watcher

    watcher = Watcher(step=lambda name: frame.out.line(f"  {name}"))

    def total(packs: int) -> None:
        bars.close()
        watcher.progress = bars.enter_context(frame.out.progress(say(fr="Paquets", en="Packs"), packs))

    watcher.total = total
    return watcher


def _say(frame: Frame, found: Recovered, seconds: float) -> None:
    if found.imported:
        frame.out.line(say(fr="Clients, environnements et droits repris du site.", en="Clients and rights taken back."))
    if found.foreign:
        frame.out.warn(foreign_told(found.foreign))
    if found.windows:
        frame.out.line(
            say(
                fr=f"Fenêtres planifiées : {found.windows} reprises du journal.",
                en=f"Planned windows: {found.windows} taken back from the journal.",
            )
        )
    if any(found.logs.rows.values()):
        frame.out.line(
            say(
                fr=f"Registres : {found.logs.rows['records']} écritures ; preuves : {found.logs.rows['batches']}"
                " évaluations reprises des sites.",
                en=f"Registers: {found.logs.rows['records']} writes; evidence: {found.logs.rows['batches']}"
                " evaluations taken back from the sites.",
            )
        )
    for one in [*found.logs.shown(), *found.logs.damaged, *found.logs.passed_over][:NAMED_MAX]:
        frame.out.warn(one)
    for (tenant, name), report in found.environments.items():
        frame.out.line(
            say(
                fr=f"{tenant}/{name} : {report.objects} versions, {report.packs} paquets, {report.live} dossiers"
                f" vivants, {report.erased} effacés.",
                en=f"{tenant}/{name}: {report.objects} versions, {report.packs} packs, {report.live} live records,"
                f" {report.erased} erased.",
            )
        )
        lacks = [*(f"- {one}" for one in report.missing), *(f"≠ {one}" for one in report.damaged)]
        for one in lacks[:NAMED_MAX]:
            frame.out.warn(one)
        if len(lacks) > NAMED_MAX:
            frame.out.warn(f"… {len(lacks)}")
        if report.lost or report.unattached or report.unreadable:
            frame.out.warn(
                say(
                    fr=f"{report.lost} dossiers sans clé, {report.unattached} versions sans dossier,"
                    f" {report.unreadable} illisibles ici.",
                    en=f"{report.lost} records without key, {report.unattached} versions without record,"
                    f" {report.unreadable} not readable here.",
                )
            )
    frame.out.line(say(fr=f"Fait en {seconds:.1f} s.", en=f"Done in {seconds:.1f} s."))
    frame.out.result(
        {
            "site": found.site,
            "imported": found.imported,
            "entries": found.entries,
            "foreign": found.foreign[:NAMED_MAX],
            "revoked": found.revoked,
            "windows": found.windows,
            "whole": found.whole,
            "seconds": round(seconds, 3),
            "logs": {**asdict(found.logs), "whole": found.logs.whole},
            "environments": [
                {"tenant": tenant, "environment": name, "whole": report.whole, **asdict(report)}
                for (tenant, name), report in found.environments.items()
            ],
        }
    )
