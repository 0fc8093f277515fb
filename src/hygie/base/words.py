"""Words of names as people compare them: small letters without accents. Pure."""

from __future__ import annotations

import re
import unicodedata

_OTHER = re.compile(r"[^a-z0-9]+")


def folded(text: str) -> str:
    """Small letters without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def words_of(text: str, *, least: int = 3) -> frozenset[str]:
    """Its folded words of at least that many characters: particles and initials tell nobody apart."""
    return frozenset(word for word in _OTHER.split(folded(text)) if len(word) >= least)
