"""One sentence, in the person's language."""

from __future__ import annotations

import asyncio

import pytest

from hygie.base.language import current_language, language_asked, language_of_locale, say, set_language


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({"LANG": "fr_FR.UTF-8"}, "fr"),
        ({"LANG": "fr"}, "fr"),
        ({"LANG": "fr_CA.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "fr_FR", "LANG": "de_DE"}, "fr"),
        ({"LANG": "frr_DE"}, "en"),
        ({}, "en"),
    ],
)
def test_the_locale_decides(environ: dict[str, str], language: str) -> None:
    assert language_of_locale(environ) == language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (b"", "fr"), (b"en", "en"), (b"en-GB,en;q=0.9", "en"), (b"fr-FR,fr;q=0.9,en;q=0.8", "fr"), (b"de", "fr"),
        (b"fr, en", "fr"), (b"en, fr", "en"), (b"fr;q=0.1, en;q=0.2", "en"), (b"en;q=0.5, fr;q=0.6", "fr"),
        (b"de, en;q=0.8", "en"), (b"en;q=0", "fr"), (b"en;q=x", "fr"), (b"en-GB, x-fr", "en"),
    ],
)  # fmt: skip
def test_french_unless_english_is_asked_for_first(header: bytes, language: str) -> None:
    assert language_asked(header) == language


def test_a_choice_wins_over_the_locale_and_stays_in_its_task() -> None:
    async def in_french() -> str:
        set_language("fr")
        await asyncio.sleep(0)
        return say(fr="oui", en="yes")

    async def both() -> list[str]:
        set_language("en")
        return [await asyncio.create_task(in_french()), say(fr="oui", en="yes")]

    assert asyncio.run(both()) == ["oui", "yes"]
    assert current_language() in {"fr", "en"}
