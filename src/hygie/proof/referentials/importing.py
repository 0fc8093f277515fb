"""One door for référentiels that people bring: CISO Assistant libraries, OSCAL catalogs, Hygie's own JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hygie.proof.model import Text
from hygie.proof.referentials import ciso_assistant, decoding, oscal
from hygie.proof.referentials.documents import parse
from hygie.proof.referentials.encoding import canonical_json
from hygie.proof.referentials.model import Referential
from hygie.proof.referentials.tree import refused


@dataclass(frozen=True, slots=True)
class Imported:
    """A référentiel, and what of its file is not part of one: (kind of object, how many)."""

    referential: Referential
    left_out: tuple[tuple[str, int], ...] = ()


def read_referential(data: bytes) -> Imported:
    """The référentiel that a file holds. Time: linear; 1,000 nodes take some tenths of a second.

    Args: data: the whole file, ``documents.FILE_BYTES_MAX`` at most.
    Raises: ReferentialRefusedError: nothing of the file is taken; the error names the line or the URN, and the reason.
    """
    document = parse(data)
    if decoding.is_canonical(document):
        return Imported(decoding.decode(document, data))
    if oscal.is_catalog(document):
        referential, left_out = oscal.read_catalog(document)
    elif ciso_assistant.is_library(document):
        referential, left_out = ciso_assistant.read_library(document)
    else:
        raise refused(
            Text("fichier", "file"),
            fr="ni bibliothèque CISO Assistant, ni catalogue OSCAL, ni référentiel de Hygie",
            en="neither a CISO Assistant library, nor an OSCAL catalog, nor a référentiel of Hygie",
        )
    written = canonical_json(referential)
    decoding.decode(parse(written), written)  # what will be kept can be read again, within the same bounds
    return Imported(referential, tuple(sorted(left_out.items())))
