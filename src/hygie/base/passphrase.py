"""The passphrase that seals the root key: what it must be, and the one way to read it from a file or a pipe."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from itertools import pairwise
from pathlib import Path

from hygie.base.errors import SettingsError
from hygie.base.settings_checks import UnreadableSettingsError, check_secret_file

PASSPHRASE_BYTES_MAX = 1024
PASSPHRASE_CHARACTERS_MIN = 16
PASSPHRASE_DISTINCT_MIN = 8
PASSPHRASE_BITS_MIN = 80  # above what ANSSI asks of a password (guide of 2021), because an attacker may try offline
_LETTERS_MIN = 8  # beside a common word: fewer are its decoration
# The words people reach for, without accents; the longer first.
_COMMON = re.compile(
    r"correcthorsebatterystaple|administrateur|administrator|motdepasse|passphrase|changezmoi|bienvenue|password"
    r"|iloveyou|changeme|welcome|docteur|default|exemple|example|letmein|jetaime|bonjour|hopital|azerty|qwerty"
    r"|secret|soleil|doudou|health|hygie|admin|passe|sante|12345|demo|test"
)


class WeakPassphraseError(SettingsError):
    """The passphrase that seals the root key could be guessed offline."""

    code = "HYG-601"
    fr = "La phrase secrète est trop faible : prenez {characters} caractères variés ou plus (six mots tirés au sort)."
    en = "The passphrase is too weak: take at least {characters} varied characters (six words drawn at random)."


def check_passphrase(passphrase: str) -> None:
    """Refuse a passphrase that could be guessed offline; never repeated.

    A length and a number of different characters, then an estimate in bits: repeats, runs (``abcd``, ``9876``,
    ``acegi``) and common words count as one character each.  An upper bound of a human's entropy, so the bar is high.
    Raises: WeakPassphraseError.
    """
    normal = unicodedata.normalize("NFKC", passphrase)
    if (
        len(normal) < PASSPHRASE_CHARACTERS_MIN
        or len(set(normal.casefold())) < PASSPHRASE_DISTINCT_MIN
        or _is_decorated(normal)
        or passphrase_bits(normal) < PASSPHRASE_BITS_MIN
    ):
        raise WeakPassphraseError(characters=PASSPHRASE_CHARACTERS_MIN)


def passphrase_bits(passphrase: str) -> float:
    """An estimate of strength, bits, see :func:`check_passphrase`."""
    whole = _COMMON.sub("a", _plain(passphrase))
    text = next((whole[:n] for n in range(1, len(whole) // 2 + 1) if whole == whole[:n] * (len(whole) // n)), whole)
    steps = [ord(b) - ord(a) for a, b in pairwise("\0" + text)]
    kept = [c for c, step, before in zip(text, steps, [0, *steps], strict=False) if abs(step) > 1 and step != before]
    alphabet = sum(
        size
        for size, holds in (
            (26, any(c.islower() for c in passphrase)),
            (26, any(c.isupper() for c in passphrase)),
            (10, any(c.isdigit() for c in passphrase)),
            (32, any(not c.isalnum() for c in passphrase)),
        )
        if holds
    )
    # A repeated pattern brings nothing: no more characters count than three times the distinct ones.
    return min(len(kept), 3 * len(set(kept))) * math.log2(alphabet or 1)


def read_passphrase(path: Path, *, guarded: bool = False) -> str:
    """The passphrase that a private file holds. guarded: systemd guards it, by an access list that modes do not show.

    Raises: ExposedFileError: others may read it, or it is absent; UnreadableSettingsError: not one line of UTF-8.
    """
    if not guarded:
        check_secret_file(path)
    try:
        with path.open("rb") as file:
            raw = file.read(PASSPHRASE_BYTES_MAX + 3)
    except OSError as error:
        raise UnreadableSettingsError(file=path.name, detail=type(error).__name__) from error
    return passphrase_of(raw, path.name)


def passphrase_of(raw: bytes, source: str) -> str:
    """One line of UTF-8, without its end. source: for the error. Raises: UnreadableSettingsError."""
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UnreadableSettingsError(file=source, detail=type(error).__name__) from error
    if not text or "\n" in text or len(text.encode()) > PASSPHRASE_BYTES_MAX:
        raise UnreadableSettingsError(file=source, detail=f"one line, 1 to {PASSPHRASE_BYTES_MAX} bytes")
    return text


def systemd_credential(name: str) -> Path:
    """Where systemd put a credential. Raises: UnreadableSettingsError: it gave none, or this is no name of one."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder or "/" in name or name in {"", ".", ".."}:
        raise UnreadableSettingsError(file=f"systemd:{name}", detail="systemd gave no such credential")
    return Path(folder) / name


def _plain(text: str) -> str:
    """Lower case without accents, one character for one."""
    return "".join(unicodedata.normalize("NFD", c)[0] for c in text.lower())


def _is_decorated(text: str) -> bool:
    """Whether it is common words with little beside them."""
    letters = "".join(c for c in _plain(text) if c.isalnum())
    rest = _COMMON.sub("", letters)
    return rest != letters and sum(c.isalpha() for c in rest) < _LETTERS_MIN
