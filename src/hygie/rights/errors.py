"""What the door of rights itself answers."""

from __future__ import annotations

import logging
import secrets

from hygie.base.errors import HygieError, InvalidRequestError, NotFoundError

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
    number = secrets.token_hex(8)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    _log.error("incident %s: %s at %s", number, type(error).__name__, place)
    return RightsFaceError(incident=number)
