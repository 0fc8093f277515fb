"""The KMS as the rest of Hygie sees it: one protocol, drivers behind (file; later PKCS#11 and OpenBao).

Hierarchy: root key → tenant key → environment key → (environment secret → purpose keys; epoch keys → wraps of
compartment keys).  Keys above the epoch never leave the KMS; purpose keys and month keys do, to processes that the
socket admits; compartment keys leave unwrapped, one durable record per batch.  ``tests/contract/kms_contract.py`` is
the suite every driver runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

ID_BYTES = 16  # tenant and environment ids
PLATFORM = bytes(ID_BYTES)  # tenant and environment of the platform's own scope, which is nobody's
COMPARTMENT_ID_BYTES_MAX = 64
KEY_BYTES = 32
BATCH_MAX = 4096  # keys per wrap or unwrap request: one request stays under 1 MiB
REASON_CHARACTERS_MAX = 64
HEADS_MAX = 64  # lengths of the unwrap record asked at once
EPOCHS_LIVE_MAX = 64  # bounds the state file; 64 epochs of 7 days are over a year without destruction

Level = Literal["root", "tenant", "environment"]
SIGNING_PURPOSES = ("journal", "backup", "erasure", "drill", "dossier", "intervention")


class KmsProperties(msgspec.Struct, frozen=True):
    """What a driver can and cannot promise; checks of the proof plane read it.

    key_exportable: someone with the machine and the passphrase can copy the keys; hardware: held in an HSM;
    sealing: "passphrase", "shares" or the driver's own; shares_needed, shares_made: 0 when there are none.
    """

    driver: str
    key_exportable: bool
    hardware: bool
    unwraps_recorded: bool
    sealing: str
    shares_needed: int = 0
    shares_made: int = 0


class EpochStatus(msgspec.Struct, frozen=True):
    """A live epoch. wraps: wraps counted durably so far (a lower bound)."""

    epoch: int
    created_at_ms: int
    wraps: int


class EnvironmentStatus(msgspec.Struct, frozen=True):
    """An environment: its live epochs, oldest first, and when its key was made."""

    tenant_id: bytes
    environment_id: bytes
    key_at_ms: int
    epochs: list[EpochStatus]
    epochs_destroyed: int
    destroyed: bool


class SigningKeyStatus(msgspec.Struct, frozen=True):
    """A public key; ``until_ms`` is None while it signs."""

    purpose: str
    public_key: bytes
    from_ms: int
    until_ms: int | None


class KmsStatus(msgspec.Struct, frozen=True):
    """What the KMS says of itself. While sealed, only ``sealed``, ``properties`` and the record's head are known.

    unwraps: keys unwrapped since the state was made; unwrap_lines and unwrap_head: length and last hash of the unwrap
    record's chain (the journal anchors them).
    """

    sealed: bool
    properties: KmsProperties
    state_id: bytes
    generation: int
    root_at_ms: int
    tenants: int
    environments: list[EnvironmentStatus]
    signing_keys: list[SigningKeyStatus]
    unwraps: int
    unwrap_lines: int
    unwrap_head: bytes


class UnwrapLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the unwrap record: a batch asked by one process under one permit.

    line: rank in the whole chain, from 0; compartments: pseudonyms (hex); outcome: "done" or the code of the refusal.
    """

    line: int
    at_ms: int
    pid: int
    uid: int
    tenant: str
    environment: str
    permit: str
    reason: str
    outcome: str
    compartments: list[str]


class Kms(Protocol):
    """The keys, asked asynchronously. Every method may raise KmsUnavailableError or KmsSealedError (retry later).

    Ids are 16 bytes, compartment ids 1..64 bytes, keys 32 bytes. UnknownKeyError: never made here; KeyDestroyedError
    (410): made, then destroyed; KmsRequestError: outside a limit.
    """

    async def create_tenant(self, tenant_id: bytes) -> None:
        """Make the tenant's key. Made already: nothing happens."""

    async def create_environment(self, tenant_id: bytes, environment_id: bytes) -> None:
        """Make the environment's key, its secret and epoch 1. Made already: nothing; destroyed: KeyDestroyedError."""

    async def environment_key(self, tenant_id: bytes, environment_id: bytes, purpose: str) -> bytes:
        """The 32-byte key of one purpose (``[a-z][a-z0-9-]{0,31}``); the same for ever, rotations included."""
        ...

    async def current_epoch(self, tenant_id: bytes, environment_id: bytes) -> int:
        """The epoch that wraps now, from 1."""
        ...

    async def wrap(
        self, tenant_id: bytes, environment_id: bytes, keys: Sequence[tuple[bytes, bytes]]
    ) -> tuple[int, list[bytes]]:
        """Wrap (compartment id, key) pairs under the current epoch; wraps in the order given."""
        ...

    async def unwrap(
        self,
        tenant_id: bytes,
        environment_id: bytes,
        items: Sequence[tuple[bytes, int, bytes]],
        *,
        permit_id: bytes,
        reason: str,
    ) -> list[bytes]:
        """Unwrap (compartment id, epoch, wrap) items, all or none; recorded durably before any key leaves.

        Raises: KeyDestroyedError: an epoch is gone; WrapBrokenError: a wrap is altered or not at its own place;
        UnwrapRecordUnavailableError: the record cannot be written.
        """
        ...

    async def new_epoch(self, tenant_id: bytes, environment_id: bytes) -> int:
        """Open the next epoch; the older ones still unwrap until destroyed."""
        ...

    async def rewrap(
        self, tenant_id: bytes, environment_id: bytes, items: Sequence[tuple[bytes, int, bytes]]
    ) -> tuple[int, list[bytes]]:
        """Wrap again under the current epoch what an older one wrapped; no key leaves."""
        ...

    async def destroy_epoch(
        self, tenant_id: bytes, environment_id: bytes, epoch: int, *, live_compartments: int
    ) -> None:
        """Destroy an epoch key, irreversibly. Destroyed already: nothing happens.

        Args: live_compartments: how many compartments the caller's ledger of the later epochs holds.
        Raises: DestructionGuardError: the current epoch, or later epochs have wrapped fewer keys than that.
        """

    async def destroy_environment(self, tenant_id: bytes, environment_id: bytes, *, repeated: bytes) -> None:
        """Destroy every key of an environment, irreversibly.

        Args: repeated: the environment's id again. Raises: DestructionGuardError: it differs.
        """

    async def rotate(self, level: Level, tenant_id: bytes = b"", environment_id: bytes = b"") -> None:
        """Replace one key and wrap its children again; purpose, epoch, month and signing keys stay the same."""

    async def rotate_signing_key(self, purpose: str) -> bytes:
        """Replace a signing key; the old public key stays listed. Returns the new public key."""
        ...

    async def month_key(self, tenant_id: bytes, kind: str, month: str) -> bytes:
        """The 32-byte key of one class of entries (``kind``) in one month (``2026-11``), made at first use."""
        ...

    async def destroy_month_key(self, tenant_id: bytes, kind: str, month: str) -> None:
        """Destroy a month key, irreversibly; it is never made again."""

    async def sign(self, purpose: str, message: bytes) -> bytes:
        """Ed25519 signature (64 bytes) of the message as it is: the caller gives bytes that carry their own context.

        Raises: CertificateRefusedError: under ``intervention``, anything but an SSH certificate of an hour at most.
        """
        ...

    async def public_key(self, purpose: str) -> bytes:
        """The 32-byte Ed25519 public key that signs now."""
        ...

    async def status(self) -> KmsStatus:
        """What the KMS holds, without any key; answers while sealed."""
        ...

    async def export_state(self) -> bytes:
        """The state as stored, every key wrapped under the root: for the backup apart, under its short retention."""
        ...

    async def unwrap_record(self, after_line: int, count: int) -> list[UnwrapLine]:
        """Lines of the unwrap record after ``after_line`` (-1: from the first), at most ``count`` and 1,000.

        Fewer when they name very many compartments; none: there are no more.
        """
        ...

    async def unwrap_heads(self, lengths: Sequence[int]) -> list[list[bytes]]:
        """For each length (lines, at most HEADS_MAX), the hashes that the unwrap record's chain has had there.

        None: the record is shorter. Raises: UnwrapRecordBrokenError: it does not follow.
        """
        ...


async def platform_key(kms: Kms, purpose: str) -> bytes:
    """The 32-byte key of one purpose of the platform's own scope, which is made at first use.

    Raises: KmsUnavailableError.
    """
    await kms.create_tenant(PLATFORM)
    await kms.create_environment(PLATFORM, PLATFORM)
    return await kms.environment_key(PLATFORM, PLATFORM, purpose)
