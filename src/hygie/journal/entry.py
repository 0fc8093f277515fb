"""One entry of the journal: who did what to whom, when, from where, why, and how it ended.

Source: docs/formats/journal-entry.md v1.  The body is JSON (an auditor can read it in twenty years with any program),
sealed under the month key of its tenant and class; empty fields are left out.  No health data: ids, codes, counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from hygie.base.actions import Action
from hygie.base.seal import seal
from hygie.journal.errors import EntryTooLargeError, LeafInvalidError
from hygie.journal.leaf import (
    LEAF_BYTES_MAX,
    disclosure_of,
    meaning_of,
    open_disclosed,
    pack_head,
    read_head,
)

OUTCOMES = frozenset({"done", "refused", "absent", "intent", "unknown"})
ITEMS_MAX = 800  # of one leaf: 800 items of 70 bytes fit in 65,535 bytes with room for the other fields
PLATFORM = bytes(16)  # the tenant id of entries that belong to no tenant

Item = tuple[str, bytes, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is journaled.

    outcome: "done", "refused", "absent", "intent", "unknown"; kind: class of retention, "access", "administration",
    "security", "platform", "evidence"; at_ms: UTC instant; tenant_id, environment_id: 16 bytes, zeros for the platform;
    subject: pseudonym, that is the compartment's id, ``b""`` if none; items: (type, opaque 16-byte id, version), any
    number (the writer cuts long ones into several leaves); count: how many objects were concerned; country: where it
    came from and how that is known (``FR declared``, ``DE inferred``, ``FR assumed``, ``unknown``);
    detail: codes only, never health data nor text typed by a caller.
    """

    action: Action
    outcome: str
    kind: str
    at_ms: int
    tenant_id: bytes = PLATFORM
    environment_id: bytes = PLATFORM
    account: str = ""
    professional_id: str = ""
    authentication: str = ""
    on_behalf_of: str = ""
    subject: bytes = b""
    items: tuple[Item, ...] = ()
    count: int = 0
    address: str = ""
    device: str = ""
    site: str = ""
    country: str = ""
    purpose: str = ""
    habilitation: str = ""
    permit_id: bytes = b""
    detail: dict[str, str] = field(default_factory=dict)


_TEXTS = (
    "account",
    "professional_id",
    "authentication",
    "on_behalf_of",
    "address",
    "device",
    "site",
    "country",
    "purpose",
    "habilitation",
)
_encode = msgspec.json.Encoder().encode


def encode_body(entry: Entry) -> bytes:
    """The plaintext body: a JSON object without its empty fields; byte strings in hexadecimal."""
    body: dict[str, Any] = {"action": entry.action.value, "outcome": entry.outcome}
    if entry.environment_id != PLATFORM:
        body["environment_id"] = entry.environment_id.hex()
    for name in _TEXTS:
        text = getattr(entry, name)
        if text:
            body[name] = text
    if entry.subject:
        body["subject"] = entry.subject.hex()
    if entry.items:
        body["items"] = [(type_, id_.hex(), version) for type_, id_, version in entry.items]
    if entry.count:
        body["count"] = entry.count
    if entry.permit_id:
        body["permit_id"] = entry.permit_id.hex()
    if entry.detail:
        body["detail"] = entry.detail
    return _encode(body)


def seal_entry(entry: Entry, *, month_key: bytes) -> bytes:
    """One leaf: clear head and sealed body.

    Args: month_key: 32 bytes, the key of (tenant, kind, month).
    Raises: EntryTooLargeError: over 65,535 bytes. ValueError: unknown kind or outcome (a programming mistake).
    Side effects: draws 32 random bytes. Time: about 10 microseconds for a usual entry.
    """
    if entry.outcome not in OUTCOMES:
        raise ValueError("unknown outcome")
    head = pack_head(entry.kind, entry.tenant_id, entry.at_ms)
    leaf = head + seal(encode_body(entry), key=month_key, meaning=meaning_of(head), compress=False)
    if len(leaf) > LEAF_BYTES_MAX:
        raise EntryTooLargeError(reason="entry")
    return leaf


def open_entry(leaf: bytes, *, month_key: bytes) -> Entry:
    """The entry of one leaf.

    Raises: LeafInvalidError: wrong month key, altered leaf, or a body this version does not know.
    """
    return decode_entry(leaf, open_disclosed(leaf, disclosure_of(leaf, month_key=month_key)))


def decode_entry(leaf: bytes, body: bytes) -> Entry:
    """The entry of a leaf whose body was opened.

    Raises: LeafInvalidError: a body this version does not know.
    """
    head = read_head(leaf)
    try:
        fields: dict[str, Any] = msgspec.json.decode(body)
        for name in ("environment_id", "subject", "permit_id"):
            if name in fields:
                fields[name] = bytes.fromhex(fields[name])
        items = tuple((type_, bytes.fromhex(id_), version) for type_, id_, version in fields.pop("items", ()))
        action = Action(fields.pop("action"))
        return Entry(action=action, kind=head.kind, at_ms=head.at_ms, tenant_id=head.tenant_id, items=items, **fields)
    except (msgspec.DecodeError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise LeafInvalidError(reason="body") from error


def split_entry(entry: Entry) -> Iterator[Entry]:
    """The same entry with at most ``ITEMS_MAX`` items each; ``count`` stays the total, ``part`` tells the order."""
    if len(entry.items) <= ITEMS_MAX:
        yield entry
        return
    for number, start in enumerate(range(0, len(entry.items), ITEMS_MAX), 1):
        detail = {**entry.detail, "part": str(number)}
        yield replace(entry, items=entry.items[start : start + ITEMS_MAX], detail=detail)
