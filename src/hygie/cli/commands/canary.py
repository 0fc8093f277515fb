"""``hygie canary``: made-up patients whose words are sought wherever no record may be read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name, show_rows
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.probes.canaries.record import Canary


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(
            fr="Témoins : des patients inventés dont les mots sont cherchés partout où rien ne doit se lire.",
            en="Canaries: made-up patients whose words are sought wherever nothing may be read.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "plant",
        help=say(
            fr="Plante un témoin, par la porte FHIR, avec un jeton du client qui peut écrire un Patient.",
            en="Plant a canary, through the FHIR door, with a token of the client that may write a Patient.",
        ),
        epilog=f"{example}: hygie canary plant chu-x/prod --token-file jeton",
    )(plant)
    group.command(
        "list",
        help=say(fr="Liste les témoins plantés ; leurs mots ne sont montrés nulle part.", en="List planted canaries."),
    )(listing)
    app.add_typer(group, name="canary")


def plant(
    context: typer.Context,
    place: Annotated[str, typer.Argument(metavar="CLIENT/ENV", help=say(fr="Où.", en="Where."))],
    token_file: Annotated[
        Path | None,
        typer.Option(help=say(fr="Fichier privé du jeton ; sinon il est demandé.", en="Private file; else asked.")),
    ] = None,
) -> None:
    """Plant one. Raises: RefusedError: the door refuses, or all are planted; NotFoundError; SettingsError."""
    from hygie.base.passphrase import read_passphrase
    from hygie.cli.secret import typed_token

    frame = frame_of(context)
    tenant, _, name = place.partition("/")
    token = read_passphrase(token_file) if token_file is not None else typed_token()
    made = asyncio.run(_plant(frame, tenant, name, token))
    frame.out.line(
        say(
            fr=f"Témoin {made.name} planté. hygie work cherche ses mots : hygie status --verbose.",
            en=f"Canary {made.name} planted. hygie work seeks its words: hygie status --verbose.",
        )
    )
    frame.out.result({"tenant": tenant, "environment": name, "number": made.number})


def listing(context: typer.Context) -> None:
    """List those that are planted."""
    frame = frame_of(context)
    rows: list[dict[str, Any]] = [
        {
            "tenant": one.environment.tenant,
            "environment": one.environment.name,
            "number": one.number,
            "created_ms": one.planted_ms,
        }
        for one in asyncio.run(_planted(frame))
    ]
    show_rows(frame, rows)


async def _plant(frame: Frame, tenant: str, name: str, token: str) -> Canary:
    from hygie.app import open_administration, open_house, opened
    from hygie.base.actions import Action
    from hygie.gate.local import LocalOperator
    from hygie.journal.writer import JournalWriter
    from hygie.probes.canaries.record import canaries_of
    from hygie.probes.canaries.record import plant as plant_one

    async with open_house(frame.folder.path) as house, opened(house.dsns.owner, size=1) as database:
        async with open_administration(house, operator_name()) as acts:
            where = (await acts.environment(tenant, name)).place
        known = await canaries_of(house, database)
        journal = JournalWriter(database, house.month_keys, house.clock)
        try:
            operator = LocalOperator(journal, house.clock, operator_name())
            async with operator.act(Action.CANARY_PLANT, where) as act:
                made = await plant_one(house, known, where, token)
                act.detail["canary"] = made.name
                return made
        finally:
            await journal.close()


async def _planted(frame: Frame) -> list[Canary]:
    from hygie.app import open_house, opened
    from hygie.probes.canaries.record import canaries_of

    async with open_house(frame.folder.path) as house, opened(house.dsns.owner, size=1) as database:
        return [one for one in await canaries_of(house, database) if one.planted_ms is not None]
