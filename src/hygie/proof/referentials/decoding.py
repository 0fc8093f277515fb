"""A référentiel from its canonical JSON; bytes that are not canonical are refused.

Source: docs/formats/referential.md v1.
"""

from __future__ import annotations

import msgspec

from hygie.proof.model import same
from hygie.proof.referentials.documents import Record
from hygie.proof.referentials.encoding import FORMAT, canonical_json
from hygie.proof.referentials.model import Referential
from hygie.proof.referentials.tree import Placed, accept, ordered, refused

MARK = "hygie-referential-"


def is_canonical(document: Record) -> bool:
    """Whether a document carries the mark of the format, whatever its version."""
    return str(document.get("format", "")).startswith(MARK)


def decode(document: Record, data: bytes) -> Referential:
    """The référentiel of a document.

    Args: data: the bytes that the document was parsed from.
    Raises: ReferentialRefusedError: another version of the format, a member that is missing, unknown or of another
        type, bytes that are not canonical, or what :mod:`tree` refuses.
    """
    if document["format"] != FORMAT:
        raise refused(same("format"), fr="version de format inconnue", en="unknown version of the format")
    members = {name: value for name, value in document.items() if name != "format"}
    try:
        found = msgspec.convert(members, Referential)
    except msgspec.ValidationError as error:
        where = str(error).rpartition(" - at ")[2].strip("`")
        raise refused(
            same(where), fr="membre absent ou d'un autre type", en="a member missing or of another type"
        ) from error
    if canonical_json(found) != data:
        raise refused(same("JSON"), fr="écriture non canonique", en="not written canonically")
    if ordered([Placed(one) for one in found.nodes]) != found.nodes:
        raise refused(same("nodes"), fr="éléments qui ne suivent pas leur parent", en="nodes not after their parent")
    return accept(found)
