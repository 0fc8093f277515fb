"""What the measure of availability refuses."""

from __future__ import annotations

from hygie.base.errors import InvalidRequestError


class WindowRefusedError(InvalidRequestError):
    """A planned window that may not be declared, or not be withdrawn any more."""

    code = "HYG-1N0"
    fr = "Fenêtre refusée : {reason}."
    en = "Window refused: {reason}."


class ResultsInvalidError(InvalidRequestError):
    """A file of an outside probe that is not what a known probe wrote."""

    code = "HYG-1N1"
    fr = "Résultats de sonde refusés, ligne {line} : {reason}."
    en = "Probe results refused, line {line}: {reason}."


class ProbeTargetError(InvalidRequestError):
    """What a probe was given to ask is no address, no environment or no resource."""

    code = "HYG-1N2"
    fr = "Sonde refusée : {reason}."
    en = "Probe refused: {reason}."


class WindowsSpentError(InvalidRequestError):
    """A planned window for which a client's year has no room left: windows take minutes out of what is promised."""

    code = "HYG-1N3"
    fr = "Plus de fenêtre pour {tenant} en {year} : {windows} et {hours} h au plus, par client et par an."
    en = "No more window for {tenant} in {year}: {windows} and {hours} h at most, by client and year."
