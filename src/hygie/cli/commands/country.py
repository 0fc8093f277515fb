"""``hygie country``: from which countries a client's data may be reached, and on which basis outside the EEA."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_act, show_rows
from hygie.cli.frame import frame_of

if TYPE_CHECKING:
    from hygie.gate.administration import Administration


class Basis(StrEnum):
    """Why an access from outside the European Economic Area is lawful."""

    ADEQUACY = "rgpd-45"
    SAFEGUARDS = "rgpd-46"


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(fr="Pays d'où l'on accède aux données.", en="Countries from which data are reached."),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "allow",
        help=say(
            fr="Limite l'accès d'un client à quelques pays de l'Espace économique européen (tous, sans liste).",
            en="Limit a client's access to some countries of the European Economic Area (all of them, without a list).",
        ),
        epilog=f"{example}: hygie country allow chu-x FR BE --reason 'contrat 12'",
    )(allow)
    group.command(
        "except",
        help=say(
            fr="Admet un pays de plus, pour un temps : base RGPD 45 ou 46, pièce, jour où le client l'a su (EXI 29).",
            en="Allow one more country, for a time: basis RGPD 45 or 46, document, day the client was told (EXI 29).",
        ),
        epilog=f"{example}: hygie country except chu-x CA --basis rgpd-45 --reference 'décision 2002/2/CE'"
        " --reason 'support, dossier 41' --days 90",
    )(except_)
    group.command("remove", help=say(fr="Retire une règle, aussitôt.", en="Withdraw a rule, at once."))(remove)
    group.command("list", help=say(fr="Liste les règles.", en="List the rules."))(listing)
    app.add_typer(group, name="country")


def allow(
    context: typer.Context,
    subject: Annotated[
        str, typer.Argument(help=say(fr="Client, ou client/environnement.", en="Client, or client/name."))
    ],
    countries: Annotated[list[str], typer.Argument(help=say(fr="Pays, ISO 3166-1.", en="Countries, ISO 3166-1."))],
    reason: Annotated[str, typer.Option(help=say(fr="Motif.", en="Why."))],
    days: Annotated[
        int, typer.Option(help=say(fr="Jours avant sa fin, 1 100 au plus.", en="Days until it ends, 1,100 at most."))
    ] = 366,
) -> None:
    """Set a list."""
    frame = frame_of(context)

    async def act(acts: Administration) -> str:
        from hygie.gate.place_acts import PlaceActs

        return await PlaceActs(acts).allow(subject, countries, reason=reason, days=days)

    id_ = run_act(frame, act)
    frame.out.line(say(fr=f"Liste {id_} fixée.", en=f"List {id_} set."))
    frame.out.result({"rule": id_})


def except_(
    context: typer.Context,
    subject: Annotated[
        str, typer.Argument(help=say(fr="Client, ou client/environnement.", en="Client, or client/name."))
    ],
    country: Annotated[str, typer.Argument(help=say(fr="Pays, ISO 3166-1.", en="Country, ISO 3166-1."))],
    basis: Annotated[Basis, typer.Option(help=say(fr="Base : adéquation (45), garanties (46).", en="Basis."))],
    reference: Annotated[
        str, typer.Option(help=say(fr="Décision, ou pièce des garanties.", en="Decision, or document of safeguards."))
    ],
    reason: Annotated[str, typer.Option(help=say(fr="Motif.", en="Why."))],
    told_on: Annotated[
        str,
        typer.Option(
            help=say(
                fr="Jour où le client l'a su (AAAA-MM-JJ), exigé sans décision d'adéquation.",
                en="Day on which the client was told (YYYY-MM-DD), required without an adequacy decision.",
            )
        ),
    ] = "",
    days: Annotated[
        int, typer.Option(help=say(fr="Jours avant sa fin, 366 au plus.", en="Days until it ends, 366 at most."))
    ] = 90,
) -> None:
    """Make an exception."""
    frame = frame_of(context)

    async def act(acts: Administration) -> str:
        from hygie.gate.place_acts import PlaceActs

        return await PlaceActs(acts).make_exception(
            subject, country, basis=basis.value, reference=reference, told_on=told_on, reason=reason, days=days
        )

    id_ = run_act(frame, act)
    frame.out.line(say(fr=f"Exception {id_} admise.", en=f"Exception {id_} made."))
    frame.out.result({"rule": id_})


def remove(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(help=say(fr="Son identifiant (voir list).", en="Its id (see list)."))],
) -> None:
    """Withdraw a rule."""
    frame = frame_of(context)

    async def act(acts: Administration) -> None:
        from hygie.gate.place_acts import PlaceActs

        await PlaceActs(acts).remove_rule(rule)

    run_act(frame, act)
    frame.out.line(say(fr="Règle retirée.", en="Rule withdrawn."))
    frame.out.result({"rule": rule, "state": "removed"})


def listing(context: typer.Context) -> None:
    """List rules."""
    frame = frame_of(context)

    async def act(acts: Administration) -> Sequence[dict[str, object]]:
        from hygie.gate.place_acts import PlaceActs

        return await PlaceActs(acts).rules()

    show_rows(frame, run_act(frame, act))
