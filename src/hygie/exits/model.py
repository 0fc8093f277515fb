"""What an exit is made of: the controller's order, the manifest of an export, the consent. Pure.

Source: docs/formats/exit.md v1.  A manifest is signed byte for byte, so that ``openssl`` alone can check it: its first
field carries its context, and no other paper of the house begins like it.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hygie.base.canonical import canonical
from hygie.base.people import is_same_person
from hygie.exits.errors import ExitInstructionError, ExportDamagedError, SameHandsError

MANIFEST_FORMAT = "hygie exit manifest 1"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
PUBLIC_KEY = "hygie.pem"
SUMS = "SHA256SUMS"
CONTENTS = "contents.sha256"  # inside: of the decrypted files
RECEIPT = "verification-code.txt"  # inside: shows that the client could decrypt
TEXT_CHARACTERS_MAX = 200
MANIFEST_BYTES_MAX = 16 * 1024 * 1024
DAMAGED_NAMES_MAX = 1_000  # told in a manifest; the count says them all
ACCOUNT = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")
CODE = re.compile(r"^[0-9a-f]{64}$")
# A literal reference of a resource of ours, in canonical JSON; counted when it leaves and when it is read again.
REFERENCE = re.compile(rb'"reference":"([A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64})["/#]')


class ExitBasis(StrEnum):
    """Why a client takes its data back (R.1111-11 CSP, 12° and 13°)."""

    CONTRACT_END = "contract-end"
    CERTIFICATE_LOST = "certificate-lost"
    RETURN_ASKED = "return-asked"


class ExitInstruction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the controller ordered, recorded before anything is read.

    controller: the organisation; instructed_by: the account of its officer, who must be entitled; reference: its own
    number; recipients: the public keys that it gave; environments: names, in order; ordered_ms: instant.
    """

    export_id: str
    tenant_id: str
    controller: str
    instructed_by: str
    approver: str
    basis: ExitBasis
    reference: str
    recipients: tuple[str, ...]
    environments: tuple[str, ...]
    ordered_ms: int

    def digest(self) -> bytes:
        """SHA-256 of the canonical instruction: what the journal names."""
        values = [getattr(self, name) for name in self.__struct_fields__]
        flat = ["\0".join(value) if isinstance(value, tuple) else value for value in values]
        return hashlib.sha256(canonical("hygie exit instruction v1", *flat)).digest()


class TypeCount(msgspec.Struct, forbid_unknown_fields=True):
    """Versions of one resource type: current ones, superseded ones, deletions."""

    current: int = 0
    history: int = 0
    deleted: int = 0


class EnvironmentPart(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One environment in a manifest.

    pack, packs: the last pack and how many, so that a later write shows; versions: in the catalogue; erased: versions
    that nobody can read since a patient was erased; damaged: those that no site gave back (opaque names, the first
    ones); missing: how many of these.
    """

    name: str
    id: str
    kind: str
    pack: int
    packs: int
    versions: int
    resources: dict[str, TypeCount] = msgspec.field(default_factory=dict)
    contents: int = 0
    references: int = 0
    erased: int = 0
    missing: int = 0
    damaged: list[str] = msgspec.field(default_factory=list)

    @property
    def returned(self) -> int:
        """Versions in the export."""
        return sum(one.current + one.history + one.deleted for one in self.resources.values())


class JournalPart(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The access traces in a manifest. checkpoint: the signed note; size: of its tree; entries: of this client, of
    which ``disclosed`` can be read (the keys of the others ended with their legal retention)."""

    checkpoint: str
    size: int
    entries: int
    disclosed: int
    log_key: str
    witness_key: str


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the contract says of an exit: cost in words, delays in days, how long traces stay (years)."""

    cost: str
    export_days: int
    destruction_days: int
    traces_years: int


class ExitManifest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an export holds. Instants are ISO 8601 UTC. sums_sha256: of ``SHA256SUMS``, which lists ``files`` files."""

    format: str = MANIFEST_FORMAT
    export_id: str
    installation: str
    tenant: str
    tenant_id: str
    controller: str
    instructed_by: str
    approver: str
    basis: ExitBasis
    reference: str
    recipients: list[str]
    began_at: str
    ended_at: str
    complete: bool
    environments: list[EnvironmentPart]
    journal: JournalPart
    files: int
    encrypted_bytes: int
    sums_sha256: str
    code_sha256: str
    terms: Terms

    def encode(self) -> bytes:
        """The file, byte for byte what is signed."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class Covered(msgspec.Struct, frozen=True):
    """What an export covered of one environment, as the host records it: a later write shows."""

    pack: int
    packs: int
    versions: int


def order(**fields: Any) -> ExitInstruction:
    """A checked instruction.

    Raises: ExitInstructionError: a field is missing, empty, too long, or not of its kind.
    """
    try:
        made = msgspec.convert(fields, ExitInstruction)
    except msgspec.ValidationError as error:
        raise ExitInstructionError(reason=str(error).rpartition("`$.")[2].strip("`") or "?") from error
    for name in ("controller", "instructed_by", "reference", "approver"):
        check_text(getattr(made, name), name)
    if not ACCOUNT.match(made.instructed_by):
        raise ExitInstructionError(reason="instructed_by is not an account")
    return made


def check_text(text: str, name: str) -> str:
    """A short line of text. Raises: ExitInstructionError: empty, too long, or several lines."""
    if not 1 <= len(text) <= TEXT_CHARACTERS_MAX or not text.isprintable():
        raise ExitInstructionError(reason=name)
    return text


def check_hands(requester: str, approver: str) -> str:
    """The approver's account, when it is somebody else's.

    Args: requester: as the journal names him (``local:root``). Raises: SameHandsError; ExitInstructionError.
    """
    if not ACCOUNT.match(approver):
        raise ExitInstructionError(reason="approver is not an account")
    if is_same_person(requester, approver):
        raise SameHandsError()
    return approver


def code_digest(code: str) -> bytes:
    """What the host keeps of a verification code: its SHA-256."""
    return hashlib.sha256(code.encode()).digest()


def pem_of(public_key: bytes) -> bytes:
    """An Ed25519 public key as ``openssl`` reads it."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def verify_manifest(data: bytes, signature: bytes, public_key: bytes) -> ExitManifest:
    """Read a manifest back.

    Raises: ExportDamagedError: not signed by this key, not in the format, or not byte for byte what it says.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise ExportDamagedError(name=MANIFEST, reason="its signature does not match") from error
    try:
        manifest = msgspec.json.decode(data, type=ExitManifest)
    except msgspec.DecodeError as error:
        raise ExportDamagedError(name=MANIFEST, reason="it is not in the format") from error
    if manifest.format != MANIFEST_FORMAT or manifest.encode() != data:
        raise ExportDamagedError(name=MANIFEST, reason="it is not in the format")
    return manifest
