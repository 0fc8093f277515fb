"""The snapshot manifest: what a backup holds, signed. Pure, no I/O.

Source: docs/formats/snapshot.md v1.  A file is one line of canonical JSON, then one line with the public key and the
Ed25519 signature of canonical(context, body).  A manifest that is not byte for byte the canonical encoding of what it
says is refused: one content has one encoding.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.backups.errors import ManifestBrokenError
from hygie.base.canonical import canonical

CONTEXT = "hygie snapshot v1"
MANIFEST_BYTES_MAX = 512 << 20  # three million packs of some 170 bytes each: read whole into memory once
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

Hex16 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Strict base: an unknown or missing field is a format error."""


class ObjectRef(_Part, frozen=True, kw_only=True):
    """An object of the sites by name, kept on the target by content. bytes: its size."""

    name: Name
    sha256: Hex32
    bytes: Natural


class EnvironmentPart(_Part, frozen=True, kw_only=True):
    """One environment: its packs in byte order of names, and the key ledger that opened them at that instant."""

    tenant_id: Hex16
    environment_id: Hex16
    packs: list[ObjectRef]
    ledger: ObjectRef | None


class Snapshot(_Part, frozen=True, kw_only=True):
    """A state of the platform that can be restored.

    number: grows by one with each snapshot of the platform; previous_sha256: digest of the manifest file before it
    ("" for the first); objects: what belongs to no environment (journal tiles, erasures), in byte order of names;
    kms_state: the sealed state of the KMS, None when its driver keeps its own; journal_checkpoint: the signed note;
    rpo_s: the promised recovery point (PDMA), seconds.
    """

    format: Literal["hygie-snapshot-1"] = "hygie-snapshot-1"
    snapshot_id: Hex16
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    previous_sha256: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]
    created_at_ms: Natural
    rpo_s: Natural
    environments: list[EnvironmentPart]
    objects: list[ObjectRef]
    kms_state: ObjectRef | None
    journal_checkpoint: str


@dataclass(frozen=True, slots=True)
class SignedSnapshot:
    """A manifest that was verified: its content, the digest of its file, and who signed it."""

    snapshot: Snapshot
    sha256: str
    public_key: bytes


def manifest_name(snapshot: Snapshot) -> str:
    """The manifest's name on a target: ``20261123t081530123z-<id>.json``; names sort by time."""
    instant = datetime.fromtimestamp(snapshot.created_at_ms / 1000, UTC)
    return f"{instant:%Y%m%dt%H%M%S}{snapshot.created_at_ms % 1000:03d}z-{snapshot.snapshot_id}.json"


def created_ms(name: str) -> int | None:
    """The instant that a manifest's name tells; None: it is no such name."""
    try:
        instant = datetime.strptime(name.partition("z-")[0], "%Y%m%dt%H%M%S%f").replace(tzinfo=UTC)
    except ValueError:
        return None
    return round(instant.timestamp() * 1000)


def lasting_refs(snapshot: Snapshot) -> list[ObjectRef]:
    """Objects that live as long as the snapshot: packs, and what belongs to no environment."""
    packs = [ref for part in snapshot.environments for ref in part.packs]
    return packs + snapshot.objects


def key_refs(snapshot: Snapshot) -> list[ObjectRef]:
    """Objects that hold wrapped keys: ledgers and the KMS state. Their retention is short, so that erasure is real."""
    ledgers = [part.ledger for part in snapshot.environments if part.ledger is not None]
    return ledgers + ([snapshot.kms_state] if snapshot.kms_state is not None else [])


def to_sign(snapshot: Snapshot) -> bytes:
    """The bytes that the ``backup`` key signs.

    Raises: ManifestBrokenError: lists out of order, a name twice, or two contents under one name.
    """
    return canonical(CONTEXT, _body(snapshot))


def attach(snapshot: Snapshot, *, signature: bytes, public_key: bytes) -> bytes:
    """The manifest file, after checking the signature it is given.

    Raises: ManifestBrokenError.
    """
    body = _body(snapshot)
    line = b"%s %s" % (base64.b64encode(public_key), base64.b64encode(signature))
    raw = body + b"\n" + line + b"\n"
    verify_manifest(raw, public_keys=[public_key])
    return raw


def verify_manifest(raw: bytes, *, public_keys: Collection[bytes], name: str | None = None) -> SignedSnapshot:
    """Open a manifest file that one of the keys signed.

    Args: public_keys: 32 bytes each, those that sign now or signed once; name: the file's name, which must be the
    manifest's own, so that an old one copied under a new name is found.
    Raises: ManifestBrokenError.
    """
    known_as = name or "?"
    if len(raw) > MANIFEST_BYTES_MAX or raw.count(b"\n") != 2 or not raw.endswith(b"\n"):
        raise ManifestBrokenError(snapshot=known_as, reason="format")
    body, line, _ = raw.split(b"\n")
    public_key, signature = _signature_line(line, known_as)
    if public_key not in public_keys:
        raise ManifestBrokenError(snapshot=known_as, reason="unknown-key")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, canonical(CONTEXT, body))
    except (InvalidSignature, ValueError) as error:
        raise ManifestBrokenError(snapshot=known_as, reason="signature") from error
    try:
        snapshot = msgspec.json.decode(body, type=Snapshot)
    except msgspec.DecodeError as error:
        raise ManifestBrokenError(snapshot=known_as, reason="format") from error
    if _body(snapshot) != body:
        raise ManifestBrokenError(snapshot=known_as, reason="not-canonical")
    if name is not None and name != manifest_name(snapshot):
        raise ManifestBrokenError(snapshot=known_as, reason="renamed")
    return SignedSnapshot(snapshot, hashlib.sha256(raw).hexdigest(), public_key)


def read_unverified(raw: bytes, name: str) -> Snapshot:
    """What a manifest claims, before any key is known: only good for finding the key state that will verify it.

    Raises: ManifestBrokenError: not a manifest.
    """
    try:
        return msgspec.json.decode(raw.split(b"\n", 1)[0], type=Snapshot)
    except msgspec.DecodeError as error:
        raise ManifestBrokenError(snapshot=name, reason="format") from error


def _signature_line(line: bytes, known_as: str) -> tuple[bytes, bytes]:
    try:
        public_key, signature = (base64.b64decode(word, validate=True) for word in line.split(b" "))
    except (ValueError, binascii.Error) as error:
        raise ManifestBrokenError(snapshot=known_as, reason="format") from error
    exact = b"%s %s" % (base64.b64encode(public_key), base64.b64encode(signature)) == line
    if not exact or len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise ManifestBrokenError(snapshot=known_as, reason="format")
    return public_key, signature


def _body(snapshot: Snapshot) -> bytes:
    """The canonical JSON: fields in the order of the classes, no space, lists in order."""
    identities = [part.tenant_id + part.environment_id for part in snapshot.environments]
    lists = [part.packs for part in snapshot.environments] + [snapshot.objects]
    if not _rising(identities) or not all(_rising([ref.name for ref in refs]) for refs in lists):
        raise ManifestBrokenError(snapshot=manifest_name(snapshot), reason="format")
    return msgspec.json.encode(snapshot)


def _rising(items: Sequence[str]) -> bool:
    """Whether each item is greater than the one before: in order, and none twice."""
    return all(one < other for one, other in pairwise(items))
