"""What the verifier says when it cannot even begin."""

from __future__ import annotations

from hygie.base.errors import InvalidRequestError


class ExportInvalidError(InvalidRequestError):
    """The export is not in the format of docs/formats/journal-export.md, or a file of it is absent."""

    code = "HYG-121"
    fr = "Cet export du journal ne se lit pas ({reason})."
    en = "This journal export cannot be read ({reason})."
