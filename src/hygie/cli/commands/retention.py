"""``hygie retention``: how long backups and access traces are kept, and how two persons shorten it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_custody, show_rows
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.custody import Custody
    from hygie.gate.people_administration import PeopleAdministration


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(fr="Durées de conservation.", en="How long backups and traces are kept."), no_args_is_help=True
    )
    group.command(
        "list",
        help=say(
            fr="Ce que disent les réglages, ce qui est en vigueur, et ce qui s'applique : le plus long des deux.",
            en="What the settings say, what is in force, and what applies: the longer of both.",
        ),
    )(listing)
    group.command(
        "shorten",
        help=say(
            fr="Raccourcit une durée, une fois que deux personnes en sont d'accord. Écrivez d'abord la valeur dans"
            " hygie.toml, et demandez-le : hygie request ask retention:set --what name=… --what value=…",
            en="Shorten a retention, once two persons agree. First write the value in hygie.toml, and ask for it:"
            " hygie request ask retention:set --what name=… --what value=…",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie retention shorten backups-monthly 6",
    )(shorten)
    app.add_typer(group, name="retention")


def listing(context: typer.Context) -> None:
    """List the retentions."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> list[dict[str, object]]:
        from hygie.gate.retentions import Retentions
        from hygie.retentions import longest, wanted

        house = custody.house
        known = await Retentions(custody.owner, kms=house.kms, clock=house.clock).kept()
        applied = longest(house.settings, known)
        return [
            {
                "name": name,
                "setting": value,
                "in_force": known[name].value if name in known else None,
                "since_ms": known[name].since_ms if name in known else None,
                "request": known[name].request if name in known else "",
                "applies": applied[name],
            }
            for name, value in wanted(house.settings).items()
        ]

    show_rows(frame, run_custody(frame, main))


def shorten(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=say(fr="Laquelle (voir list).", en="Which one (see list)."))],
    value: Annotated[int, typer.Argument(min=0, help=say(fr="La nouvelle valeur.", en="The new value."))],
) -> None:
    """Shorten a retention."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> tuple[str, int]:
        from hygie.retentions import applied, shorten

        request = await shorten(custody, name, value)
        return request, (await applied(custody.house, custody.owner))[name]

    request, now = run_custody(frame, main)
    if now > value:
        frame.out.warn(
            say(
                fr=f"hygie.toml dit encore {now} : c'est ce qui s'applique.",
                en=f"hygie.toml still says {now}: that is what applies.",
            )
        )
    frame.out.line(say(fr=f"{name} = {value}, en vigueur.", en=f"{name} = {value}, in force."))
    frame.out.result({"name": name, "value": value, "request": request, "applies": now})
