"""The KMS's desk: hands each question to the file KMS in threads, unwraps waiting together sharing one fsync.

Three threads: one that writes the key record (it waits for the disk), one that reads it, one for the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hygie.keys import messages
from hygie.keys.errors import KmsRequestError, KmsUnavailableError, PeerRefusedError, ShareRefusedError
from hygie.keys.file_kms import FileKms, UnwrapAsk
from hygie.keys.kms import BATCH_MAX
from hygie.keys.peer import Peer
from hygie.keys.sealing import SHARES_MAX, Passphrase, Secret, SharePlan, Shares, read_share

GROUP_KEYS_MAX = 4 * BATCH_MAX  # keys opened for one fsync: about 40 ms of work, so nobody waits long behind it


class Desk:
    """Questions in, answers out; knows nothing of sockets."""

    def __init__(self, kms: FileKms) -> None:
        self._kms = kms
        self._work = ThreadPoolExecutor(1, "kms-work")
        self._recording = ThreadPoolExecutor(1, "kms-record")
        self._reading = ThreadPoolExecutor(1, "kms-read")
        self._waiting: list[tuple[UnwrapAsk, asyncio.Future[list[bytes]]]] = []
        self._recorder: asyncio.Task[None] | None = None
        self._shares: dict[int, str] = {}

    async def answer(self, question: messages.AnyQuestion, peer: Peer, *, administers: bool) -> object:
        """The answer to one question.

        Args: administers: the peer's user may destroy, rotate, export and unseal.
        Raises: HygieError: the refusal; KmsUnavailableError: the state cannot be written.
        """
        if not administers and not isinstance(question, messages.HOSTING):
            raise PeerRefusedError()
        if isinstance(question, messages.Unwrap):
            ask = UnwrapAsk(
                tenant_id=question.tenant_id,
                environment_id=question.environment_id,
                items=question.items,
                permit_id=question.permit_id,
                reason=question.reason,
                peer=peer,
            )
            return await self._unwrap(ask)
        loop = asyncio.get_running_loop()
        try:
            if isinstance(question, messages.UnwrapHeads | messages.ReadUnwrapRecord):
                return await loop.run_in_executor(self._reading, self._read, question)  # whole files: nobody waits
            return await loop.run_in_executor(self._work, self._do, question)
        except OSError as error:
            raise KmsUnavailableError(part="kms state") from error

    async def save_counts(self) -> None:
        """See FileKms.save_counts."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._work, self._kms.save_counts)
        except OSError as error:
            raise KmsUnavailableError(part="kms state") from error

    async def close(self) -> None:
        """End what is under way; the file KMS is closed by who opened it."""
        if self._recorder is not None:
            await self._recorder
        self._work.shutdown()
        self._recording.shutdown()
        self._reading.shutdown()

    # --- unwraps, grouped

    async def _unwrap(self, ask: UnwrapAsk) -> list[bytes]:
        future: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, future))
        if self._recorder is None or self._recorder.done():
            self._recorder = asyncio.create_task(self._record())
        return await future

    async def _record(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = self._take_group()
            answers: Sequence[list[bytes] | Exception]
            try:
                answers = await loop.run_in_executor(self._recording, self._kms.unwrap_many, [ask for ask, _ in group])
            except OSError as error:
                failure = KmsUnavailableError(part="kms state")
                failure.__cause__ = error
                answers = [failure] * len(group)
            except Exception as error:  # those who wait behind this group are served all the same
                answers = [error] * len(group)
            for (_, future), answer in zip(group, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _take_group(self) -> list[tuple[UnwrapAsk, asyncio.Future[list[bytes]]]]:
        keys = size = 0
        for ask, _ in self._waiting:
            keys += len(ask.items)
            if size and keys > GROUP_KEYS_MAX:
                break
            size += 1
        group, self._waiting = self._waiting[:size], self._waiting[size:]
        return group

    def _read(self, question: messages.ReadUnwrapRecord | messages.UnwrapHeads) -> object:
        if isinstance(question, messages.UnwrapHeads):
            return self._kms.unwrap_heads(question.lengths)
        return self._kms.unwrap_record(question.after_line, question.count)

    # --- everything else, in the work thread

    def _do(self, question: messages.AnyQuestion) -> object:
        kms = self._kms
        answer: object = None
        match question:
            case messages.CreateTenant(tenant):
                kms.create_tenant(tenant)
            case messages.CreateEnvironment(tenant, environment):
                kms.create_environment(tenant, environment)
            case messages.EnvironmentKey(tenant, environment, purpose):
                answer = kms.environment_key(tenant, environment, purpose)
            case messages.CurrentEpoch(tenant, environment):
                answer = kms.current_epoch(tenant, environment)
            case messages.Wrap(tenant, environment, keys):
                answer = kms.wrap(tenant, environment, keys)
            case messages.MonthKey(tenant, kind, month):
                answer = kms.month_key(tenant, kind, month)
            case messages.Sign(purpose, message):
                answer = kms.sign(purpose, message)
            case messages.PublicKey(purpose):
                answer = kms.public_key(purpose)
            case messages.Status():
                answer = kms.status()
            case _:
                answer = self._administer(question)
        return answer

    def _administer(self, question: messages.AnyQuestion) -> object:
        kms = self._kms
        answer: object = None
        match question:
            case messages.NewEpoch(tenant, environment):
                answer = kms.new_epoch(tenant, environment)
            case messages.Rewrap(tenant, environment, items):
                answer = kms.rewrap(tenant, environment, items)
            case messages.DestroyEpoch(tenant, environment, epoch, live):
                kms.destroy_epoch(tenant, environment, epoch, live_compartments=live)
            case messages.DestroyEnvironment(tenant, environment, repeated):
                kms.destroy_environment(tenant, environment, repeated=repeated)
            case messages.Rotate(level, tenant, environment):
                kms.rotate(level, tenant, environment)
            case messages.RotateSigningKey(purpose):
                answer = kms.rotate_signing_key(purpose)
            case messages.DestroyMonthKey(tenant, kind, month):
                kms.destroy_month_key(tenant, kind, month)
            case messages.ExportState():
                answer = kms.export_state()
            case messages.Unseal(passphrase, shares):
                answer = self._unseal(passphrase, shares)
            case messages.ChangeSealing():
                answer = self._change_sealing(question)
            case _:
                raise KmsRequestError(reason="an unknown operation")
        return answer

    def _unseal(self, passphrase: str, shares: list[str]) -> int:
        if not self._kms.sealed:
            return 0
        if not shares:
            self._kms.unseal(Passphrase(passphrase))
            return 0
        needed = self._kms.shares_needed
        for text in shares[:SHARES_MAX]:
            index, _ = read_share(text, set_id=self._kms.share_set)
            self._shares[index] = text
        if len(self._shares) < needed:
            return needed - len(self._shares)
        try:
            self._kms.unseal(Shares(list(self._shares.values())))
        finally:
            self._shares.clear()
        return 0

    def _change_sealing(self, question: messages.ChangeSealing) -> list[str]:
        if bool(question.new_passphrase) == bool(question.shares_made):
            raise ShareRefusedError(reason="give a new passphrase, or a number of new shares")
        current: Secret = Shares(question.shares) if question.shares else Passphrase(question.passphrase)
        how: Passphrase | SharePlan = Passphrase(question.new_passphrase)
        if question.shares_made:
            how = SharePlan(question.shares_needed, question.shares_made)
        return self._kms.change_sealing(current, how)
