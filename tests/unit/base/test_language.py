"""One sentence, in the person's language."""

from __future__ import annotations

import asyncio

import pytest

from hygie.base.language import current_language, language_of_locale, say, set_language


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
