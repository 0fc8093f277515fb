"""What the watch refuses."""

from __future__ import annotations

from hygie.base.errors import InvalidRequestError


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
