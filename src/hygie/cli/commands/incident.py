"""``hygie incident``: its clocks, the notices prepared from facts, who was told, the evidence that is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name, run_custody
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.custody import Custody
    from hygie.gate.people_administration import PeopleAdministration
    from hygie.incidents import Incident
    from hygie.noticing import Prepared
    from hygie.preserving import Preserved
    from hygie.registers.chain import RecordVersion

_Kind = Literal["controller", "cnil", "health-authority", "nis2-warning", "nis2-notification", "nis2-report"]
_KEY = say(fr="Sa clé : INC-0001.", en="Its key: INC-0001.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Incidents : délais qui courent, avis à préparer, preuves conservées.",
            en="Incidents: clocks that run, notices to prepare, evidence kept.",
        ),
        no_args_is_help=True,
    )
    group.command(
        "list", help=say(fr="Les incidents ouverts et ce qui presse.", en="Open incidents and what presses.")
    )(listing)
    group.command(
        "show",
        help=say(
            fr="Un incident : chaque délai, par quel texte, à qui, depuis quand, ce qui reste.",
            en="One incident: each clock, by which text, whose, since when, what remains.",
        ),
    )(show)
    example = say(fr="Exemple", en="Example")
    group.command(
        "notice",
        help=say(
            fr="Prépare un avis d'après les faits, pour qui doit l'envoyer ; rien ne part d'ici.",
            en="Prepare a notice from the facts, for whoever must send it; nothing leaves by itself.",
        ),
        epilog=f"{example}: hygie incident notice INC-0001 --to controller --client chu-x --file avis.pdf",
    )(notice)
    group.command(
        "sent",
        help=say(
            fr="Inscrit qui a été prévenu, quand et par qui ; le délai s'arrête. « cnil » : remis au client.",
            en="Record who was told, when, by whom; the clock stops. 'cnil': handed to the client, who files.",
        ),
        epilog=f"{example}: hygie incident sent INC-0001 --notice controller --client chu-x --by PER-0001",
    )(sent)
    group.command(
        "evidence",
        help=say(
            fr="Met à part les preuves : entrées du journal, mesures, actes. hygie-verify les contrôle.",
            en="Keep the evidence apart: journal entries with proofs, measurements, acts. hygie-verify checks it.",
        ),
        epilog=f"{example}: hygie incident evidence INC-0001 --logs",
    )(evidence)
    app.add_typer(group, name="incident")


def listing(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help=say(fr="Les clos aussi.", en="Closed ones too."))] = False,
) -> None:
    """List incidents."""
    from hygie.cli.incident_view import show_listed

    frame = frame_of(context)

    async def main() -> list[Incident]:
        from hygie.app import open_house
        from hygie.incidents import listed

        async with open_house(frame.folder.path) as house:
            return await listed(house, operator_name(), every=every)

    show_listed(frame.out, asyncio.run(main()))


def show(context: typer.Context, key: Annotated[str, typer.Argument(help=_KEY)]) -> None:
    """Show one."""
    from hygie.cli.incident_view import show_one

    frame = frame_of(context)

    async def main() -> Incident:
        from hygie.app import open_house
        from hygie.incidents import one_incident

        async with open_house(frame.folder.path) as house:
            return await one_incident(house, operator_name(), key)

    show_one(frame.out, asyncio.run(main()))


def notice(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help=_KEY)],
    to: Annotated[_Kind, typer.Option("--to", help=say(fr="Quel avis.", en="Which notice."))],
    file: Annotated[Path, typer.Option(help=say(fr="Fichier neuf .pdf, .md ou .json.", en="New .pdf, .md or .json."))],
    client: Annotated[
        str, typer.Option(help=say(fr="Client, pour un avis qui concerne un client.", en="Client, where one is told."))
    ] = "",
) -> None:
    """Prepare a notice."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> Prepared:
        from hygie.noticing import To, prepare

        return await prepare(custody, key, To(to, client), file.absolute())

    done = run_custody(frame, main)
    frame.out.line(say(fr=f"Avis préparé : {done.file}", en=f"Notice prepared: {done.file}"))
    if done.lacking:
        listed = " ; ".join(done.lacking)
        frame.out.line(say(fr=f"Pas encore connu : {listed}", en=f"Not known yet: {listed}"))
    frame.out.result({"file": str(done.file), "sha256": done.sha256, "lacking": list(done.lacking)})


def sent(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help=_KEY)],
    kind: Annotated[_Kind, typer.Option("--notice", help=say(fr="Quel avis.", en="Which notice."))],
    by: Annotated[str, typer.Option(help=say(fr="Qui l'a envoyé (registre person).", en="Who sent it."))],
    client: Annotated[
        str, typer.Option(help=say(fr="Client, pour un avis qui concerne un client.", en="Client, where one is told."))
    ] = "",
    contact: Annotated[
        str, typer.Option(help=say(fr="À qui (registre client-contact).", en="To whom (register client-contact)."))
    ] = "",
    at: Annotated[str, typer.Option(help=say(fr="Quand ; sinon maintenant.", en="When; now otherwise."))] = "",
) -> None:
    """Record what was sent."""
    from hygie.cli.moment import moment_ms

    frame = frame_of(context)
    at_ms = moment_ms(at) if at else None

    async def main(custody: Custody, _: PeopleAdministration) -> list[RecordVersion]:
        from hygie.noticing import Sent, record_sent

        when = custody.house.clock.now_ms() if at_ms is None else at_ms
        return await record_sent(custody, key, Sent(kind, client, by, when, contact))

    changed = [f"{one.register} {one.key}" for one in run_custody(frame, main)]
    frame.out.line(say(fr=f"Inscrit : {', '.join(changed)}", en=f"Recorded: {', '.join(changed)}"))
    frame.out.result({"incident": key, "records": changed})


def evidence(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help=_KEY)],
    logs: Annotated[
        bool, typer.Option(help=say(fr="Avec les journaux techniques du moment.", en="With the logs of that time."))
    ] = False,
) -> None:
    """Keep evidence."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> Preserved:
        from hygie.preserving import preserve

        return await preserve(custody, key, logs=logs)

    done = run_custody(frame, main)
    frame.out.line(
        say(
            fr=f"{done.entries} entrées du journal conservées : {done.file}. Contrôle : hygie-verify {done.file}",
            en=f"{done.entries} journal entries kept: {done.file}. To check it: hygie-verify {done.file}",
        )
    )
    frame.out.result({"file": str(done.file), "sha256": done.sha256, "entries": done.entries})
