"""Heads of the KMS's unwrap record, kept in the journal: a record that is cut, or made anew, no longer holds them.

The chain of the record has no key (docs/formats/kms.md): whoever holds the KMS's folder can cut its end, or alter a
line and hash all that follows again.  He cannot alter what the journal published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hygie.base.actions import Action
from hygie.base.clock import iso_ms
from hygie.gate.errors import UnwrapRecordCutError
from hygie.journal.entry import Entry
from hygie.keys.kms import HEADS_MAX, Kms, KmsStatus


@dataclass(frozen=True, slots=True)
class Anchor:
    """How many lines the record had, and the hash of the last one, at an instant. anew: why a new record begins here
    (``restore``, or the operator's word after an inquiry); what was anchored before is not asked for any more."""

    lines: int
    head: bytes
    at_ms: int
    anew: str = ""


def anchor_entry(status: KmsStatus, at_ms: int, *, account: str, anew: str = "") -> Entry:
    """The entry that anchors what the KMS says now."""
    detail = {"lines": str(status.unwrap_lines), "head": status.unwrap_head.hex()}
    return _entry("done", "platform", at_ms, account, detail | ({"anew": anew} if anew else {}))


def cut_entry(anchor: Anchor, at_ms: int, *, account: str) -> Entry:
    """The entry that says that the record does not go through an anchor."""
    detail = {"code": UnwrapRecordCutError.code, "lines": str(anchor.lines), "head": anchor.head.hex()}
    return _entry("refused", "security", at_ms, account, detail)


def anchor_of(entry: Entry) -> Anchor | None:
    """The anchor that an entry makes, if it makes one."""
    if entry.action is not Action.KEY_ANCHOR or entry.outcome != "done":
        return None
    detail = entry.detail
    return Anchor(int(detail["lines"]), bytes.fromhex(detail["head"]), entry.at_ms, detail.get("anew", ""))


async def not_in_record(kms: Kms, anchors: Sequence[Anchor]) -> list[Anchor]:
    """The anchors that the living record does not go through, shortest first.

    Raises: UnwrapRecordBrokenError: the record does not even follow from itself.
    """
    ordered = sorted(anchors, key=lambda anchor: anchor.lines)
    cut: list[Anchor] = []
    for at in range(0, len(ordered), HEADS_MAX - 1):
        part = ordered[at : at + HEADS_MAX - 1]
        begin = ordered[at - 1].lines if at else part[0].lines  # parts overlap: files between them are followed too
        heads = await kms.unwrap_heads([begin, *(anchor.lines for anchor in part)])
        cut += [anchor for anchor, seen in zip(part, heads[1:], strict=True) if anchor.head not in seen]
    return cut


def require_anchored(cut: Sequence[Anchor]) -> None:
    """Say that the record was cut or made anew. Raises: UnwrapRecordCutError: names the first anchor that it lacks."""
    if cut:
        raise UnwrapRecordCutError(at=iso_ms(cut[0].at_ms), lines=cut[0].lines)


def _entry(outcome: str, kind: str, at_ms: int, account: str, detail: dict[str, str]) -> Entry:
    return Entry(
        action=Action.KEY_ANCHOR,
        outcome=outcome,
        kind=kind,
        at_ms=at_ms,
        account=account,
        authentication="local",
        detail=detail,
    )
