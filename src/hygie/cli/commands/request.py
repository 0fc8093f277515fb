"""``hygie request``: what takes two persons, asked for from this machine; ``hygie raise`` asks for one's own rights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.actions import Action
from hygie.base.errors import InvalidRequestError
from hygie.base.language import say
from hygie.cli.acts import operator_name, run_custody, show_rows
from hygie.cli.commands.person import shown_by
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.base.permit import Place
    from hygie.custody import Custody
    from hygie.gate.people_administration import PeopleAdministration
    from hygie.gate.requests import Request

# What the machine's own people ask for; a client's people ask at the door of rights, or prove themselves here.
OURS = (Action.KEY_ROTATE, Action.RETENTION_SET, Action.TENANT_DESTROY)
THEIRS = (Action.HABILITATION_GRANT, Action.OBJECT_EXPORT, Action.PATIENT_ERASE)
_PAIRS = say(fr="Ce qui est demandé, NOM=VALEUR ; à répéter.", en="What is asked for, NAME=VALUE; repeat it.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(fr="Ce qui demande deux personnes.", en="What takes two persons."), no_args_is_help=True
    )
    example = say(fr="Exemple", en="Example")
    group.command(
        "ask",
        help=say(
            fr="Demande un acte qu'une autre personne approuve. Sans --as, ceux de l'hébergeur : key:rotate,"
            " retention:set, tenant:destroy ; avec --as, la personne s'authentifie ici, mot de passe et code.",
            en="Ask for an act that somebody else approves. Without --as, those of the host: key:rotate,"
            " retention:set, tenant:destroy; with --as, the person proves himself here, by password and code.",
        ),
        epilog=f"{example}: hygie request ask key:rotate --what level=root --reason 'clé exposée, ticket 42'",
    )(ask)
    group.command("list", help=say(fr="Demandes d'un lieu.", en="Requests of a place."))(listing)
    group.command("withdraw", help=say(fr="Retire sa demande.", en="Withdraw one's request."))(withdraw)
    for verb, fr, en in (("approve", "Approuve", "Approve"), ("refuse", "Refuse", "Refuse")):
        group.command(
            verb,
            help=say(
                fr=f"{fr} la demande d'un autre : la personne s'authentifie ici, mot de passe et code.",
                en=f"{en} another's request: the person proves himself here, by password and code.",
            ),
            epilog=f"{example}: hygie request {verb} 3f2a… --as sara",
        )(_answering(verb))
    app.add_typer(group, name="request")
    app.command(
        "raise",
        help=say(
            fr="Lève vos droits d'exploitation pour un ticket et une durée, une fois qu'un autre a approuvé."
            " --emergency : aussitôt, une heure au plus, et quelqu'un en répond sous 72 heures.",
            en="Raise your rights of operations for a ticket and a time, once somebody else approved."
            " --emergency: at once, for an hour at most, and somebody answers for it within 72 hours.",
        ),
        epilog=f"{example}: hygie raise INT-2026-0007 --minutes 60 --reason 'changement de disque'",
    )(raise_)


def ask(
    context: typer.Context,
    act: Annotated[str, typer.Argument(help=", ".join((*THEIRS, *OURS)))],
    reason: Annotated[str, typer.Option(help=say(fr="Motif.", en="Why."))],
    tenant: Annotated[str, typer.Argument(help="Client.")] = "hygie",
    environment: Annotated[str, typer.Argument(help=say(fr="Environnement.", en="Environment."))] = "platform",
    what: Annotated[list[str] | None, typer.Option(help=_PAIRS)] = None,
    subject: Annotated[str, typer.Option(help=say(fr="Ce qui ne se dit pas : Patient/…", en="What is not told."))] = "",
    who: Annotated[str, typer.Option("--as", help=say(fr="Le compte qui demande.", en="The account that asks."))] = "",
) -> None:
    """Ask for an act."""
    wanted = next((one for one in (*THEIRS, *OURS) if one == act), None)
    if wanted is None or (not who and wanted not in OURS):
        raise InvalidRequestError(reason=", ".join((*THEIRS, *OURS) if who else OURS))
    frame = frame_of(context)
    shown = shown_by(who) if who else None
    told = _pairs(what or [])

    async def main(custody: Custody, acts: PeopleAdministration) -> Request:
        from hygie.app import requests_of
        from hygie.gate.asked import check_habilitation
        from hygie.gate.requests import ASKING

        place = await acts.place(tenant, environment)
        if shown is not None:
            permit = await acts.permit(shown, ASKING[wanted], place)
        else:
            permit = custody.operator.permit(wanted, place)
        if wanted is Action.HABILITATION_GRANT:
            check_habilitation(told, place, permit.account)
        requests = requests_of(custody.house, custody.owner, custody.journal)
        return await requests.ask(permit, wanted, told, reason=reason, subject=subject)

    _tell(frame, run_custody(frame, main))


def raise_(
    context: typer.Context,
    ticket: Annotated[str, typer.Argument(help=say(fr="Ticket de l'intervention.", en="The intervention's ticket."))],
    reason: Annotated[str, typer.Option(help=say(fr="Motif.", en="Why."))],
    minutes: Annotated[int, typer.Option(min=1, max=480, help="Minutes.")] = 60,
    emergency: Annotated[bool, typer.Option(help=say(fr="Sans attendre.", en="Without waiting."))] = False,
) -> None:
    """Ask for one's own rights of operations."""
    frame = frame_of(context)
    what = {"account": operator_name(), "ticket": ticket, "minutes": str(minutes)}
    what |= {"emergency": "yes"} if emergency else {}

    async def main(custody: Custody, _: PeopleAdministration) -> Request:
        from hygie.app import requests_of
        from hygie.gate.everywhere import EVERYWHERE

        requests = requests_of(custody.house, custody.owner, custody.journal)
        permit = custody.operator.permit(Action.RIGHT_RAISE, EVERYWHERE)
        return await requests.ask(permit, Action.RIGHT_RAISE, what, reason=reason)

    _tell(frame, run_custody(frame, main))


def _tell(frame: Frame, made: Request) -> None:
    frame.out.line(
        say(
            fr=f"Demande {made.id} : elle attend la réponse d'une autre personne.",
            en=f"Request {made.id}: it waits for somebody else's answer.",
        )
    )
    frame.out.result({"request": made.id, "act": made.act.value, "what": dict(made.what)})


def listing(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")] = "hygie",
    environment: Annotated[str, typer.Argument(help=say(fr="Environnement.", en="Environment."))] = "platform",
) -> None:
    """List the requests of a place."""
    frame = frame_of(context)

    async def main(custody: Custody, acts: PeopleAdministration) -> list[dict[str, Any]]:
        from hygie.app import requests_of

        place: Place = await acts.place(tenant, environment)
        now_ms = custody.house.clock.now_ms()
        found = await requests_of(custody.house, custody.owner, custody.journal).listing(place)
        return [_row(one, now_ms) for one in found]

    show_rows(frame, run_custody(frame, main))


def _row(one: Request, now_ms: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "act": one.act.value,
        "what": ", ".join(f"{name}={value}" for name, value in one.what.items()),
        "reason": one.reason,
        "asked_by": one.asked_by,
        "asked_ms": one.asked_ms,
        "state": one.state(now_ms),
        "decided_by": one.decision.by if one.decision is not None else "",
    }


def withdraw(
    context: typer.Context,
    request: Annotated[str, typer.Argument(help=say(fr="Son numéro (voir list).", en="Its id (see list)."))],
) -> None:
    """Withdraw one's own request."""
    frame = frame_of(context)

    async def main(custody: Custody, _: PeopleAdministration) -> None:
        from hygie.app import requests_of
        from hygie.gate.everywhere import EVERYWHERE
        from hygie.gate.requests import WITHDRAWN

        permit = custody.operator.permit(Action.APPROVAL_WITHDRAW, EVERYWHERE)
        await requests_of(custody.house, custody.owner, custody.journal).decide(permit, request, WITHDRAWN)

    run_custody(frame, main)
    frame.out.line(say(fr="Demande retirée.", en="Request withdrawn."))
    frame.out.result({"request": request, "state": "withdrawn"})


def _pairs(given: list[str]) -> dict[str, str]:
    """Raises: InvalidRequestError: one is no NAME=VALUE."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise InvalidRequestError(reason="--what NAME=VALUE")
        found[name] = value
    return found


def _answering(verb: str) -> Callable[..., None]:
    """The command that answers so."""

    def answer(
        context: typer.Context,
        request: Annotated[str, typer.Argument(help=say(fr="Son numéro (voir list).", en="Its id (see list)."))],
        who: Annotated[str, typer.Option("--as", help=say(fr="Le compte qui répond.", en="The account that answers."))],
        tenant: Annotated[str, typer.Argument(help="Client.")] = "hygie",
        environment: Annotated[str, typer.Argument(help=say(fr="Environnement.", en="Environment."))] = "platform",
        why: Annotated[str, typer.Option(help=say(fr="Pourquoi.", en="Why."))] = "",
        subject: Annotated[
            str, typer.Option(help=say(fr="Ce que la demande ne dit pas : Patient/…", en="What it does not tell."))
        ] = "",
    ) -> None:
        from hygie.gate.requests import ANSWERING, APPROVED, REFUSED

        frame = frame_of(context)
        shown = shown_by(who)
        verdict = APPROVED if verb == "approve" else REFUSED

        async def main(custody: Custody, acts: PeopleAdministration) -> None:
            from hygie.app import requests_of

            requests = requests_of(custody.house, custody.owner, custody.journal)
            place = await acts.place(tenant, environment)
            found = await requests.find(place, request)
            permit = await acts.permit(shown, ANSWERING[found.act], place)
            await requests.decide(permit, request, verdict, why=why, subject=subject)

        run_custody(frame, main)
        frame.out.line(say(fr="Réponse enregistrée.", en="Answer recorded."))
        frame.out.result({"request": request, "verdict": verdict, "by": who})

    return answer
