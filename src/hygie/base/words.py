"""Words of names as people compare them: small letters without accents. Pure."""

from __future__ import annotations

import re
import unicodedata

LEAST = 3  # characters: particles and initials tell nobody apart
_OTHER = re.compile(r"[^a-z0-9]+")


def folded(text: str) -> str:
    """Small letters without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def words_of(text: str) -> frozenset[str]:
    """Its folded words of ``LEAST`` characters or more."""
    return frozenset(word for word in _OTHER.split(folded(text)) if len(word) >= LEAST)
