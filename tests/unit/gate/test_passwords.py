"""What is refused as a password, how one is kept, and how many are verified at once."""

from __future__ import annotations

import asyncio

import pytest

from hygie.gate.errors import PasswordRefusedError, SignInsBusyError
from hygie.gate.passwords import WAITING_MAX, WAITING_OF_ONE_MAX, PasswordHashes, check_password


@pytest.mark.parametrize(
    "password",
    [
        *("", "elevenchars", "x" * 129, "aaaaaaaaaaaaaaaaaa", "abababababababab", "12345678901234567890"),
        *("motdepasse2026!", "Mot de passe 2026", "P@ssw0rdP@ssw0rd", "azertyuiop1234", "Bienvenue2026!!"),
        *("marie.durand.9", "Durand-Marie-1978", "MARIEDURAND12!", "Hopital-Paris-2026", "soleilsoleil2025"),
        *("with\x00a zero byte", "tab\tinside the word", "décembre2026 été"),
    ],
)
def test_what_guessers_try_first_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(PasswordRefusedError) as caught:
        check_password(password, account="marie.durand", label="Marie Durand")
    for language in ("fr", "en"):
        assert len(password) < 3 or password not in caught.value.sentence(language)


@pytest.mark.parametrize(
    "password",
    [
        *("cheval pile agrafe 9 correct", "Tr0ub4dor&3-lune", "kJ8#pQ2!vX9z", "une phrase à moi, longue"),
        *("ça fume dans la cuisine", "日本語のパスワードは長い方がいい", "correcthorsebatterystaple"),
    ],
)
def test_what_is_long_and_its_own_is_taken(password: str) -> None:
    check_password(password, account="marie.durand", label="Marie Durand")


def test_a_hash_is_argon2id_with_a_salt_of_its_own_and_knows_its_password_only() -> None:
    async def main() -> None:
        hashes = PasswordHashes()
        composed, decomposed = "été à la plage", "e\u0301te\u0301 a\u0300 la plage"
        one, two = await hashes.make(composed), await hashes.make(composed)
        assert one != two
        assert one.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert await hashes.verify(composed, one)
        assert await hashes.verify(decomposed, one)  # another keyboard
        assert not await hashes.verify(composed + " ", one)
        assert not await hashes.verify("\ud800", one)
        for kept in (None, "", "$argon2id$", "plain"):
            assert not await hashes.verify(composed, kept)

    asyncio.run(main())


def test_the_queue_is_bounded_and_one_address_does_not_fill_it() -> None:
    async def main() -> None:
        hashes = PasswordHashes()
        held = [hashes.place("one") for _ in range(WAITING_OF_ONE_MAX)]
        held += [hashes.place(f"other {n}") for n in range(WAITING_MAX - WAITING_OF_ONE_MAX)]
        for rank, place in enumerate(held):
            await place.__aenter__()
            if rank == WAITING_OF_ONE_MAX - 1:
                with pytest.raises(SignInsBusyError):
                    await hashes.place("one").__aenter__()
        with pytest.raises(SignInsBusyError):
            await hashes.place("a newcomer").__aenter__()
        for place in held:
            await place.__aexit__(None, None, None)
        async with hashes.place("one"):
            pass

    asyncio.run(main())
