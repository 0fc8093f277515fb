"""The keys a backup needs: who signs, whose signatures are believed. Private keys stay in the KMS."""

from __future__ import annotations

from collections.abc import Sequence

from hygie.journal.checkpoint import ED25519, VerifierKey
from hygie.keys.kms import Kms, KmsStatus


class KmsSigner:
    """Signs with one purpose's key of the KMS."""

    def __init__(self, kms: Kms, purpose: str, public_key: bytes) -> None:
        self._kms = kms
        self._purpose = purpose
        self.public_key = public_key

    @staticmethod
    async def of(kms: Kms, purpose: str) -> KmsSigner:
        """The signer of a purpose (``backup``, ``drill``)."""
        return KmsSigner(kms, purpose, await kms.public_key(purpose))

    async def sign(self, message: bytes) -> bytes:
        """Ed25519 signature of the message as it is."""
        return await self._kms.sign(self._purpose, message)


class PlainMonthKeys:
    """Month keys asked from the KMS once each; for a run that ends, never for a service."""

    def __init__(self, kms: Kms) -> None:
        self._kms = kms
        self._kept: dict[tuple[bytes, str, str], bytes] = {}

    async def month_key(self, tenant_id: bytes, kind: str, month: str) -> bytes:
        """See ``journal.protocols.MonthKeys``."""
        wanted = (tenant_id, kind, month)
        if wanted not in self._kept:
            self._kept[wanted] = await self._kms.month_key(*wanted)
        return self._kept[wanted]


async def public_keys(kms: Kms, purpose: str) -> list[bytes]:
    """Every public key of a purpose, the one that signs now first, retired ones after."""
    return keys_in(await kms.status(), purpose)


def keys_in(status: KmsStatus, purpose: str) -> list[bytes]:
    """See :func:`public_keys`."""
    keys = [key for key in status.signing_keys if key.purpose == purpose]
    return [key.public_key for key in sorted(keys, key=lambda key: (key.until_ms is not None, -(key.until_ms or 0)))]


def log_keys_of(status: KmsStatus) -> Sequence[VerifierKey]:
    """The journal's keys as verifiers take them, the one that signs now first. The name is that of the key state."""
    origin = f"hygie/{status.state_id.hex()[:16]}"
    return [VerifierKey(origin, ED25519, key) for key in keys_in(status, "journal")]
