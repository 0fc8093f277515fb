"""Where a start takes the passphrase from: a descriptor, a private file, or a systemd credential; shares likewise.

What a parent gives its child through a descriptor: the passphrase as it is, or shares, one a line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hygie.keys.errors import KmsSettingsError
from hygie.keys.sealing import PASSPHRASE_BYTES_MAX, SHARES_MAX, Passphrase, Secret, Shares
from hygie.keys.state import check_private

SHARE_BYTES_MAX = 128  # a printed share has 90


@dataclass(frozen=True, slots=True)
class SecretSource:
    """At most one of: fd (read to its end, then closed), file, credential (a name under $CREDENTIALS_DIRECTORY)."""

    fd: int | None = None
    file: Path | None = None
    credential: str | None = None

    def read(self) -> Passphrase | None:
        """The passphrase without its last newline; None: no source, somebody unseals later.

        Raises: KmsSettingsError: absent, empty, too long, not UTF-8, or readable by other users.
        """
        if self.fd is not None:
            with os.fdopen(self.fd, "rb") as stream:
                return _passphrase(stream.read(PASSPHRASE_BYTES_MAX + 2))
        path = self.file
        if self.credential is not None:
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            if not folder or "/" in self.credential or self.credential in {"", ".", ".."}:
                raise KmsSettingsError(setting="kms.credential", reason="systemd gave no such credential")
            path = Path(folder) / self.credential
        if path is None:
            return None
        try:
            if self.credential is None:  # systemd guards its own folder, with an access list that modes do not show
                check_private(path)
            with path.open("rb") as stream:
                return _passphrase(stream.read(PASSPHRASE_BYTES_MAX + 2))
        except OSError as error:
            raise KmsSettingsError(setting="kms.passphrase", reason="its file cannot be read") from error


def secret_bytes(secret: Secret) -> bytes:
    """What a parent writes for its child's descriptor: see :class:`SecretSource`, or :func:`read_shares`."""
    return "\n".join(secret.texts).encode() if isinstance(secret, Shares) else secret.text.encode()


def read_shares(fd: int) -> Shares:
    """Shares from a descriptor, one a line, which is then closed.

    Raises: KmsSettingsError: too long, or not UTF-8.
    """
    with os.fdopen(fd, "rb") as stream:
        raw = stream.read(SHARES_MAX * SHARE_BYTES_MAX + 1)
    try:
        texts = [line.strip() for line in raw.decode().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise KmsSettingsError(setting="kms.shares", reason="not UTF-8") from error
    if len(raw) > SHARES_MAX * SHARE_BYTES_MAX:
        raise KmsSettingsError(setting="kms.shares", reason=f"more than {SHARES_MAX} shares")
    return Shares(texts)


def _passphrase(raw: bytes) -> Passphrase:
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise KmsSettingsError(setting="kms.passphrase", reason="not UTF-8") from error
    if not 1 <= len(raw) <= PASSPHRASE_BYTES_MAX:
        raise KmsSettingsError(setting="kms.passphrase", reason=f"not 1 to {PASSPHRASE_BYTES_MAX} bytes")
    return Passphrase(text)
