"""What opens keys, as a person gives it: a file, shares, the keyboard; never an argument's value.

Commands that start the installation themselves take it by :func:`given_secret`, those that open backed-up keys by
:func:`read_secret`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hygie.base.language import current_language, say
from hygie.cli.errors import NoTerminalError
from hygie.cli.frame import Frame

if TYPE_CHECKING:
    from hygie.keys.sealing import Secret, Shares

PIPE_BYTES_MAX = 65_536


def ask_option() -> Any:
    """``--ask`` of every command that starts the installation."""
    help_text = say(fr="Taper la phrase de passe, ou les parts.", en="Type the passphrase, or the shares.")
    return typer.Option("--ask", help=help_text)


def share_option() -> Any:
    """``--share-file`` of every command that opens keys."""
    help_text = say(fr="Fichier privé d'une part (à répéter).", en="Private file of one share (repeat).")
    return typer.Option("--share-file", help=help_text)


def given_secret(frame: Frame, *, ask: bool, share_files: Sequence[Path] | None) -> Secret | None:
    """What a person gives to open the keys of this installation; None: nothing, its settings name a credential.

    Raises: SettingsError: a share's file is absent or readable by others; NoTerminalError.
    """
    from hygie.keys.file_root import sealing_in
    from hygie.keys.sealing import Passphrase, Shares

    if share_files:
        return shares_in(share_files)
    if not ask:
        return None
    how = sealing_in(frame.folder.kms)
    if how is not None and how.kind == "shares":
        check_terminal("--share-file")
        return Shares(_typed_shares(how.shares_needed, set_id=how.salt))
    check_terminal("kms.credential")
    first = how is None  # this passphrase will seal the keys: a slip of the hand would lose them
    return Passphrase(_typed(say(fr="Phrase de passe", en="Passphrase"), twice=first))


def read_secret(credential: Path | None, share_files: list[Path], *, fd: int | None = None) -> Secret:
    """The passphrase of a private file, the shares of private files, what a parent sends through a pipe, or a prompt.

    Raises: SettingsError: a file is absent or readable by others; NoTerminalError.
    """
    from hygie.keys.sealing import SHARE_PREFIX, SHARES_MAX, Passphrase, Shares
    from hygie.keys.secret_source import SecretSource

    if fd is not None:
        with os.fdopen(fd, "rb") as stream:
            given = json.loads(stream.read(PIPE_BYTES_MAX))
        return Shares(given["shares"]) if "shares" in given else Passphrase(given["passphrase"])
    if share_files:
        return shares_in(share_files)
    if credential is not None:
        passphrase = SecretSource(file=credential).read()
        assert passphrase is not None
        return passphrase
    check_terminal("--credential, --share-file")
    typed = _typed(
        say(
            fr="Phrase de passe des clés sauvegardées, ou première part",
            en="Passphrase of the backed-up keys, or first share",
        )
    )
    if not typed.casefold().startswith(f"{SHARE_PREFIX}-"):
        return Passphrase(typed)
    texts = [typed]
    while len(texts) < SHARES_MAX and (more := _typed(_share_label(len(texts) + 1), empty=True)):
        texts.append(more)
    return Shares(texts)


def send_secret(secret: Secret) -> int:
    """A pipe that holds the secret for one child: the read end, which the child inherits."""
    from hygie.keys.sealing import Shares

    shown = {"shares": secret.texts} if isinstance(secret, Shares) else {"passphrase": secret.text}
    read_end, write_end = os.pipe()
    os.write(write_end, json.dumps(shown).encode())
    os.close(write_end)
    os.set_inheritable(read_end, True)
    return read_end


def check_terminal(option: str) -> None:
    """Refuse to ask where nobody can type. Raises: NoTerminalError: with what to give instead."""
    if not sys.stdin.isatty():
        raise NoTerminalError(option=option)


def typed_secret(*, by_shares: bool) -> Secret:
    """One share, or the passphrase, typed. Raises: NoTerminalError."""
    from hygie.keys.sealing import Passphrase, Shares

    check_terminal("--share-file" if by_shares else "kms.credential")
    if by_shares:
        return Shares([_typed(say(fr="Votre part", en="Your share"))])
    return Passphrase(_typed(say(fr="Phrase de passe", en="Passphrase")))


def asked(label: str, option: str, *, hidden: bool = True, twice: bool = False) -> str:
    """One line that a person types, or that a script writes on the standard input, one a line.

    Args: option: what to do where nobody can type. Raises: NoTerminalError.
    """
    if sys.stdin.isatty():
        suffix = say(fr=" : ", en=": ")
        again: bool | str = say(fr="Encore une fois", en="Once more") if twice else False
        return str(typer.prompt(label, hide_input=hidden, confirmation_prompt=again, prompt_suffix=suffix, err=True))
    line = sys.stdin.readline()
    if not line:
        raise NoTerminalError(option=option)
    return line.rstrip("\r\n")


def typed_token() -> str:
    """An access token, typed. Raises: NoTerminalError."""
    check_terminal("--token-file")
    return _typed(say(fr="Jeton d'accès", en="Access token"))


def shares_in(files: Sequence[Path]) -> Shares:
    """The shares of private files. Raises: SettingsError: one is absent, or readable by others."""
    from hygie.keys.sealing import Shares
    from hygie.keys.secret_source import SecretSource

    texts = []
    for path in files:
        share = SecretSource(file=path).read()
        assert share is not None
        texts.append(share.text.strip())
    return Shares(texts)


def _typed_shares(needed: int, *, set_id: bytes) -> list[str]:
    """As many different shares of this set as are needed; what is mistyped is said and asked again."""
    from hygie.keys.errors import ShareRefusedError
    from hygie.keys.sealing import read_share

    held: dict[int, str] = {}
    while len(held) < needed:
        text = _typed(f"{_share_label(len(held) + 1)}/{needed}")
        try:
            index, _ = read_share(text, set_id=set_id)
        except ShareRefusedError as error:
            typer.echo(error.sentence(current_language()), err=True)
            continue
        if index in held:
            typer.echo(say(fr="Cette part est déjà donnée.", en="This share was given already."), err=True)
        held[index] = text
    return list(held.values())


def _share_label(rank: int) -> str:
    return say(fr=f"Part {rank}", en=f"Share {rank}")


def _typed(label: str, *, twice: bool = False, empty: bool = False) -> str:
    """One line typed without being shown. twice: typed again to be sure; empty: a bare return ends."""
    shown = f"{label} ({say(fr='vide pour finir', en='empty to end')})" if empty else label
    default = "" if empty else None
    return str(
        typer.prompt(
            shown,
            hide_input=True,
            confirmation_prompt=say(fr="Encore une fois", en="Once more") if twice else False,
            default=default,
            show_default=False,
            prompt_suffix=say(fr=" : ", en=": "),
            err=True,
        )
    )
