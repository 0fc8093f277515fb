"""What the FHIR face itself answers when a request does not have the form the protocol asks for."""

from __future__ import annotations

import logging

from hygie.base.errors import HygieError, InvalidRequestError, Language, NotFoundError, UnavailableError
from hygie.base.incidents import numbered

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


# in French, then in English
PROBLEMS: dict[str, tuple[str, str]] = {
    "bundle-type": (
        "seul un Bundle batch ou transaction se traite ici", "only a batch or transaction Bundle is processed here",
    ),
    "condition": (
        "une condition demande un paramètre de recherche et sa valeur, autres que _id et _lastUpdated",
        "a condition needs a search parameter with its value, other than _id and _lastUpdated",
    ),
    "condition-twice": ("deux entrées ont la même condition", "two entries have the same condition"),
    "content-type": ("l'en-tête Content-Type n'est pas un type de contenu", "the Content-Type header is no media type"),
    "etag": ("l'en-tête attend une version, W/\"3\"", "the header wants a version, W/\"3\""),
    "form": ("le formulaire n'est pas en ASCII encodé", "the form is not percent-encoded ASCII"),
    "full-url": ("fullUrl contient un caractère interdit", "fullUrl holds a forbidden character"),
    "full-url-twice": ("deux entrées ont le même fullUrl", "two entries have the same fullUrl"),
    "gzip": ("la compression gzip est abîmée", "the gzip compression is damaged"),
    "id-address": ("Resource.id diffère de l'adresse", "Resource.id differs from the address"),
    "id-match": ("Resource.id diffère de la ressource trouvée", "Resource.id differs from the resource found"),
    "method": (
        "request.method n'est ni GET, ni HEAD, ni POST, ni PUT, ni DELETE",
        "request.method is none of GET, HEAD, POST, PUT, DELETE",
    ),
    "no-resource": ("l'entrée n'a pas de ressource", "the entry has no resource"),
    "post-url": (
        "une entrée POST ne nomme qu'un type de ressource", "a POST entry names a resource type and nothing else",
    ),
    "query": ("les paramètres de l'adresse sont trop nombreux ou mal encodés",
              "the address's parameters are too many or badly encoded"),
    "raw-condition": (
        "If-None-Exist demande un Binary en JSON, un contenu brut ne le suit pas",
        "If-None-Exist wants a Binary in JSON, raw content does not follow it",
    ),
    "url": ("request.url n'a pas la forme Type/id", "request.url is not of the form Type/id"),
    "url-no-id": ("request.url n'a ni id ni condition", "request.url has neither an id nor a condition"),
    "url-type": (
        "request.url ne commence pas par un type de ressource", "request.url does not begin with a resource type",
    ),
}  # fmt: skip


class BodyError(InvalidRequestError):
    """A body, a header or an entry of a bundle is not what the interaction needs.

    problem: a key of ``PROBLEMS``; expression: where, as FHIRPath.
    """

    code = "HYG-174"

    def __init__(self, problem: str, expression: str = "") -> None:
        super().__init__(problem=problem, expression=expression)
        self.problem = problem

    def sentence(self, language: Language = "en") -> str:
        """One sentence with the problem in words."""
        fr, en = PROBLEMS[self.problem]
        return self.fr.format(reason=fr) if language == "fr" else self.en.format(reason=en)


class BodyTooLargeError(NotFoundError):
    """A body is over its limit, as sent or once decompressed."""

    code = "HYG-375"
    http_status = 413
    fr = "Le contenu dépasse la limite de {limit_bytes} octets, ou se décompresse anormalement."
    en = "The content is over the limit of {limit_bytes} bytes, or decompresses abnormally."


class BundleAnswerTooLargeError(NotFoundError):
    """The entries of a bundle that were answered before this one fill the answer: this one was not looked at."""

    code = "HYG-376"
    http_status = 413
    fr = "Entrée non traitée : les réponses précédentes dépassent {limit_bytes} octets. Demandez-la à part."
    en = "Entry not processed: the answers before it are over {limit_bytes} bytes. Ask for it apart."


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
    return IncidentError(incident=numbered(_log, error))
