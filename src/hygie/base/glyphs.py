"""What the fonts embedded in papers can show (Libertinus Serif, DejaVu Sans Mono, inside Typst). Pure.

An archival PDF may hold no character that its fonts lack, and Typst makes none then: such a character is told by its
number, ``[U+6771]``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

# By first and last code point: Latin, Greek, Cyrillic, punctuation, currencies, arrows and signs.
_SHOWN = (
    *((0x20, 0x3FF), (0x400, 0x4FF), (0x1E00, 0x1FFF), (0x2010, 0x2027), (0x202F, 0x2040), (0x2044, 0x2052)),
    *((0x2070, 0x20BF), (0x2116, 0x2116), (0x2122, 0x2122), (0x2190, 0x22FF), (0x25A0, 0x25FF)),
)
# Most texts are these alone (Latin, no-break spaces, quotation marks, dashes): they are not looked at one by one.
_PLAIN = re.compile("[\n\t -~\u00a0-\u00ac\u00ae-\u024f\u2010-\u2027\u202f]*")


def displayable(text: str) -> str:
    """The text, with each character that the fonts cannot show or that nobody sees told by its number: ``[U+6771]``."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(one if _is_shown(one) else f"[U+{ord(one):04X}]" for one in text)


def displayable_values(value: Any) -> Any:
    """Plain values (texts, lists, maps), each text made displayable; keys of maps are left as they are."""
    if isinstance(value, str):
        return displayable(value)
    if isinstance(value, Mapping):
        return {name: displayable_values(each) for name, each in value.items()}
    return [displayable_values(each) for each in value] if isinstance(value, list | tuple) else value


def _is_shown(one: str) -> bool:
    if one in "\n\t":
        return True
    point = ord(one)
    return unicodedata.category(one)[0] != "C" and any(first <= point <= last for first, last in _SHOWN)
