"""``hygie publish``: what others read: the public pages, certificate copies, papers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.papers import HandedOver, Published

_To = Annotated[
    Path, typer.Option("--to", help=say(fr="Dossier où écrire.", en="Folder to write in."), file_okay=False)
]
_Also = Annotated[
    Path | None,
    typer.Option(
        "--to",
        help=say(fr="Autre dossier où l'écrire aussi.", en="Another folder to write it in too."),
        file_okay=False,
    ),
]
_At = Annotated[str, typer.Option(help=say(fr="Tel que connu à cette date.", en="As it was known on that date."))]
_Url = Annotated[
    str, typer.Option(help=say(fr="Adresse publique, si la page est en ligne.", en="Public address, once online."))
]
Means = Literal["console", "mail", "mssante", "portal", "hand", "post"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Publie ce que d'autres lisent : transferts, garanties, certificats, documents.",
            en="Publish what others read: transfers, guarantees, certificates, papers.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "transfers",
        help=say(
            fr="Établit la page publique des transferts hors EEE et des lois extra-européennes (EXI 31).",
            en="Make the public page of transfers outside the EEA and of non-European law (EXI 31).",
        ),
        epilog=f"{example}: hygie publish transfers --url https://exemple.fr/transferts",
    )(transfers)
    group.command(
        "guarantees",
        help=say(
            fr="Établit le tableau des garanties, une ligne par acteur (EXI 12, chapitre 8).",
            en="Make the guarantees table, a row for each actor (EXI 12, chapter 8).",
        ),
        epilog=f"{example}: hygie publish guarantees",
    )(guarantees)
    group.command(
        "certificates",
        help=say(
            fr="Remet à un client copie des certificats de l'hébergeur et de ses sous-traitants (EXI 12).",
            en="Hand a client copies of the certificates of the host and of its sub-processors (EXI 12).",
        ),
        epilog=f"{example}: hygie publish certificates --tenant chu-x --to envoi --recipient 'CHU X, RSSI'",
    )(certificates)
    group.command(
        "papers",
        help=say(
            fr="Écrit tous les documents d'une date : rapport, déclaration d'applicabilité, classeur, OSCAL signé.",
            en="Write all papers of a date: report, statement of applicability, workbook, signed OSCAL.",
        ),
        epilog=f"{example}: hygie publish papers --to documents --at 2026-11-27",
    )(papers)
    app.add_typer(group, name="publish")


def transfers(context: typer.Context, to: _Also = None, at: _At = "", url: _Url = "") -> None:
    """Publish the transfers page."""
    _publish(frame_of(context), "transfers", to, at, url)


def guarantees(context: typer.Context, to: _Also = None, at: _At = "", url: _Url = "") -> None:
    """Publish the guarantees table."""
    _publish(frame_of(context), "guarantees", to, at, url)


def certificates(
    context: typer.Context,
    to: _To,
    tenant: Annotated[str, typer.Option(help=say(fr="Client.", en="Client."))],
    recipient: Annotated[str, typer.Option(help=say(fr="À qui, au client.", en="To whom, at the client."))],
    means: Annotated[Means, typer.Option(help=say(fr="Moyen de remise.", en="How it is handed over."))] = "mail",
) -> None:
    """Hand certificates to a client."""
    frame = frame_of(context)

    async def main() -> HandedOver:
        from hygie.app import open_house
        from hygie.papers import Delivery, hand_certificates

        async with open_house(frame.folder.path) as house:
            return await hand_certificates(house, operator_name(), tenant, to, Delivery(recipient, means))

    done = asyncio.run(main())
    show_handed(frame, done)


def papers(context: typer.Context, to: _To, at: _At = "") -> None:
    """Write every paper."""
    from hygie.cli.moment import moment_ms

    frame = frame_of(context)

    async def main() -> list[Path]:
        from hygie.app import open_house
        from hygie.papers import write_papers

        async with open_house(frame.folder.path) as house:
            return await write_papers(house, operator_name(), to, at_ms=moment_ms(at) if at else None)

    with frame.out.step(say(fr="Documents", en="Papers")):
        written = asyncio.run(main())
    for path in written:
        frame.out.line(str(path))
    frame.out.result([str(path) for path in written])


def show_handed(frame: Frame, done: HandedOver) -> None:
    """What was handed over, and how long it took."""
    for path in done.files:
        frame.out.line(str(path))
    keys = ", ".join(one.key for one in done.records)
    frame.out.line(
        say(
            fr=f"{done.count} remis en {done.seconds} s ; inscrit : {keys}.",
            en=f"{done.count} handed over in {done.seconds} s; recorded: {keys}.",
        )
    )
    frame.out.result(
        {
            "files": [str(path) for path in done.files],
            "deliveries": [one.key for one in done.records],
            "count": done.count,
            "seconds": done.seconds,
        }
    )


def _publish(frame: Frame, kind: str, to: Path | None, at: str, url: str) -> None:
    from hygie.cli.moment import moment_ms

    async def main() -> Published:
        from hygie.app import open_house
        from hygie.papers import publish_page

        async with open_house(frame.folder.path) as house:
            return await publish_page(house, operator_name(), kind, to, at_ms=moment_ms(at) if at else None, url=url)

    done = asyncio.run(main())
    form = say(fr=f", forme {done.form}", en=f", form {done.form}") if done.form else ""
    for path in done.files:
        frame.out.line(str(path))
    frame.out.line(
        say(
            fr=f"Inscrit : {done.record.key}{form}. En-tête à servir : Content-Security-Policy: {done.policy}",
            en=f"Recorded: {done.record.key}{form}. Header to serve: Content-Security-Policy: {done.policy}",
        )
    )
    frame.out.result(
        {
            "files": [str(path) for path in done.files],
            "publication": done.record.key,
            "form": done.form,
            "sha256": done.record.fields["page"],
            "policy": done.policy,
        }
    )
