"""What can be wrong with the published logs. No text repeats what they hold: logs, numbers and reasons are named."""

from __future__ import annotations

from hygie.base.errors import IntegrityError


class SegmentBrokenError(IntegrityError):
    """A published object of the logs is not what was signed. reason: signature, format, seal, chain, renamed."""

    code = "HYG-5C0"
    fr = "Copie altérée des registres ou des preuves ({name}) : {reason}."
    en = "An altered copy of registers or evidence ({name}): {reason}."


class LogWentBackError(IntegrityError):
    """The database shows less than what was published, or something else under the same number."""

    code = "HYG-5C1"
    fr = (
        "La base ne continue pas ce qui est publié ({log}, numéro {seq}) : elle est revenue en arrière ou altérée."
        " Prévenez la sécurité ; relancer hygie work reprend des sites ce qui manque."
    )
    en = (
        "The database does not continue what is published ({log}, number {seq}): it went back or was altered."
        " Tell security; starting hygie work again takes what lacks back from the sites."
    )


class LogLackingError(IntegrityError):
    """The journal names writes that are not there, or not the same, or does not name some that are there."""

    code = "HYG-5C2"
    fr = "Le journal publié nomme des écritures absentes ou différentes (≠), ou pas celles-ci (+) ({log}) : {numbers}."
    en = "The published journal names writes that are absent or different (≠), or not these (+) ({log}): {numbers}."
