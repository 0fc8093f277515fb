"""Every method of :class:`hygie.keys.kms.Kms` written once over one function that carries a question.

The socket client carries it to the KMS's process; the in-process form hands it to the same dispatch as the server.
Batches over BATCH_MAX are cut here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from hygie.keys import messages
from hygie.keys.kms import BATCH_MAX, KmsStatus, Level, UnwrapLine
from hygie.keys.messages import Question

_WRAPPED = tuple[int, list[bytes]]
T = TypeVar("T")


class KmsCalls(ABC):
    """The Kms protocol, over :meth:`ask`."""

    @abstractmethod
    async def ask(self, question: Question, kind: Any) -> Any:
        """Carry one question; the answer has the type ``kind``, or the refusal is raised."""

    async def create_tenant(self, tenant_id: bytes) -> None:
        """See Kms.create_tenant."""
        await self.ask(messages.CreateTenant(tenant_id), None)

    async def create_environment(self, tenant_id: bytes, environment_id: bytes) -> None:
        """See Kms.create_environment."""
        await self.ask(messages.CreateEnvironment(tenant_id, environment_id), None)

    async def environment_key(self, tenant_id: bytes, environment_id: bytes, purpose: str) -> bytes:
        """See Kms.environment_key."""
        return cast(bytes, await self.ask(messages.EnvironmentKey(tenant_id, environment_id, purpose), bytes))

    async def current_epoch(self, tenant_id: bytes, environment_id: bytes) -> int:
        """See Kms.current_epoch."""
        return cast(int, await self.ask(messages.CurrentEpoch(tenant_id, environment_id), int))

    async def wrap(
        self, tenant_id: bytes, environment_id: bytes, keys: Sequence[tuple[bytes, bytes]]
    ) -> tuple[int, list[bytes]]:
        """See Kms.wrap; a new epoch opened between two batches starts the whole again: one epoch for all."""
        return await self._one_epoch(
            [messages.Wrap(tenant_id, environment_id, list(part)) for part in _parts(keys)], tenant_id, environment_id
        )

    async def unwrap(
        self,
        tenant_id: bytes,
        environment_id: bytes,
        items: Sequence[tuple[bytes, int, bytes]],
        *,
        permit_id: bytes,
        reason: str,
    ) -> list[bytes]:
        """See Kms.unwrap."""
        keys: list[bytes] = []
        for part in _parts(items):
            question = messages.Unwrap(tenant_id, environment_id, list(part), permit_id, reason)
            keys += await self.ask(question, list[bytes])
        return keys

    async def new_epoch(self, tenant_id: bytes, environment_id: bytes) -> int:
        """See Kms.new_epoch."""
        return cast(int, await self.ask(messages.NewEpoch(tenant_id, environment_id), int))

    async def rewrap(
        self, tenant_id: bytes, environment_id: bytes, items: Sequence[tuple[bytes, int, bytes]]
    ) -> tuple[int, list[bytes]]:
        """See Kms.rewrap."""
        return await self._one_epoch(
            [messages.Rewrap(tenant_id, environment_id, list(part)) for part in _parts(items)],
            tenant_id,
            environment_id,
        )

    async def destroy_epoch(
        self, tenant_id: bytes, environment_id: bytes, epoch: int, *, live_compartments: int
    ) -> None:
        """See Kms.destroy_epoch."""
        await self.ask(messages.DestroyEpoch(tenant_id, environment_id, epoch, live_compartments), None)

    async def destroy_environment(self, tenant_id: bytes, environment_id: bytes, *, repeated: bytes) -> None:
        """See Kms.destroy_environment."""
        await self.ask(messages.DestroyEnvironment(tenant_id, environment_id, repeated), None)

    async def rotate(self, level: Level, tenant_id: bytes = b"", environment_id: bytes = b"") -> None:
        """See Kms.rotate."""
        await self.ask(messages.Rotate(level, tenant_id, environment_id), None)

    async def rotate_signing_key(self, purpose: str) -> bytes:
        """See Kms.rotate_signing_key."""
        return cast(bytes, await self.ask(messages.RotateSigningKey(purpose), bytes))

    async def month_key(self, tenant_id: bytes, kind: str, month: str) -> bytes:
        """See Kms.month_key."""
        return cast(bytes, await self.ask(messages.MonthKey(tenant_id, kind, month), bytes))

    async def destroy_month_key(self, tenant_id: bytes, kind: str, month: str) -> None:
        """See Kms.destroy_month_key."""
        await self.ask(messages.DestroyMonthKey(tenant_id, kind, month), None)

    async def sign(self, purpose: str, message: bytes) -> bytes:
        """See Kms.sign."""
        return cast(bytes, await self.ask(messages.Sign(purpose, message), bytes))

    async def public_key(self, purpose: str) -> bytes:
        """See Kms.public_key."""
        return cast(bytes, await self.ask(messages.PublicKey(purpose), bytes))

    async def status(self) -> KmsStatus:
        """See Kms.status."""
        return cast(KmsStatus, await self.ask(messages.Status(), KmsStatus))

    async def export_state(self) -> bytes:
        """See Kms.export_state."""
        return cast(bytes, await self.ask(messages.ExportState(), bytes))

    async def unwrap_record(self, after_line: int, count: int) -> list[UnwrapLine]:
        """See Kms.unwrap_record."""
        return cast(list[UnwrapLine], await self.ask(messages.ReadUnwrapRecord(after_line, count), list[UnwrapLine]))

    async def unwrap_heads(self, lengths: Sequence[int]) -> list[list[bytes]]:
        """See Kms.unwrap_heads."""
        return cast(list[list[bytes]], await self.ask(messages.UnwrapHeads(list(lengths)), list[list[bytes]]))

    async def unseal(self, *, passphrase: str = "", shares: Sequence[str] = ()) -> int:
        """Give the passphrase, or shares (each holder may give theirs alone). Returns: shares still needed; 0: open.

        Raises: WrongPassphraseError; ShareRefusedError; UnsealTooSoonError.
        """
        return cast(int, await self.ask(messages.Unseal(passphrase, list(shares)), int))

    async def change_sealing(
        self,
        *,
        passphrase: str = "",
        shares: Sequence[str] = (),
        new_passphrase: str = "",
        new_shares: tuple[int, int] = (0, 0),
    ) -> list[str]:
        """A new root under a new passphrase or new shares (needed, made); the old ones given once more.

        Returns: the new shares as printed, once. Raises: as :meth:`unseal`; WeakPassphraseError (production).
        """
        question = messages.ChangeSealing(passphrase, list(shares), new_passphrase, *new_shares)
        return cast(list[str], await self.ask(question, list[str]))

    async def _one_epoch(
        self, questions: Sequence[Question], tenant_id: bytes, environment_id: bytes
    ) -> tuple[int, list[bytes]]:
        while True:
            answers: list[tuple[int, list[bytes]]] = [await self.ask(question, _WRAPPED) for question in questions]
            if not answers:
                return await self.current_epoch(tenant_id, environment_id), []
            if len({epoch for epoch, _ in answers}) == 1:
                return answers[0][0], [wrap for _, wraps in answers for wrap in wraps]


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[at : at + BATCH_MAX] for at in range(0, len(items), BATCH_MAX)]
