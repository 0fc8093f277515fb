"""The key ledger of an environment: every live wrap under one epoch, sealed and signed. Pure.

Source: docs/formats/kms.md v1, "Key ledger".  It is published on the sites and backed up apart: with it and the KMS,
packs open again without the database.  Sealed under the environment's "ledger" key (the compartments of an
environment are not shown), signed by the "backup" key (a ledger made by somebody who only holds sites is refused).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.base.canonical import canonical
from hygie.base.seal import OVERHEAD_BYTES, SealBrokenError, open_sealed, seal
from hygie.keys.errors import LedgerBrokenError
from hygie.keys.hierarchy import WRAP_BYTES
from hygie.keys.kms import ID_BYTES

PURPOSE = "ledger"  # of Kms.environment_key
MAGIC = b"HYGLEDG1"
ENTRIES_MAX = 8_000_000  # 616 MB opened: one environment of the largest hospital; more patients, more environments
SIGNATURE_BYTES = 64
_HEAD = struct.Struct(">8s16s16sQQQI")  # magic, tenant, environment, epoch, number, made at ms, entries
_ENTRY_BYTES = ID_BYTES + WRAP_BYTES


@dataclass(frozen=True, slots=True)
class Ledger:
    """number: grows by one with each ledger of the environment; entries: (16-byte compartment id, wrap), any order."""

    tenant_id: bytes
    environment_id: bytes
    epoch: int
    number: int
    made_at_ms: int
    entries: Sequence[tuple[bytes, bytes]]


def seal_ledger(ledger: Ledger, *, key: bytes) -> bytes:
    """Head and sealed entries: what :func:`to_sign` takes and :func:`attach` completes.

    Args: key: the environment's "ledger" key. The entries are sorted by compartment here.
    Raises: LedgerBrokenError: two wraps of one compartment, a wrong length, or over ENTRIES_MAX.
    """
    entries = sorted(ledger.entries)
    if len(entries) > ENTRIES_MAX:
        raise LedgerBrokenError(reason="too many entries")
    _check_entries(entries)
    head = _HEAD.pack(
        MAGIC,
        ledger.tenant_id,
        ledger.environment_id,
        ledger.epoch,
        ledger.number,
        ledger.made_at_ms,
        len(entries),
    )
    body = b"".join(compartment_id + wrap for compartment_id, wrap in entries)
    return head + seal(body, key=key, meaning=_meaning(head), compress=False)


def to_sign(sealed: bytes) -> bytes:
    """What the "backup" key signs."""
    return canonical("hygie key ledger v1", hashlib.sha256(sealed).digest())


def attach(sealed: bytes, signature: bytes) -> bytes:
    """The ledger as stored."""
    assert len(signature) == SIGNATURE_BYTES
    return sealed + signature


def open_ledger(
    data: bytes, *, key: bytes, public_keys: Sequence[bytes], tenant_id: bytes, environment_id: bytes
) -> Ledger:
    """Read a ledger of one environment back.

    Args: public_keys: the "backup" keys, retired included. The caller compares ``number`` with the newest it knows:
    an older true ledger is still a true ledger.
    Raises: LedgerBrokenError: forged, altered, of another environment, or not canonical.
    """
    if len(data) < _HEAD.size + OVERHEAD_BYTES + SIGNATURE_BYTES:
        raise LedgerBrokenError(reason="cut")
    sealed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    _verify(sealed, signature, public_keys)
    magic, tenant, environment, epoch, number, made_at_ms, count = _HEAD.unpack_from(sealed)
    if magic != MAGIC or count > ENTRIES_MAX:
        raise LedgerBrokenError(reason="not in the format")
    if (tenant, environment) != (tenant_id, environment_id):
        raise LedgerBrokenError(reason="of another environment")
    size = count * _ENTRY_BYTES
    try:
        body = open_sealed(sealed[_HEAD.size :], key=key, meaning=_meaning(sealed[: _HEAD.size]), bytes_max=size)
    except SealBrokenError as error:
        raise LedgerBrokenError(reason="it does not open") from error
    if len(body) != size:
        raise LedgerBrokenError(reason="not in the format")
    entries = [
        (body[at : at + ID_BYTES], body[at + ID_BYTES : at + _ENTRY_BYTES]) for at in range(0, size, _ENTRY_BYTES)
    ]
    _check_entries(entries)
    return Ledger(tenant, environment, epoch, number, made_at_ms, entries)


def read_rank(data: bytes) -> tuple[int, int]:
    """(epoch, number) that the first bytes of a ledger claim: to compare copies, not yet to trust one.

    Raises: LedgerBrokenError: not a ledger's head.
    """
    if len(data) < _HEAD.size or data[: len(MAGIC)] != MAGIC:
        raise LedgerBrokenError(reason="not in the format")
    _, _, _, epoch, number, _, _ = _HEAD.unpack_from(data)
    return epoch, number


def _verify(sealed: bytes, signature: bytes, public_keys: Sequence[bytes]) -> None:
    message = to_sign(sealed)
    for public_key in public_keys:
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        return
    raise LedgerBrokenError(reason="signed by no known key")


def _check_entries(entries: Sequence[tuple[bytes, bytes]]) -> None:
    before = b""
    for compartment_id, wrap in entries:
        if len(compartment_id) != ID_BYTES or len(wrap) != WRAP_BYTES:
            raise LedgerBrokenError(reason="an entry of a wrong length")
        if compartment_id <= before:
            raise LedgerBrokenError(reason="entries repeated or out of order")
        before = compartment_id


def _meaning(head: bytes) -> bytes:
    return canonical("hygie key ledger body v1", head)
