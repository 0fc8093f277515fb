"""What the room of hardening refuses (second digit L)."""

from __future__ import annotations

from hygie.base.errors import InvalidRequestError, NotFoundError


class ReportInvalidError(InvalidRequestError):
    """A file that is not the report it is given as."""

    code = "HYG-1L0"
    fr = "Rapport {kind} refusé : {reason}."
    en = "Report {kind} refused: {reason}."


class PointUnknownError(NotFoundError):
    """No point has this name."""

    code = "HYG-3L0"
    fr = "Aucun point de durcissement ne s'appelle ainsi : voir hygie hardening show."
    en = "No point of hardening has this name: see hygie hardening show."


class NotMeasuredError(NotFoundError):
    """Nothing to declare: the machine was not looked at lately."""

    code = "HYG-3L1"
    fr = "La machine n'a pas été mesurée depuis deux heures : hygie work doit tourner."
    en = "The machine has not been measured for two hours: hygie work must run."


class LookInvalidError(InvalidRequestError):
    """The file of a look is not one, or others than root and Hygie could have written it."""

    code = "HYG-1L1"
    fr = "Le fichier du regard sur la machine ne convient pas ({reason})."
    en = "The file of the look at the machine does not hold ({reason})."


class DeclarationInvalidError(InvalidRequestError):
    """A baseline or an exception that says too little, or lasts too long."""

    code = "HYG-1L2"
    fr = "Déclaration refusée : {reason}."
    en = "Declaration refused: {reason}."


class UnitInvalidError(InvalidRequestError):
    """A name or a path that a unit cannot hold."""

    code = "HYG-1L3"
    fr = "Unité systemd refusée : {reason}."
    en = "systemd unit refused: {reason}."
