"""An opened environment: its secret, its epoch keys, and wrapping under them. Pure: no file, no clock.

Source: docs/formats/kms.md v1, "Wrap".  A wrap is ``0x01 | nonce 12 | AES-256-GCM(compartment key) 32 | tag 16`` under
the epoch key, with canonical("hygie kms wrap v1", tenant, environment, epoch, compartment) authenticated: moved to
another compartment, epoch, environment or tenant it does not open.  Nonces are random, so an epoch key wraps at most
2**32 times (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hygie.base.canonical import canonical
from hygie.keys.errors import EpochFullError, KeyDestroyedError, KmsRequestError, UnknownKeyError, WrapBrokenError
from hygie.keys.kms import BATCH_MAX, COMPARTMENT_ID_BYTES_MAX, KEY_BYTES
from hygie.keys.state import EnvironmentBody, EnvironmentRecord, EpochKey

WRAP_VERSION = 1
NONCE_BYTES = 12
WRAP_BYTES = 1 + NONCE_BYTES + KEY_BYTES + 16
WRAPS_PER_EPOCH_MAX = 2**32
RESERVE_WRAPS = 2**16  # one state write allows so many wraps; a restart gives up what is left of it
_VERSION = bytes((WRAP_VERSION,))


class Environment:
    """One environment's keys in memory."""

    def __init__(self, tenant_id: bytes, record: EnvironmentRecord, body: EnvironmentBody) -> None:
        self.tenant_id = tenant_id
        self.record = record
        self.body = body
        self.used = {epoch.epoch: epoch.reserved for epoch in body.epochs}  # nonces spent, as far as is written down
        self._ciphers: dict[int, AESGCM] = {}
        self._prefixes: dict[int, bytes] = {}

    @property
    def current(self) -> EpochKey:
        """The epoch that wraps."""
        return self.body.epochs[-1]

    def purpose_key(self, purpose: str) -> bytes:
        """HKDF-SHA256 of the environment's secret: rotations of keys above never change it."""
        info = canonical("hygie environment key v1", self.tenant_id, self.record.environment_id, purpose)
        return HKDF(SHA256(), KEY_BYTES, None, info).derive(self.body.secret)

    def epoch(self, number: int) -> EpochKey:
        """A live epoch.

        Raises: KeyDestroyedError: it was destroyed; UnknownKeyError: it was never opened.
        """
        for epoch in self.body.epochs:
            if epoch.epoch == number:
                return epoch
        if 1 <= number < self.current.epoch:
            raise KeyDestroyedError(part="epoch")
        raise UnknownKeyError(part="epoch")

    def lacks(self, count: int) -> int:
        """How far ``reserved`` must be raised before ``count`` more wraps; 0: nothing to write.

        Raises: EpochFullError.
        """
        epoch = self.current
        after = self.used[epoch.epoch] + count
        if after <= epoch.reserved:
            return 0
        reserved = after + RESERVE_WRAPS
        if reserved > WRAPS_PER_EPOCH_MAX:
            raise EpochFullError(epoch=epoch.epoch)
        return reserved

    def wrap(self, keys: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Wrap under the current epoch; the caller has reserved them.

        Raises: KmsRequestError: an id or a key of a wrong length.
        """
        epoch = self.current
        cipher, prefix = self._cipher(epoch), self._prefix(epoch.epoch)
        noise = os.urandom(NONCE_BYTES * len(keys))
        wraps = []
        for rank, (compartment_id, key) in enumerate(keys):
            if len(key) != KEY_BYTES:
                raise KmsRequestError(reason=f"a key has {KEY_BYTES} bytes")
            nonce = noise[NONCE_BYTES * rank : NONCE_BYTES * (rank + 1)]
            wraps.append(_VERSION + nonce + cipher.encrypt(nonce, key, prefix + _field(compartment_id)))
        self.used[epoch.epoch] += len(keys)
        epoch.wraps += len(keys)
        return wraps

    def unwrap(self, items: Sequence[tuple[bytes, int, bytes]]) -> list[bytes]:
        """Open wraps, all or none.

        Raises: KeyDestroyedError, UnknownKeyError: an epoch; WrapBrokenError: with the rank of the first bad one.
        """
        keys = []
        for rank, (compartment_id, number, wrap) in enumerate(items):
            epoch = self.epoch(number)
            if len(wrap) != WRAP_BYTES or wrap[0] != WRAP_VERSION:
                raise WrapBrokenError(index=rank)
            aad = self._prefix(number) + _field(compartment_id)
            try:
                keys.append(self._cipher(epoch).decrypt(wrap[1 : 1 + NONCE_BYTES], wrap[1 + NONCE_BYTES :], aad))
            except InvalidTag as error:
                raise WrapBrokenError(index=rank) from error
        return keys

    def changed(self, body: EnvironmentBody) -> Environment:
        """The same environment with another body, counters kept."""
        after = Environment(self.tenant_id, self.record, body)
        for number in after.used:
            after.used[number] = self.used.get(number, 0)
        return after

    def copy_body(self) -> EnvironmentBody:
        """A body that may be altered without touching this one."""
        body = msgspec.structs.replace(self.body)
        body.epochs = [msgspec.structs.replace(epoch) for epoch in self.body.epochs]
        return body

    def _cipher(self, epoch: EpochKey) -> AESGCM:
        cipher = self._ciphers.get(epoch.epoch)
        if cipher is None:
            cipher = self._ciphers[epoch.epoch] = AESGCM(epoch.key)
        return cipher

    def _prefix(self, number: int) -> bytes:
        prefix = self._prefixes.get(number)
        if prefix is None:
            whole = canonical("hygie kms wrap v1", self.tenant_id, self.record.environment_id, number, b"")
            prefix = self._prefixes[number] = whole[:-4]  # without the length of the last field
        return prefix


def check_batch(count: int) -> None:
    """Refuse a batch outside the limits.

    Raises: KmsRequestError.
    """
    if not 1 <= count <= BATCH_MAX:
        raise KmsRequestError(reason=f"a batch has 1 to {BATCH_MAX} keys")


def check_compartment(compartment_id: bytes) -> None:
    """Refuse an id of a compartment outside the limits.

    Raises: KmsRequestError.
    """
    if not 1 <= len(compartment_id) <= COMPARTMENT_ID_BYTES_MAX:
        raise KmsRequestError(reason=f"a compartment id has 1 to {COMPARTMENT_ID_BYTES_MAX} bytes")


def new_epoch(number: int, now_ms: int) -> EpochKey:
    """A fresh epoch key."""
    return EpochKey(number, os.urandom(KEY_BYTES), now_ms, 0, 0)


def _field(compartment_id: bytes) -> bytes:
    check_compartment(compartment_id)
    return struct.pack(">I", len(compartment_id)) + compartment_id
