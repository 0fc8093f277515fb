"""What opens a backed-up key state, as a person gives it: a file, shares, the keyboard; never an argument's value."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hygie.base.language import say

if TYPE_CHECKING:
    from hygie.keys.sealing import Secret

SHARE_BYTES_MAX = 4096
PIPE_BYTES_MAX = 65_536


def read_secret(credential: Path | None, share_files: list[Path], *, fd: int | None = None) -> Secret:
    """The passphrase of a private file, the shares of private files, what a parent sends through a pipe, or a prompt.

    Raises: KmsSettingsError: a file is absent or readable by others.
    """
    from hygie.keys.sealing import Passphrase, Shares
    from hygie.keys.secret_source import SecretSource

    if fd is not None:
        with os.fdopen(fd, "rb") as stream:
            given = json.loads(stream.read(PIPE_BYTES_MAX))
        return Shares(given["shares"]) if "shares" in given else Passphrase(given["passphrase"])
    if share_files:
        texts = []
        for path in share_files:
            share = SecretSource(file=path).read()
            assert share is not None
            texts.append(share.text.strip())
        return Shares(texts)
    if credential is not None:
        passphrase = SecretSource(file=credential).read()
        assert passphrase is not None
        return passphrase
    typed = typer.prompt(
        say(fr="Phrase de passe des clés sauvegardées", en="Passphrase of the backed-up keys"), hide_input=True
    )
    return Passphrase(typed)


def send_secret(secret: Secret) -> int:
    """A pipe that holds the secret for one child: the read end, which the child inherits."""
    from hygie.keys.sealing import Shares

    shown = {"shares": secret.texts} if isinstance(secret, Shares) else {"passphrase": secret.text}
    read_end, write_end = os.pipe()
    os.write(write_end, json.dumps(shown).encode())
    os.close(write_end)
    os.set_inheritable(read_end, True)
    return read_end
