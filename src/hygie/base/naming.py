"""Whether a text names a patient by number: what looks like a national health identity (INS). Pure.

Source: ANS, *Référentiel INS*: a matricule is a NIR or a NIA, 13 characters and a key of 2 that a sum ties to them. One
text in 97 that has the form has the key by chance: it is refused too, and is written otherwise.
"""

from __future__ import annotations

import re
import unicodedata

from hygie.base.identifiers import InvalidIdentifierError, nir_key

# Fifteen characters, each behind one blank or mark at most; or in the groups of a health card (1 85 07 75 123 456 08),
# with any few marks between groups and a word before the key. Matched at each place: a number may follow another one.
_SPACED = r"[1-478](?:[\s.\-/]?\d){4}[\s.\-/]?(?:\d[\s.\-/]?\d|2[\s.\-/]?[AB])(?:[\s.\-/]?\d){8}"
_GAP = r"[^\dA-Z]{0,3}"
_GROUPED = _GAP.join((r"[1-478]", r"\d\d", r"\d\d", r"(?:\d\d|2[AB])", r"\d{3}", r"\d{3}"))
_FORMS = [
    re.compile(rf"(?<!\d)(?=({form})(?!\d))", re.IGNORECASE)
    for form in (_SPACED, rf"{_GROUPED}{_GAP}(?:CLÉ|CLE|KEY)?{_GAP}\d\d")
]
_NUMBER = re.compile(r"\d|(?<=2)[AB]", re.IGNORECASE)
# Letters of western languages need no folding; superscripts, the soft hyphen and whatever comes later do.
_TO_FOLD = re.compile("[\u00ad\u00b2\u00b3\u00b9\u0300-\U0010ffff]")
_MINUS = "\u2212"
_CHARACTERS = 15


def looks_like_ins(text: str) -> bool:
    """Whether a text holds 15 characters that read as a matricule with a right key, blanks and marks aside.

    Digits of any script and width count, and characters that nobody sees do not.
    """
    folded = _folded(text) if _TO_FOLD.search(text) else text
    if len(folded) < _CHARACTERS:
        return False
    return any(_key_holds(found[1]) for form in _FORMS for found in form.finditer(folded))


def _key_holds(found: str) -> bool:
    number = "".join(_NUMBER.findall(found)).upper()
    try:
        return nir_key(number[:13]) == number[13:]
    except InvalidIdentifierError:
        return False


def _folded(text: str) -> str:
    return "".join(_plain(one) for one in unicodedata.normalize("NFKC", text))


def _plain(one: str) -> str:
    if one.isdecimal():
        return str(unicodedata.decimal(one))
    category = unicodedata.category(one)
    if category == "Cf":
        return ""
    return "-" if category == "Pd" or one == _MINUS else one
