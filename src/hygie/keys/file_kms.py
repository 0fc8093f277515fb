"""The file KMS: keys in a private folder, the root sealed by a passphrase or by shares. Synchronous, thread-safe.

Source: docs/formats/kms.md v1; decisions: docs/adr/0004-file-kms.md.  Every mutation is durable before it answers.
A destruction writes the state without the key **under a new tenant key** and drops the old tenant key from the root
file: an older copy of a tenant's file opens no more, unless the root file of the same day is put back with it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from hygie.base.errors import HygieError
from hygie.keys import sealing
from hygie.keys.errors import (
    DestructionGuardError,
    KeyDestroyedError,
    KmsRequestError,
    UnknownKeyError,
)
from hygie.keys.file_root import FileRoot
from hygie.keys.file_state import with_environment
from hygie.keys.hierarchy import check_batch, check_compartment, new_epoch
from hygie.keys.kms import EPOCHS_LIVE_MAX, HEADS_MAX, KEY_BYTES, KmsProperties, KmsStatus, Level, UnwrapLine
from hygie.keys.names import (
    ENVIRONMENTS_MAX,
    MONTHS_MAX,
    TENANTS_MAX,
    check_id,
    check_kind,
    check_month,
    check_month_now,
    check_permit,
    check_purpose,
    check_reason,
)
from hygie.keys.peer import Peer
from hygie.keys.state import (
    ROOT_FILE,
    EnvironmentRecord,
    MonthKey,
    TenantBody,
    tenant_file,
)
from hygie.keys.status import environments_of, signing_keys_of


@dataclass(frozen=True, slots=True)
class UnwrapAsk:
    """One batch to unwrap, with who asks and why."""

    tenant_id: bytes
    environment_id: bytes
    items: Sequence[tuple[bytes, int, bytes]]
    permit_id: bytes
    reason: str
    peer: Peer


class FileKms(FileRoot):
    """The keys of one folder. One process at a time may open it."""

    # --- hierarchy

    def create_tenant(self, tenant_id: bytes) -> None:
        """Make a tenant's key; made already: nothing. Raises: KmsRequestError: TENANTS_MAX of them are there."""
        check_id(tenant_id, "tenant")
        with self._lock:
            state = self._open()
            known = state.tenant_ids()
            if tenant_id in known:
                return
            if len(known) >= TENANTS_MAX:
                raise KmsRequestError(reason=f"a key service has at most {TENANTS_MAX} tenants")
            state.add_tenant(tenant_id)

    def create_environment(self, tenant_id: bytes, environment_id: bytes) -> None:
        """Make an environment's key, secret and first epoch; made already: nothing.

        Raises: UnknownKeyError: no such tenant; KeyDestroyedError: the id was destroyed; KmsRequestError: too many.
        """
        check_id(environment_id, "environment")
        with self._lock:
            state = self._open()
            known = [record.environment_id for record in state.tenant(tenant_id).body.environments]
            if environment_id in known:
                state.environment(tenant_id, environment_id)
                return
            if len(known) >= ENVIRONMENTS_MAX:
                raise KmsRequestError(
                    reason=f"a tenant has at most {ENVIRONMENTS_MAX} environments, destroyed included"
                )
            state.add_environment(tenant_id, environment_id)

    def environment_key(self, tenant_id: bytes, environment_id: bytes, purpose: str) -> bytes:
        """The key of one purpose."""
        check_purpose(purpose)
        with self._lock:
            return self._open().environment(tenant_id, environment_id).purpose_key(purpose)

    def current_epoch(self, tenant_id: bytes, environment_id: bytes) -> int:
        """The epoch that wraps."""
        with self._lock:
            return self._open().environment(tenant_id, environment_id).current.epoch

    # --- wraps

    def wrap(
        self, tenant_id: bytes, environment_id: bytes, keys: Sequence[tuple[bytes, bytes]]
    ) -> tuple[int, list[bytes]]:
        """Wrap keys under the current epoch."""
        check_batch(len(keys))
        with self._lock:
            self._reserve(tenant_id, environment_id, len(keys))
            environment = self._open().environment(tenant_id, environment_id)
            self._counted.add((tenant_id, environment_id))
            return environment.current.epoch, environment.wrap(keys)

    def rewrap(
        self, tenant_id: bytes, environment_id: bytes, items: Sequence[tuple[bytes, int, bytes]]
    ) -> tuple[int, list[bytes]]:
        """Wrap again under the current epoch; the count is durable when it answers."""
        check_batch(len(items))
        with self._lock:
            keys = self._open().environment(tenant_id, environment_id).unwrap(items)
            pairs = [(item[0], key) for item, key in zip(items, keys, strict=True)]
            answer = self.wrap(tenant_id, environment_id, pairs)
            state = self._open()
            state.write_environment(state.tenant(tenant_id), state.environment(tenant_id, environment_id))
            return answer

    def unwrap(self, ask: UnwrapAsk) -> list[bytes]:
        """Unwrap one batch, recorded durably first."""
        answer = self.unwrap_many([ask])[0]
        if isinstance(answer, HygieError):
            raise answer
        return answer

    def unwrap_many(self, asks: Sequence[UnwrapAsk]) -> list[list[bytes] | HygieError]:
        """Unwrap several batches with one fsync of the record; each succeeds or is refused alone.

        Raises: UnwrapRecordUnavailableError: nothing was recorded, nothing leaves; KmsSealedError.
        """
        answers: list[list[bytes] | HygieError] = []
        lines: list[UnwrapLine] = []
        with self._lock:
            state = self._open()
            for ask in asks:
                try:
                    _check_ask(ask)
                except KmsRequestError as error:  # nothing of it is fit to be written in the record
                    answers.append(error)
                    continue
                answer: list[bytes] | HygieError
                try:
                    answer = state.environment(ask.tenant_id, ask.environment_id).unwrap(ask.items)
                except HygieError as error:
                    answer = error
                answers.append(answer)
                lines.append(_line_of(ask, answer.code if isinstance(answer, HygieError) else "done"))
        if lines:
            self.record.append(lines)
        return answers

    def unwrap_record(self, after_line: int, count: int) -> list[UnwrapLine]:
        """Lines of the record after one, at most 1,000."""
        return self.record.read(after_line, max(1, min(count, 1000)))

    def unwrap_heads(self, lengths: Sequence[int]) -> list[list[bytes]]:
        """Hashes of the record's chain at some lengths. Raises: KmsRequestError: too many asked at once."""
        if len(lengths) > HEADS_MAX or min(lengths, default=0) < 0:
            raise KmsRequestError(reason=f"at most {HEADS_MAX} lengths, none negative")
        return self.record.heads(lengths)

    # --- epochs and destruction

    def new_epoch(self, tenant_id: bytes, environment_id: bytes) -> int:
        """Open the next epoch.

        Raises: KmsRequestError: EPOCHS_LIVE_MAX epochs are live: destroy old ones first.
        """
        with self._lock:
            state = self._open()
            before = state.environment(tenant_id, environment_id)
            if len(before.body.epochs) >= EPOCHS_LIVE_MAX:
                raise KmsRequestError(reason=f"{EPOCHS_LIVE_MAX} epochs are live: destroy old ones first")
            body = before.copy_body()
            body.epochs.append(new_epoch(before.current.epoch + 1, self._clock.now_ms()))
            after = before.changed(body)
            state.write_environment(state.tenant(tenant_id), after)
            return after.current.epoch

    def destroy_epoch(self, tenant_id: bytes, environment_id: bytes, epoch: int, *, live_compartments: int) -> None:
        """Destroy an epoch key, irreversibly.

        Raises: DestructionGuardError: it is the current one, or fewer keys than ``live_compartments`` were wrapped
        under later epochs.
        """
        if live_compartments < 0:
            raise KmsRequestError(reason="a negative count")
        with self._lock:
            state = self._open()
            before = state.environment(tenant_id, environment_id)
            if epoch == before.current.epoch:
                raise DestructionGuardError(reason="the current epoch is never destroyed")
            try:
                before.epoch(epoch)
            except KeyDestroyedError:
                state.drop_old_tenant_keys(tenant_id)  # a destruction that was cut ends here
                return
            later = sum(kept.wraps for kept in before.body.epochs if kept.epoch > epoch)
            if later < live_compartments:
                reason = f"{live_compartments} live compartments, {later} keys wrapped under later epochs"
                raise DestructionGuardError(reason=reason)
            body = before.copy_body()
            body.epochs = [kept for kept in body.epochs if kept.epoch != epoch]
            body.epochs_destroyed += 1
            state.write_environment(state.tenant(tenant_id), before.changed(body), destroying=True)

    def destroy_environment(self, tenant_id: bytes, environment_id: bytes, *, repeated: bytes) -> None:
        """Destroy every key of an environment, irreversibly.

        Raises: DestructionGuardError: ``repeated`` is not the environment's id.
        """
        if repeated != environment_id:
            raise DestructionGuardError(reason="the environment's id was not repeated")
        with self._lock:
            state = self._open()
            tenant = state.tenant(tenant_id)
            try:
                state.environment(tenant_id, environment_id)
            except KeyDestroyedError:
                state.drop_old_tenant_keys(tenant_id)
                return
            now = self._clock.now_ms()
            record = EnvironmentRecord(environment_id, b"", now, now, b"")
            state.write_tenant(tenant, with_environment(tenant.body, record), destroying=True)
            tenant.environments.pop(environment_id, None)

    # --- rotation

    def rotate(self, level: Level, tenant_id: bytes = b"", environment_id: bytes = b"") -> None:
        """Replace one key and seal its children under the new one."""
        with self._lock:
            state = self._open()
            if level == "root":
                root = os.urandom(KEY_BYTES)
                body = msgspec.structs.replace(state.body, root_at_ms=self._clock.now_ms())
                how = sealing.reseal(root, state.file.sealing, body.box_keys, state_id=state.file.state_id)
                state.write_root(body, root=root, how=how)
                self._file = state.file
            elif level == "tenant":
                tenant = state.tenant(tenant_id)
                body_ = TenantBody(list(tenant.body.environments), list(tenant.body.months))
                state.write_tenant(tenant, body_, destroying=True)
            else:
                before = state.environment(tenant_id, environment_id)
                after = before.changed(before.copy_body())
                after.record = msgspec.structs.replace(
                    before.record, key=os.urandom(KEY_BYTES), key_at_ms=self._clock.now_ms()
                )
                state.write_environment(state.tenant(tenant_id), after, destroying=True)

    # --- month keys

    def month_key(self, tenant_id: bytes, kind: str, month: str) -> bytes:
        """The key of one class of entries in one month, made at first use.

        Raises: KeyDestroyedError: it was destroyed; it is never made again; KmsRequestError: no class of entries, or a
        month of another time.
        """
        check_kind(kind)
        check_month(month)
        with self._lock:
            state = self._open()
            tenant = state.tenant(tenant_id)
            for known in tenant.body.months:
                if (known.kind, known.month) == (kind, month):
                    if known.destroyed_at_ms is not None:
                        raise KeyDestroyedError(part="month")
                    return known.key
            check_month_now(month, created_at_ms=self._known_file().created_at_ms, now_ms=self._clock.now_ms())
            if len(tenant.body.months) >= MONTHS_MAX:
                raise KmsRequestError(reason=f"a tenant has at most {MONTHS_MAX} month keys")
            made = MonthKey(kind, month, os.urandom(KEY_BYTES), self._clock.now_ms(), None)
            state.write_tenant(tenant, TenantBody(list(tenant.body.environments), [*tenant.body.months, made]))
            return made.key

    def destroy_month_key(self, tenant_id: bytes, kind: str, month: str) -> None:
        """Destroy a month key, irreversibly; destroyed already: nothing."""
        with self._lock:
            state = self._open()
            tenant = state.tenant(tenant_id)
            for rank, known in enumerate(tenant.body.months):
                if (known.kind, known.month) == (kind, month):
                    if known.destroyed_at_ms is not None:
                        state.drop_old_tenant_keys(tenant_id)
                        return
                    months = list(tenant.body.months)
                    months[rank] = msgspec.structs.replace(known, key=b"", destroyed_at_ms=self._clock.now_ms())
                    state.write_tenant(tenant, TenantBody(list(tenant.body.environments), months), destroying=True)
                    return
            raise UnknownKeyError(part="month")

    # --- status and export

    def status(self) -> KmsStatus:
        """What the KMS holds, without any key."""
        with self._lock:
            file, state = self._known_file(), self._state
            how = file.sealing
            return KmsStatus(
                sealed=state is None,
                properties=KmsProperties(
                    driver="file",
                    key_exportable=True,
                    hardware=False,
                    unwraps_recorded=True,
                    sealing=how.kind,
                    shares_needed=how.shares_needed,
                    shares_made=how.shares_made,
                ),
                state_id=file.state_id,
                generation=0 if state is None else state.body.generation,
                root_at_ms=0 if state is None else state.body.root_at_ms,
                tenants=0 if state is None else len(state.tenant_ids()),
                environments=[] if state is None else environments_of(state),
                signing_keys=[] if state is None else signing_keys_of(state),
                unwraps=self.record.unwraps,
                unwrap_lines=self.record.lines,
                unwrap_head=self.record.head,
            )

    def export_state(self) -> bytes:
        """The files as stored, the root file last."""
        with self._lock:
            names = [tenant_file(tenant_id) for tenant_id in self._open().tenant_ids()]
            return self._folder.export([*names, ROOT_FILE])

    # --- inside

    def save_counts(self) -> None:
        """Write the counts of wraps made since the last write (the mass-destruction guard reads them)."""
        with self._lock:
            if self._state is None:
                return
            for tenant_id, environment_id in sorted(self._counted):
                with contextlib.suppress(KeyDestroyedError):
                    opened = self._state.environment(tenant_id, environment_id)
                    self._state.write_environment(self._state.tenant(tenant_id), opened)
                self._counted.discard((tenant_id, environment_id))

    def _reserve(self, tenant_id: bytes, environment_id: bytes, count: int) -> None:
        """Write down that the epoch key will be used so many times more, before it is."""
        state = self._open()
        before = state.environment(tenant_id, environment_id)
        reserved = before.lacks(count)
        if reserved:
            body = before.copy_body()
            body.epochs[-1].reserved = reserved
            state.write_environment(state.tenant(tenant_id), before.changed(body))


def _check_ask(ask: UnwrapAsk) -> None:
    """Shapes only, so that nothing of another shape is written in the record. Raises: KmsRequestError."""
    check_id(ask.tenant_id, "tenant")
    check_id(ask.environment_id, "environment")
    check_batch(len(ask.items))
    for compartment_id, _, _ in ask.items:
        check_compartment(compartment_id)
    check_permit(ask.permit_id)
    check_reason(ask.reason)


def _line_of(ask: UnwrapAsk, outcome: str) -> UnwrapLine:
    return UnwrapLine(
        line=0,
        at_ms=0,
        pid=ask.peer.pid,
        uid=ask.peer.uid,
        tenant=ask.tenant_id.hex(),
        environment=ask.environment_id.hex(),
        permit=ask.permit_id.hex(),
        reason=ask.reason,
        outcome=outcome,
        compartments=[item[0].hex() for item in ask.items],
    )
