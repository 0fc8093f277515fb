"""What names a bundle's entry elsewhere than in a reference: elements of type uri, url and canonical.

Source: http://hl7.org/fhir/R4/http.html#trules.  Only full urls of the form ``urn:uuid:`` are looked for: an
``https:`` one is often also the canonical url of what it holds, which must stay what it is.  Elements of type uuid and
oid stay too, for ``Type/id`` is neither.  Unlike a reference, such an element is not known by its name (``value`` may
be a text), so the types decide: one look for the prefix in the text, and a walk of the few resources that hold a known
one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from hygie.fhir.structures import Parsed, encode
from hygie.fhir.types import attribute_of, choice_member, elements_of

_LINKS = frozenset({"uri", "url", "canonical"})
_PREFIX = b'"urn:uuid:'
_URN = re.compile(rb'"(urn:uuid:[^"\\#|]+)')
_TAIL = re.compile(r"[#|]")
_SEALED = frozenset({"Bundle"})  # a document is kept as it was made
_OWN_NAME = ("Extension", "url")  # what an extension means, never where something is


def names_any(encoded: bytes, addresses: Mapping[bytes, bytes]) -> bool:
    """Whether a canonical text, its references rewritten, still says a full url of the bundle. Costs one scan."""
    return _PREFIX in encoded and any(said in addresses for said in _URN.findall(encoded))


def relinked(parsed: Parsed, addresses: Mapping[bytes, bytes]) -> Parsed | None:
    """The resource with each known address replaced in its links; None if none holds one.

    Args: addresses: what a link says now -> what it must say; a fragment or a version behind it is kept.
    Side effects: changes the resource that was given.
    """
    texts = {old.decode(): new.decode() for old, new in addresses.items()}
    changed = False
    held: list[tuple[str, Any]] = [(parsed.type, parsed.resource)]
    while held:
        path, one = held.pop()
        links, inner = _members(path)
        for attribute, many in links:
            said = getattr(one, attribute)
            if said is None:
                continue
            kept = [_new(text, texts) for text in said] if many else _new(said, texts)
            if kept != said:
                setattr(one, attribute, kept)
                changed = True
        for attribute, many, child in inner:
            value = getattr(one, attribute)
            if value is not None:
                held += [(child or _tag(each), each) for each in (value if many else (value,)) if each is not None]
    return Parsed(parsed.type, parsed.resource, encode(parsed.resource)) if changed else None


def _new(text: str | None, texts: Mapping[str, str]) -> str | None:
    if text is None:  # in a list, beside an extension
        return None
    tail = _TAIL.search(text)
    end = tail.start() if tail else len(text)
    found = texts.get(text[:end])
    return text if found is None else found + text[end:]


def _tag(resource: Any) -> str:
    tag: str = resource.__struct_config__.tag
    return tag


@cache
def _members(path: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool, str]]]:
    """Of a type: its links (attribute, repeats), and what may hold some (attribute, repeats, type; "": a resource)."""
    links: list[tuple[str, bool]] = []
    inner: list[tuple[str, bool, str]] = []
    for element in [] if path in _SEALED else elements_of(path):
        for type_name in element.types:
            name = choice_member(element.name, type_name) if element.name.endswith("[x]") else element.name
            attribute, many = attribute_of(name), element.max == 0
            plain = type_name.partition(".plain")[0]
            if plain in _LINKS and (path, element.name) != _OWN_NAME:
                links.append((attribute, many))
            elif type_name == "Resource":
                inner.append((attribute, many, ""))
            elif type_name[0].isupper():
                inner.append((attribute, many, type_name))
    return links, inner
