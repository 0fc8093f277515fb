"""What the FHIR face itself answers when a request does not have the form the protocol asks for."""

from __future__ import annotations

import logging
import secrets

from hygie.base.errors import HygieError, InvalidRequestError, NotFoundError, UnavailableError

FACE_ROOM = "7"  # the room digit of the face's own error codes: those that no other room has journaled

_log = logging.getLogger("hygie.fhir")


class NoSuchRouteError(NotFoundError):
    """The path names nothing this face serves. The tenant's and the environment's existence is not told."""

    code = "HYG-370"
    fr = "Cette adresse ne désigne rien."
    en = "This address names nothing."


class MethodNotAllowedError(NotFoundError):
    """The path exists, the verb does not apply to it; ``allow`` names those that do."""

    code = "HYG-371"
    http_status = 405
    fr = "Cette méthode ne s'applique pas ici (possibles : {allow})."
    en = "This method does not apply here (possible: {allow})."


class NotAcceptableError(NotFoundError):
    """The client asks for something else than JSON, or another FHIR version."""

    code = "HYG-372"
    http_status = 406
    fr = "Seul FHIR R4 en JSON est servi (application/fhir+json)."
    en = "Only FHIR R4 as JSON is served (application/fhir+json)."


class RangeError(NotFoundError):
    """The range of bytes is outside the content."""

    code = "HYG-373"
    http_status = 416
    fr = "L'intervalle demandé est hors du contenu ({size_bytes} octets)."
    en = "The range asked for is outside the content ({size_bytes} bytes)."


class UnsupportedMediaError(NotFoundError):
    """The body is in a format or an encoding the face does not read."""

    code = "HYG-374"
    http_status = 415
    fr = "Ce format de contenu n'est pas lu ici : envoyez application/fhir+json (UTF-8, gzip permis)."
    en = "This content format is not read here: send application/fhir+json (UTF-8, gzip allowed)."


class BodyError(InvalidRequestError):
    """A body, a header or an entry of a bundle is not what the interaction needs; ``reason`` is one of ours."""

    code = "HYG-174"


class BodyTooLargeError(NotFoundError):
    """A body is over its limit, as sent or once decompressed."""

    code = "HYG-375"
    http_status = 413
    fr = "Le contenu dépasse la limite de {limit_bytes} octets, ou se décompresse anormalement."
    en = "The content is over the limit of {limit_bytes} bytes, or decompresses abnormally."


class BodiesBusyError(UnavailableError):
    """This process already holds as many request bodies as its memory allows."""

    code = "HYG-470"
    fr = "Trop de contenus arrivent en même temps : réessayez dans un instant."
    en = "Too many contents are arriving at once: try again in a moment."


class IncidentError(HygieError):
    """Something broke that nobody foresaw; ``incident`` is all that leaves the house."""

    code = "HYG-070"
    fr = "Une erreur imprévue est survenue (incident {incident}) : donnez ce numéro à l'hébergeur."
    en = "An unforeseen error occurred (incident {incident}): give this number to the host."
    retryable = False


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole: there is nobody to answer."""


def incident(error: BaseException) -> IncidentError:
    """An error nobody foresaw, as it is told: a number. The log gets its type and its line, never its arguments."""
    number = secrets.token_hex(8)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    _log.error("incident %s: %s at %s", number, type(error).__name__, place)
    return IncidentError(incident=number)
