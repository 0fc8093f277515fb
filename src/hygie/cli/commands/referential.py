"""``hygie referential``: what is asked of a host, as versioned data. Nothing here says that anything is met."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.database.pool import Database
    from hygie.gate.local import LocalOperator
    from hygie.proof.referentials.model import Referential
    from hygie.proof.referentials.shelf import Shelf

SUMMARY_DEPTH = 2  # levels of the tree that an import prints


def register(app: typer.Typer) -> None:
    """Add the command."""
    example = say(fr="Exemple", en="Example")
    group = typer.Typer(
        help=say(
            fr="Référentiels : exigences HDS, obligations, ISO 27001, RGPD, et ceux que vous importez.",
            en="Référentiels: HDS requirements, obligations, ISO 27001, GDPR, and those you import.",
        ),
        no_args_is_help=True,
    )
    group.command(
        "list",
        help=say(fr="Liste les référentiels.", en="List référentiels."),
        epilog=f"{example}: hygie referential list",
    )(listing)
    group.command(
        "show",
        help=say(
            fr="Montre un référentiel, ou une de ses exigences. Une correspondance n'est jamais une conformité.",
            en="Show a référentiel, or one of its requirements. A mapping is never a proof of conformity.",
        ),
        epilog=f"{example}: hygie referential show hds@2.0 --tree\n{example}: hygie referential show hds#EXI-05",
    )(show)
    group.command(
        "import",
        help=say(
            fr="Importe une bibliothèque CISO Assistant, un catalogue OSCAL ou un référentiel de Hygie ; tout ou rien.",
            en="Import a CISO Assistant library, an OSCAL catalog or a référentiel of Hygie; whole or not at all.",
        ),
        epilog=f"{example}: hygie referential import ./library.yaml --check",
    )(importing)
    app.add_typer(group, name="referential")


def listing(context: typer.Context) -> None:
    """List référentiels."""
    from hygie.cli.referential_view import head_of, show_list
    from hygie.proof.referentials.shelf import Shelf

    frame = frame_of(context)
    shelf = Shelf(frame.folder)
    found = [shelf.find(one) for one in shelf.ids()]
    show_list(frame.out, found)
    frame.out.result([head_of(one) for one in found])


def show(
    context: typer.Context,
    referential: Annotated[
        str,
        typer.Argument(
            metavar="ID", help=say(fr="nom@version, ou nom@version#exigence.", en="name@version, or name@version#node.")
        ),
    ],
    tree: Annotated[
        bool, typer.Option("--tree", help=say(fr="Toutes les exigences.", en="Every requirement."))
    ] = False,
) -> None:
    """Show one.

    Raises: ReferentialUnknownError, RequirementUnknownError, ReferentialDamagedError.
    """
    from hygie.cli.referential_view import show_head, show_node, show_tree, whole
    from hygie.proof.referentials.encoding import plain
    from hygie.proof.referentials.shelf import Shelf

    frame = frame_of(context)
    name, mark, node = referential.partition("#")
    one = Shelf(frame.folder).find(name)
    if mark:
        found = one.node(node)
        show_node(frame.out, one, found)
        frame.out.result({"referential": one.id, **plain(found), "activities": list(one.activities_of(node))})
        return
    show_head(frame.out, one)
    if tree:
        frame.out.line()
        show_tree(frame.out, one)
    frame.out.result(whole(one))


def importing(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help=say(fr="Fichier YAML ou JSON.", en="YAML or JSON file.")),
    ],
    check: Annotated[
        bool, typer.Option("--check", help=say(fr="Contrôler sans rien écrire.", en="Check, and write nothing."))
    ] = False,
) -> None:
    """Import one. An installation journals it, and must be running.

    Raises: ReferentialRefusedError, ReferentialConflictError; DatabaseUnavailableError, JournalUnavailableError: it
    writes nothing; OSError: disk full, no right.
    """
    from hygie.cli.referential_view import head_of, left_out, show_head, show_tree
    from hygie.proof.referentials.documents import FILE_BYTES_MAX
    from hygie.proof.referentials.importing import read_referential
    from hygie.proof.referentials.shelf import Shelf

    frame = frame_of(context)
    with file.open("rb") as opened:
        imported = read_referential(opened.read(FILE_BYTES_MAX + 1))
    one = imported.referential
    new = False if check else _keep(frame, Shelf(frame.folder), one)
    show_head(frame.out, one)
    frame.out.line()
    show_tree(frame.out, one, depth_max=SUMMARY_DEPTH)
    for name, number in imported.left_out:
        what = left_out(name)
        frame.out.line(say(fr=f"Non repris : {what} ({number}).", en=f"Not taken: {what} ({number})."))
    if check:
        frame.out.line(say(fr="Contrôlé ; rien n'est écrit.", en="Checked; nothing is written."))
    elif new:
        frame.out.line(say(fr=f"{one.id} importé.", en=f"{one.id} imported."))
    else:
        frame.out.line(say(fr=f"{one.id} était déjà là, à l'identique.", en=f"{one.id} was already there, identical."))
    frame.out.result({**head_of(one), "left_out": dict(imported.left_out), "written": new})


def _keep(frame: Frame, shelf: Shelf, one: Referential) -> bool:
    """Keep a référentiel; on record, where there is an installation to keep a record. Returns: whether it was new."""
    from hygie.base.actions import Action
    from hygie.cli.acts import run_work

    if shelf.holds(one):
        return False
    if not frame.folder.settings_file.exists():
        return shelf.put(one)

    async def act(_: House, __: Database, ___: Database, operator: LocalOperator) -> bool:
        detail = {"referential": one.id, "sha256": one.digest}
        async with operator.act(Action.REFERENTIAL_IMPORT, detail=detail) as acting:
            acting.count = len(one.nodes)
            return shelf.put(one)

    return run_work(frame, act)
