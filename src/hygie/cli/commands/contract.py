"""``hygie contract``: a hosting contract to start from, and a signed one against what is true now."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hygie.proof.documents.contract_check import Checked, Quote
    from hygie.proof.documents.model import Inputs


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(fr="Contrats d'hébergement : modèle et vérification.", en="Hosting contracts: template and check."),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "template",
        help=say(
            fr="Écrit un projet de contrat en français, lié aux valeurs du moment ; les blancs sont surlignés.",
            en="Write a draft contract in French, bound to the values of the moment; blanks are highlighted.",
        ),
        epilog=f"{example}: hygie contract template chu-x --to contrat.docx",
    )(template)
    group.command(
        "check",
        help=say(
            fr="Vérifie un contrat inscrit : chaque clause exigée, chaque valeur citée.",
            en="Check a recorded contract: each clause asked for, each value quoted.",
        ),
        epilog=f"{example}: hygie contract check CTR-0001",
    )(check)
    app.add_typer(group, name="contract")


def template(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help=say(fr="Client.", en="Client."))],
    to: Annotated[Path, typer.Option("--to", help=say(fr="Fichier .docx à créer.", en="The .docx to make."))],
) -> None:
    """Write a draft."""
    from hygie.base.files import write_durably
    from hygie.proof.documents.contract import contract_draft
    from hygie.proof.errors import PaperRefusedError

    if to.suffix != ".docx":
        raise typer.BadParameter(say(fr="le modèle est un .docx", en="the template is a .docx"))
    if to.exists():  # somebody may have worked on it
        raise PaperRefusedError(reason_fr=f"{to} existe déjà", reason_en=f"{to} is already there")
    frame = frame_of(context)
    write_durably(to, _on_inputs(frame, lambda inputs: contract_draft(inputs, tenant)))
    frame.out.line(str(to))
    frame.out.result({"file": str(to)})


def check(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help=say(fr="Contrat, comme CTR-0001.", en="Contract, such as CTR-0001."))],
    strict: Annotated[
        bool, typer.Option("--strict", help=say(fr="Code 1 si tout ne tient pas.", en="Exit 1 unless all holds."))
    ] = False,
) -> None:
    """Check a contract."""
    from hygie.proof.documents.contract_check import check_contract

    frame = frame_of(context)
    found: list[Checked] = _on_inputs(frame, lambda inputs: check_contract(inputs, key))
    frame.out.table(
        [say(fr="clause", en="clause"), say(fr="article", en="article"), say(fr="valeur", en="value"),
         say(fr="au contrat", en="in the contract"), say(fr="en vrai", en="live"), ""],
        [row for one in found for row in _rows(one)],
    )  # fmt: skip
    bad = [one.id for one in found if not one.holds]
    frame.out.line(
        say(
            fr=f"{len(found) - len(bad)} clauses sur {len(found)} présentes et conformes aux valeurs du moment.",
            en=f"{len(found) - len(bad)} of {len(found)} clauses present and equal to the values of the moment.",
        )
    )
    frame.out.result([_plain(one) for one in found])
    if strict and bad:
        raise typer.Exit(1)


def _on_inputs(frame: Frame, make: Callable[[Inputs], Any]) -> Any:
    async def main() -> Any:
        from hygie.app import open_house
        from hygie.papers import with_inputs

        async with open_house(frame.folder.path) as house:
            return await with_inputs(house, operator_name(), lambda _, inputs: make(inputs))

    return asyncio.run(main())


def _rows(one: Checked) -> list[list[str]]:
    missing = "" if one.article else say(fr="ABSENTE", en="MISSING")
    rows = [[quote.label, quote.quoted, quote.live, _mark(quote)] for quote in one.quotes] or [["", "", "", missing]]
    if missing and one.quotes:
        rows[0][3] = missing
    heads = [[one.title, one.article], *[["", ""]] * (len(rows) - 1)]
    return [head + row for head, row in zip(heads, rows, strict=True)]


def _mark(quote: Quote) -> str:
    if quote.same is None:
        return say(fr="non comparable", en="not comparable")
    return say(fr="égal", en="equal") if quote.same else say(fr="DIFFÈRE", en="DIFFERS")


def _plain(one: Checked) -> dict[str, Any]:
    quotes = [{"label": q.label, "quoted": q.quoted, "live": q.live, "same": q.same} for q in one.quotes]
    return {
        "clause": one.id,
        "article": one.article,
        "present": bool(one.article),
        "holds": one.holds,
        "values": quotes,
    }
