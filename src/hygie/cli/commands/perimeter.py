"""``hygie perimeter``: services, activities, who certifies each layer; what runs beside what was declared; scoping."""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.errors import NoAnswersError
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.proof.certification.scoping import Scope
    from hygie.registers.engine import Registers

ANSWERS_BYTES_MAX = 1 << 20  # a questionnaire is a page


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(
            fr="Périmètre : services, activités, qui certifie quoi, ce qui tourne.",
            en="Perimeter: services, activities, who certifies what, what runs.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "show",
        help=say(
            fr="Montre chaque service, ses couches, leurs certificats, et ce qui tourne à côté de ce qui est déclaré.",
            en="Show each service, its layers and their certificates, and what runs beside what is declared.",
        ),
        epilog=f"{example}: hygie perimeter show --at 2027-06-30",
    )(show)
    group.command(
        "scope",
        help=say(
            fr="Remplit le questionnaire de périmètre d'un client et dit ce qui s'en déduit, avec les motifs.",
            en="Answer the scoping questionnaire of a client and tell what follows, with the reasons.",
        ),
        epilog=f"{example}: hygie perimeter scope chu-x --answers chu-x.toml",
    )(scope)
    app.add_typer(group, name="perimeter")


def show(
    context: typer.Context,
    at: Annotated[str, typer.Option(help=say(fr="À cette date.", en="On that date."))] = "",
) -> None:
    """Show the perimeter."""
    from hygie.app import open_house
    from hygie.cli import perimeter_view
    from hygie.cli.moment import moment_ms
    from hygie.perimeter import Perimeter, look

    frame = frame_of(context)
    at_ms = moment_ms(at) if at else None

    async def main() -> Perimeter:
        async with open_house(frame.folder.path) as house:
            return await look(house, operator_name(), at_ms=at_ms)

    found = asyncio.run(main())
    perimeter_view.show(frame.out, found)
    frame.out.result(perimeter_view.plain(found))


def scope(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")],
    answers: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help=say(
                fr="Réponses, en TOML ou en JSON ; sinon posées ici.", en="Answers, TOML or JSON; else asked here."
            ),
        ),
    ] = None,
    by: Annotated[str, typer.Option(help=say(fr="Qui répond.", en="Who answers."))] = "",
) -> None:
    """Answer the questionnaire."""
    from hygie.base.civil import paris_date
    from hygie.cli import perimeter_view
    from hygie.cli.commands.register import run_registers
    from hygie.proof.certification.from_registers import SCOPING
    from hygie.proof.perimeter.questionnaire import answered
    from hygie.proof.referentials.shipped import shipped
    from hygie.registers.engine import Asked
    from hygie.registers.rules import Change

    frame = frame_of(context)
    given = _read(answers) if answers is not None else _asked()

    def act(registers: Registers) -> tuple[str, Scope]:
        today = paris_date(registers.clock.now_ms())
        who = by or operator_name().partition(":")[2]
        fields, found = answered(given, shipped("hds@2.0"), tenant=tenant, by=who, today=today)
        former = [
            Change(SCOPING, {}, one.key, "replaced", reason="hygie perimeter scope")
            for one in registers.current(Asked(SCOPING, tenant, ("answered",)))
        ]
        written = registers.write([*former, Change(SCOPING, fields, tenant=tenant)])
        return written[-1].key, found

    key, found = run_registers(frame, act)
    perimeter_view.show_scope(frame.out, tenant, key, found)
    frame.out.result(perimeter_view.plain_scope(tenant, key, found))


def _read(path: Path) -> dict[str, Any]:
    """Answers from a file. Raises: typer.BadParameter: not TOML nor JSON, or not one table."""
    text = path.read_bytes()[: ANSWERS_BYTES_MAX + 1]
    try:
        if len(text) > ANSWERS_BYTES_MAX:
            raise ValueError(ANSWERS_BYTES_MAX)
        read = json.loads(text) if path.suffix == ".json" else tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and both decoders' errors are ValueErrors
        raise typer.BadParameter(
            say(fr=f"{path.name} : TOML ou JSON attendu", en=f"{path.name}: TOML or JSON expected")
        ) from error
    if not isinstance(read, dict):
        raise typer.BadParameter(say(fr=f"{path.name} : une table attendue", en=f"{path.name}: one table expected"))
    return read


def _asked() -> dict[str, Any]:
    """Answers from a person at a terminal; an empty line leaves a question open.

    Raises: NoAnswersError; typer.BadParameter: what is typed names no activity.
    """
    from hygie.cli.perimeter_view import activities_given
    from hygie.proof.perimeter.questionnaire import QUESTIONS
    from hygie.registers.schema import shipped_schemas

    if not sys.stdin.isatty():
        raise NoAnswersError(option="--answers")
    schema = shipped_schemas()["scoping"]
    given: dict[str, Any] = {}
    for name, question in QUESTIONS.items():
        field = schema.field(name)
        assert field is not None
        hint = {"boolean": say(fr="oui/non", en="yes/no"), "activities": "1 2 3…"}.get(field.type, "")
        hint = hint or "/".join(one.id for one in field.choices)
        asked = question.said() + (f" [{hint}]" if hint else "")
        if name.startswith("actor_") and int(name[-1]) in given.get("activities", ()):
            continue
        answer = typer.prompt(asked, default="", show_default=False).strip()
        if not answer:
            continue
        try:
            given[name] = activities_given(answer) if field.type == "activities" else answer
        except ValueError:
            raise typer.BadParameter(
                say(fr="des activités de 1 à 6 sont attendues : 1 2 3", en="activities 1 to 6 are expected: 1 2 3")
            ) from None
    return given
