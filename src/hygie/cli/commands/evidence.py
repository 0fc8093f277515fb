"""``hygie evidence``: the log of evaluations."""

from __future__ import annotations

import typer

from hygie.base.language import say
from hygie.cli.frame import frame_of
from hygie.cli.log_view import verify_and_say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Preuves : chaque évaluation, enchaînée, journalisée, copiée sur les sites.",
            en="Evidence: each evaluation, chained, journaled, copied to the sites.",
        ),
        no_args_is_help=True,
    )
    group.command(
        "verify",
        help=say(
            fr="Suit la chaîne de toutes les évaluations et la compare au journal publié.",
            en="Follow the chain of all evaluations and compare it with the published journal.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie evidence verify",
    )(verify)
    app.add_typer(group, name="evidence")


def verify(context: typer.Context) -> None:
    """Follow the chain, and hold it to the published journal; leaves with 50 when something lacks."""
    verify_and_say(frame_of(context), "batches")
