"""A Bundle taken apart without reading its resources twice: the envelope is typed, each resource stays text.

``parse_bundle`` is for interactions (batch, transaction): the face parses each entry's text under its own type, alone,
so that one bad entry is named and long Bundles can yield to the loop.  A Bundle kept as a document goes through
``structures.parse``, which validates its entries' resources too.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from hygie.fhir.errors import FhirContentError, FhirLimitError
from hygie.fhir.json_exact import compare
from hygie.fhir.json_limits import bare_length, check_depth, clean, has_sign
from hygie.fhir.structures import decode_envelope, encode
from hygie.vault.model import REQUEST_OBJECTS_MAX

_HOLE = Raw(b"0")  # stands for a resource while the envelope alone is compared


class EntryView(Struct, frozen=True):
    """One entry of a Bundle. Empty text: absent. resource_raw: clean JSON, b"" without resource."""

    index: int
    full_url: str
    method: str
    url: str
    if_match: str
    if_none_match: str
    if_none_exist: str
    if_modified_since: str
    resource_raw: bytes

    def __repr__(self) -> str:
        return f"<EntryView {self.index}>"


class BundleView(Struct, frozen=True):
    """A Bundle's type (``transaction``…) and its entries, in order."""

    type: str
    entries: list[EntryView]

    def __repr__(self) -> str:
        return f"<BundleView {self.type}>"


def parse_bundle(raw: bytes) -> BundleView:
    """Check a Bundle's envelope and slice its entries.

    Args: raw: the request body, already bounded in size.
    Raises: FhirJsonError, FhirLimitError, FhirContentError as ``structures.parse``, for the envelope alone.
    """
    text = clean(raw)
    bundle = decode_envelope(text, "Bundle")
    entries = bundle.entry or []
    if len(entries) > REQUEST_OBJECTS_MAX:
        raise FhirLimitError("entries", "Bundle.entry")
    held = [entry.resource for entry in entries]
    for index, one in enumerate(held):
        if one is not None and bytes(memoryview(one)[:1]) != b"{":
            raise FhirContentError("type", f"Bundle.entry[{index}].resource")
    outside = len(text) - sum(len(memoryview(one)) for one in held if one is not None)
    for entry in entries:
        if entry.resource is not None:
            entry.resource = _HOLE
    encoded = encode(bundle)
    holes = sum(one is not None for one in held)
    check_depth(encoded)
    if outside != len(encoded) - holes or has_sign(encoded):
        _compare_envelope(text, encoded, held, holes)
    texts = [b"" if one is None else bytes(memoryview(one)) for one in held]
    views = [_view(index, entry, texts[index]) for index, entry in enumerate(entries)]
    return BundleView(bundle.type or "", views)


def _compare_envelope(text: bytes, encoded: bytes, held: list[Raw | None], holes: int) -> None:
    """The text has white space or differs: compare without it, then exactly."""
    inside = sum(bare_length(bytes(memoryview(one))) for one in held if one is not None)
    if bare_length(text) - inside == bare_length(encoded) - holes and not has_sign(encoded):
        return
    # The resources are cut out of the text, so that what they repeat or forbid is their own parse's business.
    parts, position = [], 0
    for one in held:
        if one is None:
            continue
        piece = bytes(memoryview(one))
        start = text.index(piece, position)
        parts.append(text[position:start])
        position = start + len(piece)
    parts.append(text[position:])
    compare(b"0".join(parts), encoded, "Bundle")


def _view(index: int, entry: Any, text: bytes) -> EntryView:
    request = entry.request
    if request is None:
        return EntryView(index, entry.fullUrl or "", "", "", "", "", "", "", text)
    return EntryView(
        index,
        entry.fullUrl or "",
        request.method or "",
        request.url or "",
        request.ifMatch or "",
        request.ifNoneMatch or "",
        request.ifNoneExist or "",
        request.ifModifiedSince or "",
        text,
    )
