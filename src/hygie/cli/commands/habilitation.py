"""``hygie habilitation``: who may do what, where, why, by whose approval, until when."""

from __future__ import annotations

from typing import Annotated

import typer

from hygie.base.language import say
from hygie.base.roles import Role
from hygie.cli.acts import run_act, show_rows
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help=say(fr="Habilitations.", en="Habilitations."), no_args_is_help=True)
    example = say(fr="Exemple", en="Example")
    group.command(
        "grant",
        help=say(
            fr="Accorde un rôle : motif, approbateur (un autre que le bénéficiaire) et durée sont obligatoires.",
            en="Grant a role: reason, approver (somebody else than the holder) and duration are required.",
        ),
        epilog=f"{example}: hygie habilitation grant marie.durand chu-x prod --role caregiver"
        " --reason 'soins, service A' --approver paul.martin --days 180",
    )(grant)
    group.command(
        "revoke",
        help=say(fr="Retire une habilitation, aussitôt.", en="Withdraw a habilitation, at once."),
        epilog=f"{example}: hygie habilitation revoke 3f2a…",
    )(revoke)
    group.command("list", help=say(fr="Liste les habilitations.", en="List habilitations."))(listing)
    app.add_typer(group, name="habilitation")


def grant(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help=say(fr="Compte.", en="Account."))],
    tenant: Annotated[str, typer.Argument(help="Client.")],
    environment: Annotated[str, typer.Argument(help=say(fr="Environnement.", en="Environment."))],
    role: Annotated[Role, typer.Option(help=say(fr="Rôle.", en="Role."))],
    reason: Annotated[str, typer.Option(help=say(fr="Motif.", en="Why."))],
    approver: Annotated[str, typer.Option(help=say(fr="Qui l'a approuvée.", en="Who approved it."))],
    days: Annotated[
        int, typer.Option(help=say(fr="Jours avant sa fin, 366 au plus.", en="Days until it ends, 366 at most."))
    ] = 180,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help=say(fr="Limite à ce type de ressource.", en="Limit to this type of resource.")),
    ] = None,
    patients: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                fr="Limite aux patients membres de cet ensemble (Group/ID).",
                en="Limit to patients who are members of this set (Group/ID).",
            )
        ),
    ] = None,
    purpose: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                fr="Limite à ce motif d'accès (code HL7, TREAT par exemple).",
                en="Limit to this purpose of use (HL7's code, e.g. TREAT).",
            )
        ),
    ] = None,
) -> None:
    """Grant a habilitation."""
    frame = frame_of(context)
    from hygie.gate.narrowing import Limits

    limits = Limits(frozenset(type_ or ()), frozenset(patients or ()), frozenset(purpose or ()))
    id_ = run_act(
        frame,
        lambda acts: acts.grant(
            account, tenant, environment, role=role, reason=reason, approver=approver, days=days, limits=limits
        ),
    )
    frame.out.line(say(fr=f"Habilitation {id_} accordée.", en=f"Habilitation {id_} granted."))
    frame.out.result({"habilitation": id_})


def revoke(
    context: typer.Context,
    habilitation: Annotated[str, typer.Argument(help=say(fr="Son identifiant (voir list).", en="Its id (see list)."))],
) -> None:
    """Revoke a habilitation."""
    frame = frame_of(context)
    run_act(frame, lambda acts: acts.revoke_habilitation(habilitation))
    frame.out.line(say(fr="Habilitation retirée.", en="Habilitation withdrawn."))
    frame.out.result({"habilitation": habilitation, "state": "revoked"})


def listing(context: typer.Context) -> None:
    """List habilitations."""
    frame = frame_of(context)
    show_rows(frame, run_act(frame, lambda acts: acts.listing("habilitation")))
