"""The root of the file KMS: made, sealed, opened with spaced attempts, changed; and the signing keys under it.

Source: docs/formats/kms.md v1, "Sealing of the root".
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.base.clock import Clock, SystemClock
from hygie.base.passphrase import check_passphrase
from hygie.keys import sealing, ssh_authority
from hygie.keys.errors import (
    KmsSealedError,
    KmsSettingsError,
    ShareRefusedError,
    UnknownKeyError,
    UnsealTooSoonError,
    WrongPassphraseError,
)
from hygie.keys.file_state import OpenState
from hygie.keys.kms import KEY_BYTES, SIGNING_PURPOSES
from hygie.keys.sealing import Passphrase, Secret, SharePlan
from hygie.keys.state import (
    ROOT_FILE,
    ROOT_MAGIC,
    RootBody,
    RootFile,
    SigningKey,
    StateFolder,
    decode,
    encode,
    root_meaning,
    seal_value,
)
from hygie.keys.unwrap_record import UnwrapRecord

UNSEAL_WAIT_S_MAX = 60  # 1, 2, 4 … 60 s after each failure: under 1,500 attempts a day


def sealing_in(folder: Path) -> sealing.Sealing | None:
    """How the root of a key folder is sealed, as its file says; None: there is no root yet. Nothing is opened.

    Raises: KmsStateBrokenError.
    """
    if not (folder / ROOT_FILE).exists():
        return None
    found = _root_file(StateFolder(folder)).sealing
    sealing.check_sealing(found)
    return found


def check_opens(folder: Path, secret: Secret) -> None:
    """Refuse a secret that does not open the root of this folder; for a passphrase, some 0.4 s.

    Raises: WrongPassphraseError; ShareRefusedError; SharesLackingError; KmsStateBrokenError.
    """
    file = _root_file(StateFolder(folder))
    sealing.open_root(file.sealing, secret, state_id=file.state_id)


class FileRoot:
    """The root key of one folder, closed until somebody gives the passphrase or the shares."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        production: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock or SystemClock()
        self._folder = StateFolder(folder)
        self._production = production
        self._monotonic = monotonic
        self._failures = 0
        self._next_attempt_s = 0.0
        self._lock = threading.RLock()
        self._state: OpenState | None = None
        self._signers: dict[str, Ed25519PrivateKey] = {}
        self._file: RootFile | None = None
        self._counted: set[tuple[bytes, bytes]] = set()
        self.record = UnwrapRecord(folder, self._clock)

    # --- life

    @staticmethod
    def create(
        folder: Path,
        how: Passphrase | SharePlan,
        *,
        clock: Clock | None = None,
        production: bool = False,
        scrypt_n: int = sealing.SCRYPT_N,
    ) -> list[str]:
        """Make a new state in an empty folder.

        Args: scrypt_n: lower only in tests. Returns: the printed shares, once; empty for a passphrase.
        Raises: WeakPassphraseError (production); KmsSettingsError: the folder holds a state, or a share plan is wrong.
        """
        now = (clock or SystemClock()).now_ms()
        _check_secret(how, production=production, scrypt_n=scrypt_n)
        state_id, root = os.urandom(16), os.urandom(KEY_BYTES)
        sealed, box_keys, shares = _seal_root(root, how, state_id=state_id, scrypt_n=scrypt_n)
        signing = [_new_signing_key(purpose, now) for purpose in SIGNING_PURPOSES]
        body = RootBody(1, now, [], signing, box_keys)
        file = RootFile(state_id, now, sealed, b"")
        file.body = seal_value(body, key=root, meaning=root_meaning(file))
        target = StateFolder(folder)
        target.create()
        try:
            target.write(ROOT_FILE, encode(ROOT_MAGIC, file))
        finally:
            target.release()
        return shares

    def open(self) -> None:
        """Take the folder and its record; the root stays sealed until :meth:`unseal`.

        Raises: KmsSettingsError: readable by others, in use, or sealed too weakly for production;
        KmsStateBrokenError; UnwrapRecordBrokenError.
        """
        self._folder.take()
        try:
            file = _root_file(self._folder)
            sealing.check_sealing(file.sealing)
            if file.sealing.kind == "passphrase":
                _check_scrypt_n(file.sealing.scrypt_n, production=self._production)
            self.record.open()
        except BaseException:
            self._folder.release()
            raise
        self._file = file

    def unseal(self, secret: Secret) -> None:
        """Open the root. Opened already: nothing happens.

        Raises: WrongPassphraseError; ShareRefusedError; UnsealTooSoonError: attempts are spaced after each failure;
        WeakPassphraseError (production).
        """
        with self._lock:
            file = self._known_file()
            if self._state is not None:
                return
            root = self._attempt(file, secret)
            if isinstance(secret, Passphrase) and self._production:
                check_passphrase(secret.text)
            self._state = OpenState(self._folder, file, root, self._clock)

    def close(self) -> None:
        """Write the counters, forget the keys, let go of the folder."""
        with self._lock:
            try:
                if self._state is not None:
                    self.save_counts()
            finally:
                self._state = None
                self._signers.clear()
                self.record.close()
                self._folder.release()

    @property
    def sealed(self) -> bool:
        """Nobody opened the root yet."""
        return self._state is None

    @property
    def shares_needed(self) -> int:
        """How many shares open the root; 0: a passphrase does."""
        return self._known_file().sealing.shares_needed

    @property
    def share_set(self) -> bytes:
        """The id that every share of this root carries.

        Raises: ShareRefusedError: this root is sealed by a passphrase.
        """
        how = self._known_file().sealing
        if how.kind != "shares":
            raise ShareRefusedError(reason="this root is sealed by a passphrase, not by shares")
        return how.salt

    def save_counts(self) -> None:
        """Write what is counted in memory; the floor above counts."""

    def change_sealing(
        self, current: Secret, how: Passphrase | SharePlan, *, scrypt_n: int = sealing.SCRYPT_N
    ) -> list[str]:
        """A new root under a new passphrase or new shares; the old ones open nothing made from now on.

        Returns: the printed shares, once. Raises: as :meth:`unseal` and :meth:`create`.
        """
        _check_secret(how, production=self._production, scrypt_n=scrypt_n)
        with self._lock:
            state = self._open()
            self._attempt(state.file, current)
            root = os.urandom(KEY_BYTES)
            sealed, box_keys, shares = _seal_root(root, how, state_id=state.file.state_id, scrypt_n=scrypt_n)
            body = msgspec.structs.replace(state.body, root_at_ms=self._clock.now_ms(), box_keys=box_keys)
            state.write_root(body, root=root, how=sealed)
            self._file = state.file
            return shares

    # --- signing

    def sign(self, purpose: str, message: bytes) -> bytes:
        """Ed25519 signature of the message as it is.

        Raises: CertificateRefusedError: under the purpose of interventions, anything but a short SSH certificate.
        """
        with self._lock:
            if purpose == ssh_authority.PURPOSE:
                public, now_s = self._signing_key(purpose).public, self._clock.now_ms() // 1000
                ssh_authority.check_signable(message, authority=public, now_s=now_s)
            signer = self._signers.get(purpose)
            if signer is None:
                private = self._signing_key(purpose).private
                signer = self._signers[purpose] = Ed25519PrivateKey.from_private_bytes(private)
        return signer.sign(message)

    def public_key(self, purpose: str) -> bytes:
        """The public key that signs now."""
        with self._lock:
            return self._signing_key(purpose).public

    def rotate_signing_key(self, purpose: str) -> bytes:
        """Replace a signing key; the old public key stays listed."""
        with self._lock:
            state = self._open()
            now = self._clock.now_ms()
            old, made = self._signing_key(purpose), _new_signing_key(purpose, now)
            retired = msgspec.structs.replace(old, private=b"", until_ms=now)
            signing = [retired if key is old else key for key in state.body.signing]
            state.write_root(msgspec.structs.replace(state.body, signing=[*signing, made]))
            self._signers.pop(purpose, None)
            return made.public

    # --- inside

    def _open(self) -> OpenState:
        if self._state is None:
            raise KmsSealedError()
        return self._state

    def _known_file(self) -> RootFile:
        if self._file is None:
            raise KmsSealedError()
        return self._file

    def _attempt(self, file: RootFile, secret: Secret) -> bytes:
        wait_s = self._next_attempt_s - self._monotonic()
        if wait_s > 0:
            raise UnsealTooSoonError(wait_s=int(wait_s) + 1)
        try:
            root = sealing.open_root(file.sealing, secret, state_id=file.state_id)
        except WrongPassphraseError:
            self._failures += 1
            self._next_attempt_s = self._monotonic() + min(UNSEAL_WAIT_S_MAX, 2 ** min(self._failures - 1, 10))
            raise
        self._failures = 0
        return root

    def _signing_key(self, purpose: str) -> SigningKey:
        for key in self._open().body.signing:
            if key.purpose == purpose and key.until_ms is None:
                return key
        if purpose not in SIGNING_PURPOSES:
            raise UnknownKeyError(part="signing")
        state, made = self._open(), _new_signing_key(purpose, self._clock.now_ms())  # an earlier version's state
        state.write_root(msgspec.structs.replace(state.body, signing=[*state.body.signing, made]))
        return made


def _root_file(folder: StateFolder) -> RootFile:
    return decode(ROOT_MAGIC, folder.read(ROOT_FILE), RootFile, ROOT_FILE)


def _seal_root(
    root: bytes, how: Passphrase | SharePlan, *, state_id: bytes, scrypt_n: int
) -> tuple[sealing.Sealing, list[bytes], list[str]]:
    if isinstance(how, SharePlan):
        return sealing.seal_under_shares(root, how, state_id=state_id)
    sealed, keys = sealing.seal_under_passphrase(root, how, state_id=state_id, scrypt_n=scrypt_n)
    return sealed, keys, []


def _check_secret(how: Passphrase | SharePlan, *, production: bool, scrypt_n: int) -> None:
    if not production:
        return
    if isinstance(how, Passphrase):
        check_passphrase(how.text)
    _check_scrypt_n(scrypt_n, production=production)


def _check_scrypt_n(scrypt_n: int, *, production: bool) -> None:
    if production and scrypt_n < sealing.SCRYPT_N_MIN_PRODUCTION:
        raise KmsSettingsError(setting="kms.scrypt_n", reason="too low for production")


def _new_signing_key(purpose: str, now_ms: int) -> SigningKey:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return SigningKey(purpose, private.private_bytes_raw(), public, now_ms, None)
