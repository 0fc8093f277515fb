"""What the door of rights itself answers."""

from __future__ import annotations

import logging

from hygie.base.errors import HygieError, InvalidRequestError, NotFoundError
from hygie.base.incidents import numbered

_log = logging.getLogger("hygie.rights")


class NoSuchRightsDoorError(NotFoundError):
    """The path names nothing here, or the verb does not apply: ``allow`` names those that do."""

    code = "HYG-3G0"
    fr = "Cette adresse ou cette méthode ne désigne rien."
    en = "This address or this method names nothing."


class RightsBodyError(InvalidRequestError):
    """A body that is not the JSON object which this door reads."""

    code = "HYG-1G0"
    fr = "Corps de requête refusé ({reason})."
    en = "Request body refused ({reason})."


class RightsFaceError(HygieError):
    """An accident: its number is in the log, and nothing else about it anywhere."""

    code = "HYG-5G0"
    http_status = 500
    exit_code = 50
    fr = "Incident {incident} : signalez ce numéro à votre exploitant."
    en = "Incident {incident}: tell your operator this number."


def incident(error: Exception) -> RightsFaceError:
    """Log an accident by its type and its line, and make what the caller is told."""
    return RightsFaceError(incident=numbered(_log, error))
