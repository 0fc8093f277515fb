"""``hygie person``: how people prove who they are: codes delivered, activation, identities, withdrawal, recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import say
from hygie.cli.acts import operator_name, run_act, show_rows
from hygie.cli.frame import Frame, frame_of
from hygie.cli.secret import asked

if TYPE_CHECKING:
    from hygie.gate.people_administration import Delivery, Shown


def register(app: typer.Typer) -> None:
    """Add the command."""
    about = say(fr="Personnes : ce par quoi elles se prouvent.", en="People: what they prove themselves with.")
    group = typer.Typer(help=about, no_args_is_help=True)
    example = say(fr="Exemple", en="Example")
    texts: dict[Any, tuple[str, str, str]] = {
        enrol: (
            "Donne un code d'enrôlement, montré une seule fois. Qui est déjà enrôlé se prouve (--proved).",
            "Give an enrolment code, shown once. Who is enrolled already proves himself (--proved).",
            "enrol marie.durand --how 'en main propre'",
        ),
        activate: (
            "La personne, avec son code, choisit un mot de passe et enregistre son téléphone (TOTP).",
            "The person, with the code, chooses a password and registers a telephone (TOTP).",
            "activate marie.durand",
        ),
        link: (
            "Lie un compte à une identité d'un fournisseur (OpenID Connect).",
            "Link an account to an identity of a provider (OpenID Connect).",
            "link marie.durand https://auth.example/realms/chu 7f1c…",
        ),
        revoke: (
            "Retire un authentifiant, et met fin aux sessions qu'il a ouvertes.",
            "Withdraw an authenticator, and end the sessions that it opened.",
            "revoke 3f2a…",
        ),
        recover: (
            "Récupère une personne qui a perdu ses authentifiants : deux administrateurs se prouvent, ensemble.",
            "Recover a person who lost his authenticators: two administrators prove themselves, together.",
            "recover marie.durand --reason 'téléphone volé' --by ada --by bob --how 'en main propre'",
        ),
        end_sessions: (
            "Met fin à toutes les sessions d'une personne, aussitôt et partout.",
            "End all sessions of a person, at once and everywhere.",
            "end-sessions marie.durand",
        ),
    }
    for command, (fr, en, line) in texts.items():
        group.command(
            command.__name__.replace("_", "-"), help=say(fr=fr, en=en), epilog=f"{example}: hygie person {line}"
        )(command)
    group.command("list", help=say(fr="Liste les authentifiants.", en="List authenticators."))(listing)
    group.command("sessions", help=say(fr="Liste les sessions en cours.", en="List sessions under way."))(sessions)
    app.add_typer(group, name="person")


def _lines() -> str:
    return say(fr="une ligne par secret sur l'entrée standard", en="one secret a line on the standard input")


def _account() -> Any:
    return typer.Argument(help=say(fr="Compte de la personne.", en="The person's account."))


def _how() -> Any:
    text = say(fr="Comment cela est remis à la personne.", en="In what way it is delivered to the person.")
    return typer.Option(help=text)


def _delivered_by() -> Any:
    return typer.Option(help=say(fr="Qui le remet ; vous, par défaut.", en="Who delivers it; you, by default."))


def _hours() -> Any:
    return typer.Option(help=say(fr="Heures avant la fin du code.", en="Hours until the code ends."))


def _proved() -> Any:
    text = say(
        fr="La personne se prouve ici : mot de passe, code.", en="The person proves himself here: password, code."
    )
    return typer.Option("--proved", help=text)


def enrol(
    context: typer.Context,
    account: Annotated[str, _account()],
    how: Annotated[str, _how()],
    delivered_by: Annotated[str, _delivered_by()] = "",
    hours: Annotated[int, _hours()] = 24,
    proved: Annotated[bool, _proved()] = False,
) -> None:
    """Make an enrolment code."""
    frame = frame_of(context)
    proof = shown_by(account) if proved else None
    code = run_act(frame, lambda acts: acts.enrol(account, _delivery(how, delivered_by), hours=hours, proof=proof))
    _tell_code(frame, account, code, hours)


def activate(context: typer.Context, account: Annotated[str, _account()]) -> None:
    """Take a password and a TOTP secret."""
    from hygie.gate.enrolment import Chosen
    from hygie.gate.totp import address_of, new_secret, typed_form

    frame = frame_of(context)
    code = asked(say(fr="Code d'enrôlement", en="Enrolment code"), _lines(), hidden=False)
    password = asked(say(fr="Nouveau mot de passe", en="New password"), _lines(), twice=True)
    secret = new_secret()
    for line in (
        say(fr="Enregistrez ce secret dans votre téléphone :", en="Register this secret in your telephone:"),
        typed_form(secret),
        address_of(secret, account),
    ):
        typer.echo(line, err=True)
    shown = asked(say(fr="Code que montre le téléphone", en="Code that the telephone shows"), _lines(), hidden=False)
    run_act(frame, lambda acts: acts.activate(account, code, Chosen(password, secret, shown)))
    frame.out.line(say(fr=f"{account} peut se connecter.", en=f"{account} can sign in."))
    frame.out.result({"account": account, "kinds": ["password", "totp"]})


def link(
    context: typer.Context,
    account: Annotated[str, _account()],
    issuer: Annotated[str, typer.Argument(help=say(fr="Adresse du fournisseur.", en="The provider's address."))],
    subject: Annotated[str, typer.Argument(help=say(fr="Identifiant (sub) chez lui.", en="Identifier (sub) there."))],
    how: Annotated[str, _how()],
    delivered_by: Annotated[str, _delivered_by()] = "",
    proved: Annotated[bool, _proved()] = False,
) -> None:
    """Link an identity."""
    frame = frame_of(context)
    proof = shown_by(account) if proved else None
    delivery = _delivery(how, delivered_by)
    id_ = run_act(frame, lambda acts: acts.link(account, issuer, subject, delivery, proof=proof))
    frame.out.line(say(fr=f"Identité liée à {account} ({id_}).", en=f"Identity linked to {account} ({id_})."))
    frame.out.result({"account": account, "authenticator": id_})


def revoke(
    context: typer.Context,
    authenticator: Annotated[str, typer.Argument(help=say(fr="Son identifiant (voir list).", en="Its id (see list)."))],
) -> None:
    """Withdraw an authenticator."""
    frame = frame_of(context)
    run_act(frame, lambda acts: acts.revoke_authenticator(authenticator))
    frame.out.line(say(fr="Authentifiant retiré.", en="Authenticator withdrawn."))
    frame.out.result({"authenticator": authenticator, "state": "revoked"})


def recover(
    context: typer.Context,
    account: Annotated[str, _account()],
    reason: Annotated[str, typer.Option(help=say(fr="Pourquoi.", en="Why."))],
    by: Annotated[
        list[str],
        typer.Option(help=say(fr="Un administrateur (deux fois).", en="An administrator (twice).")),
    ],
    how: Annotated[str, _how()],
    delivered_by: Annotated[str, _delivered_by()] = "",
    hours: Annotated[int, _hours()] = 24,
) -> None:
    """Recover a person, by two administrators."""
    frame = frame_of(context)
    administrators = [shown_by(one) for one in by]
    delivery = _delivery(how, delivered_by)
    code = run_act(frame, lambda acts: acts.recover(account, reason, administrators, delivery, hours=hours))
    _tell_code(frame, account, code, hours)


def end_sessions(context: typer.Context, account: Annotated[str, _account()]) -> None:
    """End all sessions of a person."""
    frame = frame_of(context)
    run_act(frame, lambda acts: acts.end_sessions(account))
    frame.out.line(say(fr=f"Sessions de {account} terminées.", en=f"Sessions of {account} ended."))
    frame.out.result({"account": account, "sessions": "ended"})


def sessions(context: typer.Context) -> None:
    """List sessions under way."""
    frame = frame_of(context)
    show_rows(frame, run_act(frame, lambda acts: acts.listing("person_session")))


def listing(context: typer.Context) -> None:
    """List authenticators."""
    frame = frame_of(context)
    show_rows(frame, run_act(frame, lambda acts: acts.listing("authenticator")))


def _delivery(how: str, by: str) -> Delivery:
    from hygie.gate.people_administration import Delivery

    return Delivery(how, by or operator_name())


def shown_by(account: str) -> Shown:
    """What somebody types to prove himself, at this terminal."""
    from hygie.gate.people_administration import Shown

    password = asked(say(fr=f"Mot de passe de {account}", en=f"Password of {account}"), _lines())
    return Shown(
        account, password, asked(say(fr=f"Code de {account}", en=f"Code of {account}"), _lines(), hidden=False)
    )


def _tell_code(frame: Frame, account: str, code: str, hours: int) -> None:
    told = say(
        fr=f"Code d'enrôlement de {account}, à remettre maintenant, valable {hours} h :",
        en=f"Enrolment code of {account}, to be delivered now, good for {hours} h:",
    )
    frame.out.line(told)
    frame.out.line(code)
    frame.out.result({"account": account, "code": code, "hours": hours})
