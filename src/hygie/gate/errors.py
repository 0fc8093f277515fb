"""What the gate answers to those it does not admit."""

from __future__ import annotations

from hygie.base.errors import HygieError, InvalidRequestError, UnavailableError


class AuthenticationError(HygieError):
    """No token, an unknown one, an expired or a revoked one: the same answer for all."""

    code = "HYG-260"
    http_status = 401
    exit_code = 20
    fr = "Jeton d'accès absent ou sans validité : demandez-en un à votre exploitant."
    en = "Access token missing or not valid: ask your operator for one."


class TooManyRefusalsError(UnavailableError):
    """An address was refused so often that it has to wait."""

    code = "HYG-460"
    http_status = 429
    fr = "Trop de tentatives refusées : patientez une minute."
    en = "Too many refused attempts: wait one minute."


class AdministrationError(InvalidRequestError):
    """An administrative request that cannot be carried out as asked."""

    code = "HYG-160"
    fr = "Demande d'administration refusée : {reason}."
    en = "Administrative request refused: {reason}."
