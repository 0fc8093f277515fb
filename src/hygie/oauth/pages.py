"""The pages that people see when they sign in: made here, in French or English, without anything from elsewhere. Pure.

Every text is escaped; no style and no script stands in a page, so that the policy of content allows none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib import resources
from typing import Final
from urllib.parse import urlencode

from hygie.base.errors import HygieError, Language

ASSETS: Final[Mapping[str, bytes]] = {
    "style.css": b"text/css; charset=utf-8",
    "security-key.js": b"text/javascript; charset=utf-8",
}
FOLDER = "/sign-in"  # of the assets, and of the ways back from providers
SESSIONS_SHOWN_MAX = 20
_HOW: Final[Mapping[Language, Mapping[str, str]]] = {
    "fr": {"password+totp": "mot de passe et code", "webauthn": "clé de sécurité"},
    "en": {"password+totp": "password and code", "webauthn": "security key"},
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody signs in. path: ``/tenant/environment/oauth2``; application: as its account is labelled;
    environment: ``tenant/environment``; token: the sealed sign-in that each form carries."""

    path: str
    application: str
    environment: str
    token: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One session under way, as its owner is told of it."""

    application: str
    environment: str
    opened_ms: int
    until_ms: int


@cache
def asset(name: str) -> bytes:
    """One of ``ASSETS``."""
    return resources.files("hygie.oauth").joinpath("assets", name).read_bytes()


def sign_in_page(
    place: Place, language: Language, *, providers: Sequence[tuple[str, str]], error: HygieError | None, account: str
) -> str:
    """The first page: account, password and code; or a security key; or one of the providers, (name, label) each."""
    fr = language == "fr"
    fields = field("account", "Compte" if fr else "Account", value=account, complete="username", autofocus=True)
    fields += field("password", "Mot de passe" if fr else "Password", kind="password", complete="current-password")
    fields += field(
        "code",
        "Code à usage unique" if fr else "One-time code",
        complete="one-time-code",
        more=' inputmode="numeric" maxlength="8"',
    )
    fields += button("password", "Se connecter" if fr else "Sign in")
    fields += f"<p class=soft>{'ou, sans mot de passe :' if fr else 'or, without a password:'}</p>"
    fields += button("key", "Avec une clé de sécurité" if fr else "With a security key", other=True)
    body = _form(place, fields)
    if providers:
        body += f"<hr><h2>{'Par un fournisseur d’identité' if fr else 'Through an identity provider'}</h2>"
        for name, label in providers:  # a link: the policy of content would hold a form back on its way to the provider
            query = escape(urlencode({"provider": name, "sign_in": place.token}))
            body += f'<a class="button other" href="{escape(place.path)}/sign-in?{query}">{escape(label)}</a>'
    return page(language, "Connexion" if fr else "Sign in", _towards(place, fr=fr) + alert(error, language) + body)


def key_page(place: Place, language: Language, *, options: str) -> str:
    """The page that asks for a security key. options: of the ceremony, JSON."""
    fr = language == "fr"
    token = f'<input type="hidden" name="sign_in" value="{escape(place.token)}">'
    body = _towards(place, fr=fr)
    body += key_ceremony(language, action=f"{place.path}/sign-in", fields=token, options=options, use="get")
    body += _form(place, button("again", "Revenir" if fr else "Back", other=True))
    return page(language, "Clé de sécurité" if fr else "Security key", body, script="security-key.js")


def key_ceremony(language: Language, *, action: str, fields: str, options: str, use: str) -> str:
    """The form that our script fills with what a security key signed. use: ``get`` or ``create``."""
    fr = language == "fr"
    present = (
        "Présentez votre clé de sécurité quand le navigateur la demande."
        if fr
        else "Present your security key when the browser asks for it."
    )
    failed = "La clé n’a pas répondu : réessayez." if fr else "The key did not answer: try again."
    ask = "Utiliser la clé" if fr else "Use the key"
    return (
        f'<p>{present}</p><p class=alert role=alert id="failed" hidden>{failed}</p>'
        f'<form method="post" action="{escape(action)}" id="ceremony" data-use="{use}" '
        f'data-options="{escape(options)}">{fields}<input type="hidden" name="credential" id="credential">'
        f'<input type="hidden" name="step" value="credential"><button type="button" id="ask">{ask}</button></form>'
    )


def confirm_page(place: Place, language: Language, *, account: str, how: str, sessions: Sequence[Shown]) -> str:
    """What is about to happen, before it happens: which application acts as whom, where."""
    fr = language == "fr"
    body = "<dl>" + _pair("Application", place.application) + _pair("Compte" if fr else "Account", account)
    body += _pair("Environnement" if fr else "Environment", place.environment)
    body += _pair("Preuve" if fr else "Proof", _HOW[language].get(how, how)) + "</dl>"
    note = (
        "L’application pourra faire en votre nom ce que vos habilitations permettent, rien de plus ; chaque accès est "
        "journalisé."
        if fr
        else "The application may do in your name what your rights allow, nothing more; each access is recorded."
    )
    body += f"<p class=soft>{escape(note)}</p>"
    fields = button("continue", "Continuer" if fr else "Continue")
    fields += button(
        "cancel", "Ce n’est pas moi, ou pas cette application" if fr else "Not me, or not this one", other=True
    )
    body += _form(place, fields)
    if sessions:
        body += f"<hr><h2>{'Vos sessions en cours' if fr else 'Your sessions under way'}</h2>"
        body += "<ul>" + "".join(f"<li>{escape(_told(one))}</li>" for one in sessions[:SESSIONS_SHOWN_MAX]) + "</ul>"
        body += _form(place, button("end", "Mettre fin à toutes" if fr else "End all of them", other=True))
    title = "Vous allez entrer dans cette application" if fr else "You are signing in to this application"
    return page(language, title, body)


def error_page(error: HygieError, language: Language) -> str:
    """What stopped a sign-in, with its stable code."""
    fr = language == "fr"
    body = alert(error, language)
    hint = "Revenez à l’application pour recommencer." if fr else "Go back to the application to start again."
    return page(language, "Connexion impossible" if fr else "Sign-in not possible", body + f"<p>{hint}</p>")


def page(language: Language, title: str, body: str, *, script: str = "") -> str:
    """A whole page. body: made here, escaped; script: one of ``ASSETS``, or none."""
    more = f'<script src="{FOLDER}/{script}" defer></script>' if script else ""
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)} · Hygie</title>'
        f'<link rel="stylesheet" href="{FOLDER}/style.css">{more}</head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def _towards(place: Place, *, fr: bool) -> str:
    sentence = ("Pour entrer dans {}, environnement {}." if fr else "To enter {}, environment {}.").split("{}")
    return (
        f"<p>{sentence[0]}<strong>{escape(place.application)}</strong>{sentence[1]}"
        f"<strong>{escape(place.environment)}</strong>{sentence[2]}</p>"
    )


def _form(place: Place, fields: str) -> str:
    token = f'<input type="hidden" name="sign_in" value="{escape(place.token)}">'
    return f'<form method="post" action="{escape(place.path)}/sign-in" autocomplete="on">{token}{fields}</form>'


def field(
    name: str,
    label: str,
    *,
    value: str = "",
    kind: str = "text",
    complete: str,
    autofocus: bool = False,
    more: str = "",
) -> str:
    """A field with its label. complete: what the browser may fill in; more: attributes, made here."""
    focus = " autofocus" if autofocus and not value else ""
    return (
        f'<label for="{name}">{escape(label)}</label><input type="{kind}" id="{name}" name="{name}" '
        f'value="{escape(value)}" autocomplete="{complete}" autocapitalize="none" spellcheck="false"{focus}{more}>'
    )


def button(step: str, label: str, *, other: bool = False) -> str:
    """A button that asks for a step. other: not the first choice."""
    return f'<button name="step" value="{step}"{" class=other" if other else ""}>{escape(label)}</button>'


def alert(error: HygieError | None, language: Language) -> str:
    """What went wrong, or nothing."""
    if error is None:
        return ""
    return f"<p class=alert role=alert>{escape(error.sentence(language))} <small>({error.code})</small></p>"


def _pair(name: str, value: str) -> str:
    return f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"


def _told(one: Shown) -> str:
    hours = " – ".join(_hour(at_ms) for at_ms in (one.opened_ms, one.until_ms))
    return f"{one.application}, {one.environment}, {hours} UTC"


def _hour(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M")


def csp(form_targets: Iterable[str] = ()) -> bytes:
    """The policy of content: our own style and script, forms to ourselves and to where an answer sends them on."""
    targets = " ".join(["'self'", *form_targets])
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {targets}"
    ).encode()
