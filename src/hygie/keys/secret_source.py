"""Where a start takes the passphrase from: a descriptor, a private file, or a systemd credential; shares likewise.

What a parent gives its child through a descriptor: the passphrase as it is, or shares, one a line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hygie.base.passphrase import PASSPHRASE_BYTES_MAX, passphrase_of, read_passphrase, systemd_credential
from hygie.keys.errors import KmsSettingsError
from hygie.keys.sealing import SHARES_MAX, Passphrase, Secret, Shares

SHARE_BYTES_MAX = 128  # a printed share has 90


@dataclass(frozen=True, slots=True)
class SecretSource:
    """At most one of: fd (read to its end, then closed), file, credential (a name under $CREDENTIALS_DIRECTORY)."""

    fd: int | None = None
    file: Path | None = None
    credential: str | None = None

    def read(self) -> Passphrase | None:
        """The passphrase without the end of its line; None: no source, somebody unseals later.

        Raises: ExposedFileError: readable by others, or absent; UnreadableSettingsError: not one line of UTF-8.
        """
        if self.fd is not None:
            with os.fdopen(self.fd, "rb") as stream:
                return Passphrase(passphrase_of(stream.read(PASSPHRASE_BYTES_MAX + 3), "kms.passphrase"))
        if self.credential is not None:
            return Passphrase(read_passphrase(systemd_credential(self.credential), guarded=True))
        return Passphrase(read_passphrase(self.file)) if self.file is not None else None


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
