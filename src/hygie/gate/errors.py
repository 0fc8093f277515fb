"""What the gate answers to those it does not admit."""

from __future__ import annotations

from hygie.base.errors import (
    HygieError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)


class AuthenticationError(HygieError):
    """No token, an unknown one, an expired or a revoked one: the same answer for all."""

    code = "HYG-260"
    http_status = 401
    exit_code = 20
    fr = "Jeton d'accès absent ou sans validité : demandez-en un à votre exploitant."
    en = "Access token missing or not valid: ask your operator for one."


class ClientRefusedError(HygieError):
    """An application that did not prove who it is at the token door; ``reason`` names what does not hold."""

    code = "HYG-262"
    http_status = 401
    exit_code = 20
    fr = "Application non authentifiée ({reason})."
    en = "Application not authenticated ({reason})."


class SignInRefusedError(HygieError):
    """A person who did not prove who he is; whatever it was, one sentence. ``reason`` is for the journal."""

    code = "HYG-267"
    http_status = 401
    exit_code = 20
    fr = (
        "Connexion refusée : vérifiez le compte, le mot de passe et le code. "
        "Après trois échecs, patientez quelques minutes."
    )
    en = "Sign-in refused: check the account, the password and the code. After three failures, wait some minutes."


class EnrolmentRefusedError(HygieError):
    """An enrolment code that is unknown, used, ended, or another account's: one answer."""

    code = "HYG-268"
    http_status = 401
    exit_code = 20
    fr = "Code d'enrôlement refusé : demandez-en un autre à votre administrateur."
    en = "Enrolment code refused: ask your administrator for another one."


class RecoveryRefusedError(RefusedError):
    """A recovery that two other administrators did not confirm together."""

    code = "HYG-266"
    fr = "Récupération refusée ({reason}) : deux administrateurs, autres que la personne, se prouvent ensemble."
    en = "Recovery refused ({reason}): two administrators, other than the person, prove themselves together."


class AlreadyEnrolledError(InvalidRequestError):
    """A person who has, or had, authenticators gets a code by proving himself, or by a recovery."""

    code = "HYG-169"
    fr = "Personne déjà enrôlée : il faut sa preuve (--proved), ou sa récupération par deux administrateurs."
    en = "Enrolled already: the person's own proof (--proved), or a recovery by two administrators, is needed."


class ProductionBlockedError(RefusedError):
    """No production where a layer is not certified: HDS v2, requirement 1."""

    code = "HYG-261"
    fr = "Mise en production de {place} refusée : {reason}. Voir hygie perimeter show."
    en = "Going live of {place} is refused: {reason}. See hygie perimeter show."


class ElsewhereError(RefusedError):
    """The request comes from a country from which this environment's data may not be reached (HDS v2, EXI 29)."""

    code = "HYG-2H0"
    fr = "Accès non admis depuis ce pays, ou pays inconnu : voyez votre interlocuteur chez l'hébergeur."
    en = "Access not allowed from this country, or country unknown: see your contact at the host."


class TooManyRefusalsError(UnavailableError):
    """An address was refused so often that it has to wait."""

    code = "HYG-460"
    http_status = 429
    fr = "Trop de tentatives refusées : patientez une minute."
    en = "Too many refused attempts: wait one minute."


class RateLimitedError(UnavailableError):
    """An account or its client asked faster than it may; ``limit``: which of both, ``retry_after_s``: until when."""

    code = "HYG-461"
    http_status = 429
    fr = "Limite de débit atteinte ({limit}) : réessayez dans {retry_after_s} s."
    en = "Rate limit reached ({limit}): try again in {retry_after_s} s."


class SignInsBusyError(UnavailableError):
    """As many passwords are being verified as the machine bears."""

    code = "HYG-462"
    fr = "Trop de connexions à la fois : réessayez dans quelques secondes."
    en = "Too many sign-ins at once: try again in a few seconds."


class AdministrationError(InvalidRequestError):
    """An administrative request that cannot be carried out as asked."""

    code = "HYG-160"
    fr = "Demande d'administration refusée : {reason}."
    en = "Administrative request refused: {reason}."


class ClientKeyError(InvalidRequestError):
    """A public key, an address of keys or a certificate that an application may not prove itself with."""

    code = "HYG-162"
    fr = "Clé d'application refusée ({reason})."
    en = "Application key refused ({reason})."


class ScopeError(InvalidRequestError):
    """Scopes that are no scopes, or none of which the application's habilitations bear out (``invalid_scope``)."""

    code = "HYG-163"
    fr = "Portées (scope) refusées : aucune n'est couverte par une habilitation, ou l'une n'est pas comprise."
    en = "Scopes refused: no habilitation bears them out, or one is not understood."


class GrantTypeError(InvalidRequestError):
    """A request for a token that is not the one of SMART Backend Services."""

    code = "HYG-164"
    fr = "Demande de jeton mal formée ({reason})."
    en = "Token request malformed ({reason})."


class PasswordRefusedError(InvalidRequestError):
    """A new password that is too easy to guess; nothing of it is repeated."""

    code = "HYG-167"
    fr = "Mot de passe refusé : {reason}."
    en = "Password refused: {reason}."


class AuthenticatorRefusedError(InvalidRequestError):
    """Something that a person cannot be enrolled with as it is."""

    code = "HYG-168"
    fr = "Authentifiant refusé ({reason})."
    en = "Authenticator refused ({reason})."


class PlatformKnownError(InvalidRequestError):
    """The platform's tables are imported into an empty database only."""

    code = "HYG-161"
    fr = "La base connaît déjà des clients : le registre de la plateforme ne s'importe que dans une base vide."
    en = "The database already knows clients: the platform's ledger is imported into an empty database only."


class PlatformLedgerAbsentError(NotFoundError):
    """A site holds no intact copy of the platform's tables."""

    code = "HYG-360"
    fr = "Le site {site} n'a pas de registre de la plateforme intact : prenez-en un autre."
    en = "The site {site} holds no intact ledger of the platform: take another one."


class PlatformLedgerBrokenError(IntegrityError):
    """What should be the platform's tables is not what was published."""

    code = "HYG-560"
    fr = "Le registre de la plateforme n'est pas intègre ({reason})."
    en = "The platform's ledger is not intact ({reason})."


class CodeRefusedError(RefusedError):
    """An authorization code that gives nothing (``invalid_grant``); ``reason`` is for the journal."""

    code = "HYG-269"
    http_status = 400
    fr = "Code d'autorisation refusé ({reason}) : recommencez la connexion."
    en = "Authorization code refused ({reason}): sign in again."


class UnjournaledUnwrapError(IntegrityError):
    """The KMS gave keys under a permit that no entry of the journal names."""

    code = "HYG-561"
    fr = (
        "{count} clés données sans trace au journal, la première à la ligne {line} du registre des clés sous le permis "
        "{permit} : prévenez la sécurité."
    )
    en = (
        "{count} keys given without a trace in the journal, the first on line {line} of the key record under permit "
        "{permit}: tell security at once."
    )


class ForgedRightsError(IntegrityError):
    """Rows of accounts, tokens or habilitations that no act of Hygie wrote as they are."""

    code = "HYG-562"
    fr = "{count} droits écrits dans la base sans acte journalisé, dont {first} : prévenez la sécurité."
    en = "{count} rights written in the database without a journaled act, {first} among them: tell security at once."


class UnwrapRecordCutError(IntegrityError):
    """The KMS's record of the keys it gave is not the one whose head the journal holds."""

    code = "HYG-563"
    fr = (
        "Le registre des clés n'est plus celui que le journal a ancré le {at} ({lines} lignes) : "
        "gardez-le comme preuve et prévenez la sécurité."
    )
    en = (
        "The key record is no longer the one that the journal anchored on {at} ({lines} lines): "
        "keep it as evidence and tell security at once."
    )


class TwoPersonsError(RefusedError):
    """An act that one person alone does not do in production."""

    code = "HYG-263"
    fr = "Il faut deux personnes : demandez-le (hygie request), qu'une autre l'approuve, puis recommencez."
    en = "This takes two persons: ask for it (hygie request), have another one approve it, then try again."


class SamePersonError(RefusedError):
    """Who asks does not answer, nor does who it is for; only who asked withdraws."""

    code = "HYG-264"
    fr = "Une demande est approuvée par une autre personne que celle qui l'a faite et que celle qui en profite."
    en = "A request is answered by somebody else than who made it and who it is for."


class RequestRefusedError(InvalidRequestError):
    """A request, or an answer to one, that does not hold as it was sent."""

    code = "HYG-165"
    fr = "Demande refusée ({reason})."
    en = "Request refused ({reason})."


class RequestOverError(InvalidRequestError):
    """A request that was answered, used, withdrawn, or that nobody answered in time."""

    code = "HYG-166"
    http_status = 409
    fr = "Cette demande n'attend plus de réponse."
    en = "This request does not wait for an answer any more."


class NotRaisedError(RefusedError):
    """An act of operations outside the time for which rights were raised: nobody is administrator for ever."""

    code = "HYG-265"
    fr = "Vos droits d'exploitation ne sont pas levés : hygie raise TICKET --reason …, puis l'accord d'un autre."
    en = "Your rights of operations are not raised: hygie raise TICKET --reason …, then somebody else's approval."
