"""Sets of patients: whose records a limited permit opens, as the catalogue and the packs say it.

Source: docs/adr/0021-patient-sets.md.  A set is a ``Group``; the rows of its members are written with each of its
versions, in the same transaction, so a member that is taken out is closed from that COMMIT on.  The database finds
which members open a compartment; this file checks that their rows carry the MAC of a writer, before anything is opened.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hygie.base.permit import PatientScope
from hygie.vault.model import SetMember
from hygie.vault.tokens import ID_TOKEN_BYTES, BlindIndex

MEMBERS_MAX = 100_000  # 3.2 MB in the head of a sealed Group; a larger one opens nothing
MARK_BYTES = 64  # group, subject, from, until, MAC
NO_GROUP = bytes(ID_TOKEN_BYTES)  # in a mark: the permit names the patient itself
_TIMES = struct.Struct(">qq")
_PACKED = struct.Struct(f">{ID_TOKEN_BYTES}sqq")
_MARK = struct.Struct(f">{ID_TOKEN_BYTES}s{ID_TOKEN_BYTES}sqq{ID_TOKEN_BYTES}s")


class Opened(NamedTuple):
    """A permit's patients in tokens: opaque ids of Groups, subjects of patients; at_ms: when members must count."""

    groups: list[bytes]
    subjects: list[bytes]
    at_ms: int


class MemberRow(NamedTuple):
    """One row of ``group_member``, its group aside."""

    subject: bytes
    from_ms: int
    until_ms: int
    mac: bytes


def opened_by(index: BlindIndex, patients: PatientScope | None, at_ms: int) -> Opened | None:
    """What the catalogue is to be asked with; None: all is open."""
    if patients is None:
        return None
    return Opened(
        [index.object_id("Group", one) for one in sorted(patients.sets)],
        [*(index.subject("patient", (one,)) for one in sorted(patients.patients)), *sorted(patients.subjects)],
        at_ms,
    )


def is_open(index: BlindIndex, opened: Opened | None, marks: bytes | None) -> bool:
    """Whether what the database found of a compartment opens it: a true mark for each of its patients.

    Args: marks: ``MARK_BYTES`` for each patient, none if it is nobody's; None: one of them is not open.
    """
    if opened is None:
        return True
    if marks is None or len(marks) % MARK_BYTES:
        return False
    for group, subject, from_ms, until_ms, mac in _MARK.iter_unpack(marks):
        if group == NO_GROUP:
            if subject not in opened.subjects:
                return False
        elif group not in opened.groups or not hmac.compare_digest(
            mac, member_mac(index, group, subject, from_ms, until_ms)
        ):
            return False
    return True


def member_mac(index: BlindIndex, group: bytes, subject: bytes, from_ms: int, until_ms: int) -> bytes:
    """16 bytes that only a holder of the environment's ``id`` key can make."""
    return index.member(group + subject + _TIMES.pack(from_ms, until_ms))


def pack_members(index: BlindIndex, members: Iterable[SetMember]) -> bytes:
    """Present members as they travel in the sealed head of a Group; nothing when they are too many to be a set."""
    packed = {_PACKED.pack(index.subject("patient", (one.patient,)), one.from_ms, one.until_ms) for one in members}
    return b"".join(sorted(packed)) if len(packed) <= MEMBERS_MAX else b""


def member_rows(index: BlindIndex, group: bytes, packed: bytes) -> Sequence[MemberRow]:
    """The rows of a Group, from the head of its current version."""
    return [
        MemberRow(subject, from_ms, until_ms, member_mac(index, group, subject, from_ms, until_ms))
        for subject, from_ms, until_ms in _PACKED.iter_unpack(packed)
    ]
