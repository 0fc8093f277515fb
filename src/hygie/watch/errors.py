"""What the watch refuses."""

from __future__ import annotations

from hygie.base.errors import InvalidRequestError, UnavailableError


class RuleInvalidError(InvalidRequestError):
    """A rule that cannot be loaded: the others are."""

    code = "HYG-1W0"
    fr = "Règle refusée : {file}, {where} : {reason}."
    en = "Rule refused: {file}, {where}: {reason}."

    def __init__(self, *, file: str, where: str, reason: str) -> None:
        super().__init__(file=file, where=where, reason=reason)
        self.file, self.where, self.reason = file, where, reason


class FindingStateError(InvalidRequestError):
    """An act on a finding that its state does not allow."""

    code = "HYG-1W1"
    fr = "Cette alerte ne le permet pas ({reason})."
    en = "This finding does not allow it ({reason})."


class ChannelUnreachableError(UnavailableError):
    """A channel's receiver could not be reached, or did not answer in time."""

    code = "HYG-4W0"
    fr = "Le canal {channel} ne répond pas ({reason})."
    en = "The channel {channel} does not answer ({reason})."


class ChannelUntrustedError(UnavailableError):
    """A channel's receiver shows a certificate that nobody we know signed, or that is not its own."""

    code = "HYG-4W1"
    fr = "Le canal {channel} ne prouve pas qui il est ({reason})."
    en = "The channel {channel} does not prove who it is ({reason})."


class ChannelRefusedError(UnavailableError):
    """A channel's receiver answered, and did not take the message."""

    code = "HYG-4W2"
    fr = "Le canal {channel} a refusé le message ({reason})."
    en = "The channel {channel} refused the message ({reason})."


class ChannelSecretError(UnavailableError):
    """The private file of a channel does not hold what it should."""

    code = "HYG-4W3"
    fr = "Le fichier privé du canal {channel} ne convient pas ({reason})."
    en = "The private file of the channel {channel} does not hold ({reason})."


class ExportUnreachableError(UnavailableError):
    """A SOC's receiver could not be reached, ended too early, or did not take all in time."""

    code = "HYG-4W7"
    fr = "L'export {export} n'est pas pris ({reason})."
    en = "The export {export} is not taken ({reason})."


class ExportUntrustedError(UnavailableError):
    """A SOC's receiver does not prove who it is, or ours does not to it."""

    code = "HYG-4W8"
    fr = "L'export {export} : les certificats ne conviennent pas ({reason})."
    en = "The export {export}: certificates do not hold ({reason})."


class ExportTenantError(UnavailableError):
    """The client whose entries an export carries is not there."""

    code = "HYG-4W9"
    fr = "L'export {export} : aucun client de ce nom."
    en = "The export {export}: no client of that name."
