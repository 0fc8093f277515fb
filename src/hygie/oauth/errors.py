"""What the OAuth faces themselves answer."""

from __future__ import annotations

import logging

from hygie.base.errors import HygieError, InvalidRequestError, NotFoundError, RefusedError, UnavailableError
from hygie.base.incidents import numbered

_log = logging.getLogger("hygie.oauth")


class NoSuchDoorError(NotFoundError):
    """The path names no door of this face."""

    code = "HYG-3F0"
    fr = "Cette adresse ne désigne rien."
    en = "This address names nothing."


class PostOnlyError(NotFoundError):
    """The verb does not apply; ``allow`` names those that do."""

    code = "HYG-3F1"
    http_status = 405
    fr = "Cette méthode ne s'applique pas ici (possibles : {allow})."
    en = "This method does not apply here (possible: {allow})."


class GrantUnknownError(InvalidRequestError):
    """A grant type that this door does not know (``unsupported_grant_type``)."""

    code = "HYG-1F2"
    fr = "Type de demande de jeton inconnu : client_credentials ou authorization_code."
    en = "Unknown grant type: client_credentials or authorization_code."


class TokenKindError(InvalidRequestError):
    """A stored token shown to be revoked: only its operator ends it (``unsupported_token_type``)."""

    code = "HYG-1F3"
    fr = "Ce jeton ne se révoque pas ici : demandez-le à votre exploitant (hygie token revoke)."
    en = "This token is not revoked here: ask your operator (hygie token revoke)."


class TokenFaceError(HygieError):
    """An accident: its number is in the log, and nothing else about it anywhere."""

    code = "HYG-5F0"
    http_status = 500
    exit_code = 50
    fr = "Incident {incident} : signalez ce numéro à votre exploitant."
    en = "Incident {incident}: tell your operator this number."


def incident(error: Exception) -> TokenFaceError:
    """Log an accident by its type and its line, and make what the client is told."""
    return TokenFaceError(incident=numbered(_log, error))


class ProviderUnavailableError(UnavailableError):
    """An identity provider that does not answer, or not as OpenID Connect says; ``reason`` names what."""

    code = "HYG-4F0"
    fr = "Le fournisseur d'identité ne répond pas ({reason}) : réessayez, ou connectez-vous autrement."
    en = "The identity provider does not answer ({reason}): try again, or sign in another way."


class IdentityRefusedError(RefusedError):
    """What an identity provider said of a person does not hold; ``reason`` names what, never its value."""

    code = "HYG-2F0"
    fr = "La réponse du fournisseur d'identité n'a pas été acceptée ({reason})."
    en = "The answer of the identity provider was not accepted ({reason})."


class UnknownIdentityError(RefusedError):
    """Somebody whom an identity provider knows, and whom no open account here is linked to."""

    code = "HYG-2F1"
    fr = "Aucun compte d'ici n'est lié à cette identité : demandez-le à votre administrateur."
    en = "No account here is linked to this identity: ask your administrator."


class SignInLostError(InvalidRequestError):
    """A sign-in that is too old, was begun in another browser, or was altered: one answer for all."""

    code = "HYG-1F0"
    fr = "Cette connexion n'a plus cours : revenez à votre application et recommencez."
    en = "This sign-in is no longer under way: go back to your application and start again."


class SignInRequestError(InvalidRequestError):
    """An application that sent somebody here with a request that cannot be answered to it; ``reason`` names what."""

    code = "HYG-1F1"
    fr = "L'application a envoyé une demande de connexion que Hygie ne peut pas suivre ({reason})."
    en = "The application sent a sign-in request that Hygie cannot follow ({reason})."
