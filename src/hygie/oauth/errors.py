"""What the token face itself answers."""

from __future__ import annotations

import logging
import secrets

from hygie.base.errors import HygieError, NotFoundError

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


class TokenFaceError(HygieError):
    """An accident: its number is in the log, and nothing else about it anywhere."""

    code = "HYG-5F0"
    http_status = 500
    exit_code = 50
    fr = "Incident {incident} : signalez ce numéro à votre exploitant."
    en = "Incident {incident}: tell your operator this number."


def incident(error: Exception) -> TokenFaceError:
    """Log an accident by its type and its line, and make what the client is told."""
    number = secrets.token_hex(8)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    _log.error("incident %s: %s at %s", number, type(error).__name__, place)
    return TokenFaceError(incident=number)
