"""``hygie copy``: production into a test environment of the same client, de-identified, on a declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name, run_custody
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.custody import Custody
    from hygie.deidentify.run import CopyReport
    from hygie.gate.administration import Administration

CELLS = 5  # people who have a code, at least, for it to leave


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Copies de production pour les tests : dé-identifiées, déclarées, journalisées, sans retour.",
            en="Copies of production for tests: identities removed, declared, journaled, without a way back.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "deidentified",
        help=say(
            fr="Copie ce que permet une déclaration approuvée (registre data-copy) ; rien d'autre ne mène en test.",
            en="Copy what an approved declaration allows (register data-copy); no other way leads to tests.",
        ),
        epilog=f"{example}: hygie copy deidentified chu-x prod recette --declaration CPY-0001",
    )(deidentified)
    group.command(
        "rules",
        help=say(
            fr="Ce qui part, champ par champ : tout le reste est supprimé.",
            en="What leaves, field by field: all the rest is dropped.",
        ),
        epilog=f"{example}: hygie copy rules Patient",
    )(rules)
    app.add_typer(group, name="copy")


def deidentified(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")],
    production: Annotated[str, typer.Argument(help=say(fr="Environnement source.", en="Environment to read."))],
    test: Annotated[str, typer.Argument(help=say(fr="Environnement de test.", en="Environment for tests."))],
    declaration: Annotated[
        str, typer.Option(help=say(fr="Fiche du registre data-copy.", en="Record of the register data-copy."))
    ],
    cells: Annotated[
        int,
        typer.Option(min=2, help=say(fr="Patients au moins pour qu'un code parte.", en="Patients a code needs.")),
    ] = CELLS,
) -> None:
    """Copy de-identified."""
    from hygie.base.hardening import harden_process

    harden_process()  # what links the two sides is in memory, and nowhere else
    frame = frame_of(context)

    async def act(custody: Custody, acts: Administration) -> None:
        from hygie.copying import ask_copy, copy_rooms
        from hygie.deidentify.run import copy_deidentified

        operator = operator_name()
        wanted = (tenant, production, test)
        ask = await ask_copy(custody, acts, wanted, declaration, operator=operator, cells=cells)
        async with copy_rooms(custody, operator) as rooms:
            with frame.out.progress(say(fr="Ressources copiées", en="Resources copied")) as move:
                report = await copy_deidentified(rooms, ask, move)
        _tell(frame, report)

    run_custody(frame, act)


def _tell(frame: Frame, report: CopyReport) -> None:
    frame.out.table(
        ["type", say(fr="ressources", en="resources")],
        [[type_, count] for type_, count in report.resources.items()],
    )
    codes, level = report.codes, report.level
    frame.out.line(
        say(
            fr=f"{report.patients} patients ; chacun est semblable à {report.alike - 1} autres au moins (sexe :"
            f" {'oui' if level.sex else 'non'}, naissance : {_band(level.years)},"
            f" département : {'oui' if level.department else 'non'}).",
            en=f"{report.patients} patients; each is like {report.alike - 1} others at least (sex:"
            f" {'yes' if level.sex else 'no'}, birth: {_band(level.years)},"
            f" department: {'yes' if level.department else 'no'}).",
        )
    )
    frame.out.line(
        say(
            fr=f"Codes : {codes.kept} gardés, {codes.generalised} généralisés, {codes.dropped} supprimés (trop rares)."
            f" {report.left_out} ressources laissées, faute de ce que R4 exige.",
            en=f"Codes: {codes.kept} kept, {codes.generalised} generalised, {codes.dropped} dropped as too rare."
            f" {report.left_out} resources left out, for want of what R4 requires.",
        )
    )
    if report.missing:
        frame.out.warn(
            say(
                fr=f"{report.missing} versions illisibles sur tous les sites : hygie scrub.",
                en=f"{report.missing} versions that no site gave back: hygie scrub.",
            )
        )
    frame.out.line(
        say(
            fr="Pour des tests seulement : dé-identifiée, non anonyme. À détruire à la date déclarée.",
            en="For tests only: de-identified, not anonymous. To be destroyed by the declared date.",
        )
    )
    frame.out.result(
        {
            "declaration": report.declaration,
            "patients": report.patients,
            "resources": report.resources,
            "left_out": report.left_out,
            "missing": report.missing,
            "alike": report.alike,
            "shown": {"birth_band_years": level.years, "sex": level.sex, "department": level.department},
            "codes": {"kept": codes.kept, "generalised": codes.generalised, "dropped": codes.dropped},
        }
    )


def _band(years: int) -> str:
    if not years:
        return say(fr="non", en="no")
    return say(fr=f"par {years} an{'s' if years > 1 else ''}", en=f"by {years} year{'s' if years > 1 else ''}")


def rules(
    context: typer.Context,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help=say(fr="Un type FHIR.", en="One FHIR type."))] = "",
) -> None:
    """Show the allow-list."""
    from hygie.base.errors import NotFoundError
    from hygie.deidentify.rules import shipped_rules

    frame = frame_of(context)
    found = shipped_rules()
    if type_ and type_ not in found.plans:
        raise NotFoundError()
    plans = {type_: found.plans[type_]} if type_ else found.plans
    rows = [row for name in sorted(plans) for row in plans[name].rows()]
    frame.out.table([say(fr="champ", en="field"), say(fr="devient", en="becomes")], rows)
    frame.out.line(
        say(
            fr=f"Systèmes de codes admis : {', '.join(sorted(found.systems))}",
            en=f"Code systems that may leave: {', '.join(sorted(found.systems))}",
        )
    )
    frame.out.result({"fields": dict(rows), "systems": sorted(found.systems)})
