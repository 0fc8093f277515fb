"""``hygie register import``, ``export`` and ``template``: registers and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import instant
from hygie.cli.frame import Frame, frame_of
from hygie.cli.moment import moment_ms

if TYPE_CHECKING:
    from hygie.registers.errors import ImportRefusedError

_Register = Annotated[str, typer.Argument(help=say(fr="Registre, comme supplier.", en="Register, such as supplier."))]
_Made = Annotated[Path, typer.Argument(dir_okay=False, help=say(fr="Fichier à écrire.", en="File to write."))]


def bring(
    context: typer.Context,
    name: _Register,
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help=say(fr="CSV, XLSX ou JSON.", en="CSV, XLSX or JSON.")),
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help=say(
                fr="colonne=champ ; « colonne= » la laisse de côté.", en="column=field; “column=” leaves it aside."
            ),
        ),
    ] = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help=say(fr="Dit les fautes sans écrire.", en="Tell faults, write nothing."))
    ] = False,
    match: Annotated[
        str,
        typer.Option(
            help=say(fr="Champ qui désigne la fiche d'une ligne sans clé.", en="Field that tells a row's record.")
        ),
    ] = "",
    state: Annotated[
        str, typer.Option(help=say(fr="État des lignes qui n'en disent pas.", en="State of other rows."))
    ] = "",
    reason: Annotated[str, typer.Option(help=say(fr="Motif.", en="Reason."))] = "",
    approver: Annotated[str, typer.Option(help=say(fr="Qui approuve, si l'état l'exige.", en="Who approves."))] = "",
) -> None:
    """Write what a file says: all of its lines, or none."""
    from hygie.cli.commands.register import run_registers
    from hygie.registers.errors import ImportRefusedError
    from hygie.registers.exchange.importing import Imported, Wanted, check_file, import_file

    frame = frame_of(context)
    wanted = Wanted(_mapping(column), match, state, reason, approver)
    try:
        if check:
            rows = run_registers(frame, lambda registers: check_file(registers, name, file, wanted))
            frame.out.line(say(fr=f"Lignes : {rows} ; aucune faute.", en=f"Rows: {rows}; no fault."))
            frame.out.result({"rows": rows, "faults": 0})
            return
        done: Imported = run_registers(frame, lambda registers: import_file(registers, name, file, wanted))
    except ImportRefusedError as error:
        _tell(frame, error)
        raise
    frame.out.line(
        say(
            fr=f"Fiches nouvelles : {done.new} ; modifiées : {done.changed} ; inchangées : {done.unchanged}.",
            en=f"Records new: {done.new}; changed: {done.changed}; unchanged: {done.unchanged}.",
        )
    )
    frame.out.result(asdict(done))


def hand_over(
    context: typer.Context,
    name: _Register,
    file: _Made,
    *,
    state: Annotated[str, typer.Option(help=say(fr="De cet état seulement.", en="In this state only."))] = "",
    tenant: Annotated[str, typer.Option(help=say(fr="De ce client seulement.", en="Of this client only."))] = "",
    at: Annotated[str, typer.Option(help=say(fr="Tel que connu à cette date.", en="As known on that date."))] = "",
) -> None:
    """Write a register into a file."""
    from hygie.cli.commands.register import run_registers
    from hygie.registers.engine import Asked
    from hygie.registers.exchange.exporting import export_file

    frame = frame_of(context)
    asked = Asked(name, tenant or None, (state,) if state else (), moment_ms(at) if at else None)
    done = run_registers(frame, lambda registers: export_file(registers, asked, file))
    frame.out.line(
        say(
            fr=f"Fiches : {done.records}, telles que connues le {instant(done.at_ms)} ; {done.size} octets.",
            en=f"Records: {done.records}, as known on {instant(done.at_ms)}; {done.size} bytes.",
        )
    )
    frame.out.line(f"SHA-256 {done.sha256}")
    frame.out.result(asdict(done))


def template(context: typer.Context, name: _Register, file: _Made) -> None:
    """Write an empty file of a register."""
    from hygie.registers.exchange.exporting import template_file
    from hygie.registers.schema import shipped_schemas

    frame = frame_of(context)
    template_file(shipped_schemas()[name], file)
    frame.out.line(say(fr=f"À remplir : {file}", en=f"To be filled: {file}"))
    frame.out.result({"file": str(file)})


def pages() -> tuple[tuple[str, str, str, str, Callable[..., None]], ...]:
    """Each command: its name, what it does in both languages, an example, and its function."""
    return (
        (
            "import",
            "Écrit dans un registre ce que dit un fichier, tout ou rien.",
            "Write into a register what a file says, all or nothing.",
            "hygie register import person personnel.csv --match email --map Matricule=",
            bring,
        ),
        (
            "export",
            "Écrit un registre dans un fichier CSV, XLSX, JSON ou PDF.",
            "Write a register into a CSV, XLSX, JSON or PDF file.",
            "hygie register export supplier sous-traitants.pdf --at 2026-06-30",
            hand_over,
        ),
        (
            "template",
            "Écrit un fichier vide à remplir, CSV ou XLSX.",
            "Write an empty file to fill, CSV or XLSX.",
            "hygie register template risk risques.xlsx",
            template,
        ),
    )


def _mapping(words: list[str] | None) -> dict[str, str]:
    """``column=field`` words. Raises: typer.BadParameter."""
    found: dict[str, str] = {}
    for word in words or []:
        name, sign, value = word.rpartition("=")
        if not sign or not name:
            raise typer.BadParameter(say(fr="colonne=champ", en="column=field"))
        found[name] = value.strip()
    return found


def _tell(frame: Frame, error: ImportRefusedError) -> None:
    """Every fault, for a person or a machine."""
    rows = [[one.facts["line"], one.facts["field"], say(fr=str(one.facts["reason_fr"]), en=str(one.facts["reason_en"]))]
            for one in error.faults]  # fmt: skip
    frame.out.table([say(fr="ligne", en="line"), say(fr="champ", en="field"), say(fr="raison", en="reason")], rows)
    frame.out.result([{"line": line, "field": field, "reason": reason} for line, field, reason in rows])
