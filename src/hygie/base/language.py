"""French or English, by the person's locale. Both sentences stand side by side in the code.

Source: docs/adr/0003-sentences-side-by-side.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache

from hygie.base.errors import Language

_language: ContextVar[Language | None] = ContextVar("hygie_language", default=None)
_LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # in the order POSIX gives them


def language_of_locale(environ: Mapping[str, str] | None = None) -> Language:
    """French when the POSIX locale says so, else English.

    Args: environ: variables to read instead of the process's own.
    """
    variables = os.environ if environ is None else environ
    for name in _LOCALE_VARIABLES:
        value = variables.get(name, "")
        if value:
            return "fr" if value.lower().split(".")[0].split("_")[0] in {"fr", "french"} else "en"
    return "en"


@lru_cache(maxsize=1024)
def language_asked(header: bytes) -> Language:
    """French, unless an ``Accept-Language`` prefers English (RFC 9110, section 12.5.4)."""
    best: dict[str, float] = {}
    for rank, item in enumerate(header.decode("latin-1").lower().split(",")[:20]):
        tag, _, weight = item.strip().partition(";")
        weighs = quality(weight) - rank * 1e-6
        primary = tag.split("-")[0].strip()
        if primary in {"fr", "en"} and weighs > best.get(primary, 0.0):
            best[primary] = weighs
    return "en" if best.get("en", 0.0) > best.get("fr", 0.0) else "fr"


def quality(weight: str) -> float:
    """The weight of one choice in an ``Accept…`` header, from 0 to 1; one that cannot be read weighs nothing."""
    name, _, value = weight.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return max(0.0, min(1.0, float(value)))
    except ValueError:
        return 0.0


def set_language(language: Language | None) -> None:
    """Choose the language of this task (and of the tasks it starts); ``None`` goes back to the locale."""
    _language.set(language)


def current_language() -> Language:
    """The language chosen for this task, or the locale's."""
    return _language.get() or language_of_locale()


def say(*, fr: str, en: str) -> str:
    """The sentence in the person's language."""
    return fr if current_language() == "fr" else en
