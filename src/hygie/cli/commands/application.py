"""``hygie application``: how applications prove who they are (SMART Backend Services, mutual TLS), and where they get
people back who sign in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.acts import run_act, show_rows
from hygie.cli.errors import KeyFileError
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help=say(fr="Applications : leurs clés.", en="Applications: their keys."), no_args_is_help=True)
    example = say(fr="Exemple", en="Example")
    group.command(
        "add-key",
        help=say(
            fr="Ajoute une clé à une application : les précédentes restent valables, pour tourner sans coupure.",
            en="Add a key to an application: those before stay valid, so that keys rotate without a cut.",
        ),
        epilog=f"{example}: hygie application add-key lis --jwks lis-keys.json --days 365",
    )(add_key)
    group.command(
        "revoke-key",
        help=say(
            fr="Retire une clé ou une adresse, et met fin aux sessions qu'une clé a ouvertes.",
            en="Withdraw a key or an address, and end the sessions that a key opened.",
        ),
        epilog=f"{example}: hygie application revoke-key 3f2a…",
    )(revoke_key)
    group.command(
        "add-redirect",
        help=say(
            fr="Déclare une adresse où l'application reçoit qui se connecte, comparée au caractère près.",
            en="Register an address where the application gets people back who sign in, compared to the letter.",
        ),
        epilog=f"{example}: hygie application add-redirect dpi https://dpi.chu.example/callback",
    )(add_redirect)
    group.command("list-keys", help=say(fr="Liste les clés et les adresses.", en="List keys and addresses."))(list_keys)
    app.add_typer(group, name="application")


def add_key(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help=say(fr="Compte de l'application.", en="The application's account."))],
    jwks: Annotated[
        Path | None,
        typer.Option(help=say(fr="Fichier de clés publiques (JWK Set).", en="File of public keys (JWK Set).")),
    ] = None,
    jwks_url: Annotated[
        str | None, typer.Option(help=say(fr="Adresse https de ces clés.", en="https address of these keys."))
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help=say(fr="Certificat client (PEM).", en="Client certificate (PEM)."))
    ] = None,
    days: Annotated[int, typer.Option(help=say(fr="Jours avant sa fin.", en="Days until it ends."))] = 365,
) -> None:
    """Add a key."""
    from hygie.gate.clients import CERTIFICATE, JWKS, JWKS_URL, certificate_print

    frame = frame_of(context)
    if sum(one is not None for one in (jwks, jwks_url, certificate)) != 1:
        raise KeyFileError()
    if certificate is not None:
        kind, value = CERTIFICATE, certificate_print(_read(certificate))
    elif jwks is not None:
        kind, value = JWKS, _read(jwks).decode("utf-8", "replace")
    else:
        kind, value = JWKS_URL, str(jwks_url)
    id_ = run_act(frame, lambda acts: acts.add_client_key(account, kind=kind, value=value, days=days))
    frame.out.line(say(fr=f"Clé {id_} ajoutée à {account}.", en=f"Key {id_} added to {account}."))
    frame.out.result({"key": id_, "kind": kind})


def add_redirect(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help=say(fr="Compte de l'application.", en="The application's account."))],
    address: Annotated[
        str,
        typer.Argument(help=say(fr="https://…, ou http:// sur 127.0.0.1.", en="https://…, or http:// on 127.0.0.1.")),
    ],
    public: Annotated[
        bool,
        typer.Option(
            "--public",
            help=say(
                fr="L'application n'a pas de clé (navigateur, téléphone) : PKCE seul la lie au code.",
                en="The application has no key (browser, telephone): PKCE alone binds it to the code.",
            ),
        ),
    ] = False,
    days: Annotated[int, typer.Option(help=say(fr="Jours avant sa fin.", en="Days until it ends."))] = 365,
) -> None:
    """Register an address."""
    from hygie.gate.clients import REDIRECT, REDIRECT_PUBLIC

    frame = frame_of(context)
    kind = REDIRECT_PUBLIC if public else REDIRECT
    id_ = run_act(frame, lambda acts: acts.add_client_key(account, kind=kind, value=address, days=days))
    frame.out.line(say(fr=f"Adresse {id_} déclarée pour {account}.", en=f"Address {id_} registered for {account}."))
    frame.out.result({"key": id_, "kind": kind})


def _read(path: Path) -> bytes:
    from hygie.gate.clients import JWKS_BYTES_MAX

    try:
        with path.open("rb") as file:
            return file.read(JWKS_BYTES_MAX + 1)
    except OSError as error:
        raise KeyFileError() from error


def revoke_key(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help=say(fr="Son identifiant (voir list-keys).", en="Its id (see list-keys)."))],
) -> None:
    """Revoke a key."""
    frame = frame_of(context)
    run_act(frame, lambda acts: acts.revoke_client_key(key))
    frame.out.line(say(fr="Clé retirée.", en="Key withdrawn."))
    frame.out.result({"key": key, "state": "revoked"})


def list_keys(context: typer.Context) -> None:
    """List keys."""
    frame = frame_of(context)
    show_rows(frame, run_act(frame, lambda acts: acts.listing("client_key")))
