"""The pages of an enrolment: the code, what to sign in with, done. Pure."""

from __future__ import annotations

from html import escape

from hygie.base.errors import HygieError, Language
from hygie.oauth.pages import FOLDER, alert, button, field, key_ceremony, page

ACTION = f"{FOLDER}/enrol"


def first_page(language: Language, *, error: HygieError | None = None) -> str:
    """Who, by which code, and with what."""
    fr = language == "fr"
    body = alert(error, language)
    hint = (
        "Votre administrateur vous a remis un code d’enrôlement, qui sert une fois."
        if fr
        else "Your administrator gave you an enrolment code, which works once."
    )
    fields = field("account", "Compte" if fr else "Account", complete="username", autofocus=True)
    fields += field("code", "Code d’enrôlement" if fr else "Enrolment code", complete="off")
    fields += button("password", "Choisir un mot de passe" if fr else "Choose a password")
    fields += button("key", "Enregistrer une clé de sécurité" if fr else "Register a security key", other=True)
    return page(language, _title(fr=fr), f"{body}<p>{hint}</p>{_form(fields)}")


def password_page(language: Language, *, token: str, secret: str, address: str, error: HygieError | None = None) -> str:
    """A password, and a telephone that shows codes. secret: base32; address: ``otpauth://…``."""
    fr = language == "fr"
    grouped = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    explained = (
        "Ajoutez ce secret à l’application de codes de votre téléphone ; il ne sera plus montré."
        if fr
        else "Add this secret to your telephone's code application; it will not be shown again."
    )
    opened = "L’ouvrir dans l’application de codes" if fr else "Open it in the code application"
    body = f"{alert(error, language)}<p>{explained}</p><p><strong>{escape(grouped)}</strong></p>"
    body += f'<a class="button other" href="{escape(address)}">{opened}</a>'
    fields = f'<input type="hidden" name="enrolling" value="{escape(token)}">'
    fields += field(
        "password", "Nouveau mot de passe" if fr else "New password", kind="password", complete="new-password"
    )
    fields += field(
        "shown",
        "Code que montre le téléphone" if fr else "Code that the telephone shows",
        complete="one-time-code",
        more=' inputmode="numeric" maxlength="8"',
    )
    fields += button("set", "Enregistrer" if fr else "Save")
    return page(language, _title(fr=fr), body + _form(fields))


def key_page(language: Language, *, token: str, options: str) -> str:
    """A security key or a passkey. options: of the ceremony, JSON."""
    fr = language == "fr"
    fields = f'<input type="hidden" name="enrolling" value="{escape(token)}">'
    fields += field("label", "Nom de la clé" if fr else "Name of the key", complete="off")
    body = key_ceremony(language, action=ACTION, fields=fields, options=options, use="create")
    return page(language, _title(fr=fr), body, script="security-key.js")


def done_page(language: Language) -> str:
    """It is done."""
    fr = language == "fr"
    text = (
        "C’est enregistré. Revenez à votre application pour vous connecter."
        if fr
        else "It is registered. Go back to your application to sign in."
    )
    return page(language, _title(fr=fr), f"<p>{text}</p>")


def _title(*, fr: bool) -> str:
    return "Enrôlement" if fr else "Enrolment"


def _form(fields: str) -> str:
    return f'<form method="post" action="{ACTION}" autocomplete="on">{fields}</form>'
