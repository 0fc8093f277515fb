"""References inside a bundle, rewritten in the text: no resource is walked, none is encoded again.

Only the string of a member ``reference`` and the links of a narrative are touched (http://hl7.org/fhir/R4/http.html#trules);
elements of type uri, url and canonical are the business of ``links``, and an identifier whose value happens to be the
same ``urn:uuid:`` stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

# In JSON text a quote inside a string is escaped, so this finds members and nothing else.
_REFERENCE = re.compile(rb'("reference"\s*:\s*")([^"\\]*(?:\\.[^"\\]*)*)(?=")')
_NARRATIVE = re.compile(rb'((?:href|src)=\\")((?:urn:|https?:)[^"\\]+)(?=\\")')
_DRAWN = re.compile(rb"[A-Z][A-Za-z]{1,63}/[0-9a-f]{32}(?![0-9A-Za-z.-])")
_CONDITIONAL = re.compile(rb'"reference":"([A-Z][A-Za-z]{1,63}\?[^"\\]*(?:\\.[^"\\]*)*)"')


def rewrite(text: bytes, addresses: Mapping[bytes, bytes]) -> bytes:
    """The text of a resource with each known address replaced.

    Args: addresses: what a reference says now, as JSON writes it -> what it must say, without quote or backslash.
    """
    get = addresses.get

    def replace(match: re.Match[bytes]) -> bytes:
        said = match[2]
        kept = get(said)
        if kept is None:
            base, mark, fragment = said.partition(b"#")
            kept = get(base) if mark else None
            if kept is None:
                return match[0]
            kept = kept + mark + fragment
        return match[1] + kept

    if b'"reference"' in text:
        text = _REFERENCE.sub(replace, text)
    if b'=\\"urn:' in text or b'=\\"http' in text:
        text = _NARRATIVE.sub(replace, text)
    return text


def conditional_references(encoded: bytes) -> list[bytes]:
    """The ``Type?query`` references of a canonical text, as JSON writes them, each once."""
    if b"?" not in encoded:
        return []
    return list(dict.fromkeys(_CONDITIONAL.findall(encoded)))


def said(written: bytes) -> str:
    """What a string says that JSON writes so: a search escapes commas by a backslash, and JSON the backslash."""
    return str(msgspec.json.decode(b'"%s"' % written)) if b"\\" in written else written.decode()


def names_drawn(encoded: bytes, wanted: Mapping[bytes, object]) -> bool:
    """Whether a canonical text names any of ``wanted``, ids that the server drew, wherever it does."""
    return any(name in wanted for name in _DRAWN.findall(encoded))


def rewrite_drawn(encoded: bytes, addresses: Mapping[bytes, bytes]) -> bytes:
    """``rewrite``, and every other place that names a drawn id: in a link or a narrative, nothing else can say it."""
    return _DRAWN.sub(lambda match: addresses.get(match[0], match[0]), rewrite(encoded, addresses))
