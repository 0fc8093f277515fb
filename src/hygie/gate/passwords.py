"""Passwords: what is refused as one, how one is kept, and how many are verified at once.

Source: RFC 9106 (Argon2id); ANSSI, "Recommandations relatives à l'authentification multifacteur et aux mots de passe"
(2021).  A verification takes 64 MiB and about 130 ms on purpose, so few run at once and few wait.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from hygie.base.words import folded, words_of
from hygie.gate.errors import PasswordRefusedError, SignInsBusyError
from hygie.gate.refusals import neighbourhood

CHARACTERS_MIN, CHARACTERS_MAX = 12, 128
DIFFERENT_MIN = 6  # different characters
AT_ONCE = 2  # verifications of this process under way: 128 MiB
WAITING_MAX = 16
WAITING_OF_ONE_MAX = 4  # from one address
T = TypeVar("T")
_HASHER = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4, hash_len=32, salt_len=16, type=Type.ID)
# The roots of the passwords that every list of leaks begins with, French ones too: what is left of a password once they
# are taken out must still be long enough.
COMMON = (
    *("password", "passw0rd", "motdepasse", "mot de passe", "azerty", "qwerty", "qsdfgh", "wxcvbn", "asdfgh", "zxcvbn"),
    *("123456789", "12345678", "1234567", "123456", "12345", "1234", "987654321", "0123456789", "111111", "000000"),
    *("abcdef", "abcd", "abc123", "iloveyou", "jetaime", "doudou", "loulou", "chouchou", "soleil", "bonjour"),
    *("welcome", "bienvenue", "admin", "administrateur", "administrator", "root", "superviseur", "letmein", "secret"),
    *(
        "changeme",
        "changezmoi",
        "changez",
        "default",
        "defaut",
        "football",
        "dragon",
        "monkey",
        "princess",
        "princesse",
    ),
    *("sunshine", "shadow", "master", "marseille", "paris", "france", "hopital", "clinique", "sante", "chu"),
    *("docteur", "medecin", "infirmier", "infirmiere", "hygie", "login", "user", "utilisateur", "test", "compte"),
    *("janvier", "fevrier", "mars", "avril", "juin", "juillet", "aout", "septembre", "octobre", "novembre", "decembre"),
    *("printemps", "automne", "hiver", "nicolas", "camille", "thomas", "julien", "marine", "superman", "pokemon"),
)
_LEET = str.maketrans("@4310$5!7€", "aaeiossite")
_YEAR = re.compile(r"(19|20)\d\d")
LEFT_MIN = 8  # characters that are nothing common


def check_password(password: str, *, account: str, label: str = "") -> None:
    """Whether somebody may take this password.

    Raises: PasswordRefusedError: too short or too long, too few different characters, made of what guessers try first,
    or of the account's own name.
    """
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        _refuse(
            f"de {CHARACTERS_MIN} à {CHARACTERS_MAX} caractères", f"{CHARACTERS_MIN} to {CHARACTERS_MAX} characters"
        )
    if not password.isprintable():
        _refuse("un caractère ne se voit pas", "a character does not show")
    plain = folded(password)
    if len(set(plain)) < DIFFERENT_MIN or Counter(plain).most_common(1)[0][1] > len(plain) / 2:
        _refuse("trop de caractères répétés", "too many repeated characters")
    own = [*words_of(f"{account} {label}")]
    own.append(folded(account))
    if len(_without(plain, own)) < LEFT_MIN:
        _refuse("trop proche du nom du compte", "too close to the account's name")
    if min(len(_without(one, [*own, *COMMON])) for one in (plain, plain.translate(_LEET))) < LEFT_MIN:
        _refuse("parmi les premiers que l'on essaie", "among the first that guessers try")


def _refuse(fr: str, en: str) -> None:
    raise PasswordRefusedError(reason_fr=fr, reason_en=en)


def _without(text: str, words: list[str]) -> str:
    """What is left once these words, years and the like are taken out."""
    for word in sorted(words, key=len, reverse=True):
        if word:
            text = text.replace(word, "")
    return _YEAR.sub("", text)


def _plain(password: str) -> bytes:
    """The same bytes whatever keyboard composed the accents (RFC 8265, 4.2: NFC)."""
    return unicodedata.normalize("NFC", password[: CHARACTERS_MAX + 1]).encode("utf-8", "surrogatepass")


class PasswordHashes:
    """Makes and verifies hashes, a few at once. One per process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hygie-password")
        self._waiting: Counter[str] = Counter()
        self._dummy: str | None = None

    @asynccontextmanager
    async def place(self, address: str) -> AsyncIterator[None]:
        """A place in the queue, held until the end. Raises: SignInsBusyError: it is full, or full of this address."""
        address = neighbourhood(address)
        if self._waiting.total() >= WAITING_MAX or self._waiting[address] >= WAITING_OF_ONE_MAX:
            raise SignInsBusyError(part="gate")
        self._waiting[address] += 1
        try:
            yield
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]

    async def make(self, password: str) -> str:
        """The hash (PHC string, with its salt) of a password."""
        return await self._run(lambda: _HASHER.hash(_plain(password)))

    async def verify(self, password: str, kept: str | None) -> bool:
        """Whether this is the password; with nothing kept, false after the same time."""
        dummy = self._dummy = self._dummy or await self.make("nobody has this password")
        return await self._run(lambda: _matches(kept or dummy, password)) and kept is not None

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _matches(kept: str, password: str) -> bool:
    try:
        return _HASHER.verify(kept, _plain(password))
    except (Argon2Error, InvalidHashError):
        return False
