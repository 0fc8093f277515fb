"""``hygie soc``: how far each export to a SOC is, a trial of one, and the alerts for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import instant, run_custody
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.custody import Custody
    from hygie.gate.people_administration import PeopleAdministration


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(fr="Ce qui part vers un SOC : journal, alertes, mesures.", en="What a SOC gets: journal, findings."),
        no_args_is_help=True,
    )
    group.command("status", help=say(fr="Où en est chaque export.", en="How far each export is."))(status)
    group.command("test", help=say(fr="Envoyer un essai par un export.", en="Send a trial by an export."))(test)
    group.command("alerts", help=say(fr="Les alertes pour Prometheus.", en="The alerts for Prometheus."))(alerts)
    app.add_typer(group, name="soc")


def status(context: typer.Context) -> None:
    """Show how far each export is."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> list[dict[str, Any]]:
        from hygie.feeding import states_of

        house = custody.house
        found = await states_of(house.settings.soc, custody.owner, house.clock)
        return [
            {
                "name": one.name,
                "positions": dict(one.positions),
                "sent": one.sent,
                "taken_ms": one.taken_ms,
                "behind": one.behind,
                "waiting_s": one.waiting_ms // 1_000,
                "late": one.late,
                "code": one.code,
            }
            for one in found
        ]

    rows = run_custody(frame, main)
    columns = [say(fr="export", en="export"), say(fr="envoyés", en="sent"), say(fr="dernier", en="last")]
    columns += [say(fr="en retard", en="behind"), say(fr="attente (s)", en="waiting (s)"), say(fr="erreur", en="error")]
    cells = [
        [
            one["name"],
            one["sent"],
            instant(one["taken_ms"]),
            one["behind"],
            one["waiting_s"],
            one["code"] or _never(one),
        ]
        for one in rows
    ]
    frame.out.table(columns, cells)
    frame.out.result(rows)


def _never(one: dict[str, Any]) -> str:
    """What stands for an export that could not begin: its reason is where the watch logs."""
    return "" if one["positions"] else say(fr="pas commencé : logs/watch.log", en="not begun: logs/watch.log")


def test(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=say(fr="Son nom dans hygie.toml.", en="Its name in hygie.toml."))],
) -> None:
    """Try an export."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> None:
        from hygie.handling import try_export

        await try_export(custody, name)

    run_custody(frame, main)
    frame.out.line(
        say(
            fr=f"L'export {name} a pris l'essai. Vérifiez qu'il est arrivé.",
            en=f"The export {name} took the trial. See that it came.",
        )
    )
    frame.out.result({"export": name})


def alerts(context: typer.Context) -> None:
    """Print the file of alerts that comes with Hygie."""
    from importlib import resources

    frame = frame_of(context)
    text = (resources.files("hygie.watch") / "prometheus-alerts.yml").read_text("utf-8")
    frame.out.line(text.rstrip("\n"))
    frame.out.result({"alerts": text})
