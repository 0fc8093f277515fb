"""French or English, by the person's locale. Both sentences stand side by side in the code.

Source: docs/adr/0003-sentences-side-by-side.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar

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


def set_language(language: Language | None) -> None:
    """Choose the language of this task (and of the tasks it starts); ``None`` goes back to the locale."""
    _language.set(language)


def current_language() -> Language:
    """The language chosen for this task, or the locale's."""
    return _language.get() or language_of_locale()


def say(*, fr: str, en: str) -> str:
    """The sentence in the person's language."""
    return fr if current_language() == "fr" else en
