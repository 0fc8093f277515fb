"""Typed reads from the records of a file: what is wrong is refused with its line and the name of the field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from hygie.base.errors import HygieError
from hygie.proof.model import Text
from hygie.proof.referentials.documents import Record
from hygie.proof.referentials.tree import place, refused

TEXT_CHARS_MAX = 100_000  # of one text: the longest published one has some 20,000
ITEMS_MAX = 200_000  # of one list: see LINKS_MAX

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # a terminal would obey some of them
_YES, _NO = {"yes", "on", "y"}, {"no", "off", "n", ""}
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[Tt ].+)?")
_DIGITS = re.compile(r"[0-9]{1,9}")


def wrong(record: Record, name: str, *, fr: str, en: str) -> HygieError:
    """The error about one field of a record."""
    return refused(place(_named(record, name), record.line), fr=fr, en=en)


def text(record: Record, name: str, *, needed: bool = False) -> str:
    """A text, trimmed, without control characters; empty when absent.

    Raises: ReferentialRefusedError: not a text, too long, not encodable; absent though needed.
    """
    found = record.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if found is None or found == "":
        if needed:
            raise wrong(record, name, fr="champ absent", en="missing field")
        return ""
    if not isinstance(found, str):
        raise wrong(record, name, fr="un texte est attendu", en="a text is expected")
    if len(found) > TEXT_CHARS_MAX:
        raise wrong(
            record, name, fr=f"plus de {TEXT_CHARS_MAX} caractères", en=f"more than {TEXT_CHARS_MAX} characters"
        )
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise wrong(record, name, fr="caractère impossible", en="impossible character") from error
    return _CONTROLS.sub("", found.replace("\r\n", "\n").replace("\r", "\n")).strip()


def flag(record: Record, name: str) -> bool:
    """True or false; false when absent. Raises: ReferentialRefusedError."""
    found = record.get(name)
    if found is None or isinstance(found, bool):
        return bool(found)
    word = found.lower() if isinstance(found, str) else ""
    if word not in _YES | _NO or not isinstance(found, str):
        raise wrong(record, name, fr="vrai ou faux est attendu", en="true or false is expected")
    return word in _YES


def integer(record: Record, name: str) -> int | None:
    """A whole number from 0, of nine digits at most; None when absent. Raises: ReferentialRefusedError."""
    found = record.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | str) or not _DIGITS.fullmatch(str(found)):
        raise wrong(record, name, fr="un nombre entier est attendu", en="a whole number is expected")
    return int(found)


def day(record: Record, name: str) -> date | None:
    """A date, or the date of an instant (ISO 8601); None when absent.

    Raises: ReferentialRefusedError: not a date, or one that does not exist.
    """
    found = text(record, name)
    if not found:
        return None
    written = _DATE.fullmatch(found)
    try:
        if written is None:
            raise ValueError(found)
        return date.fromisoformat(written[1]) if written[0] == written[1] else datetime.fromisoformat(found).date()
    except ValueError as error:
        raise wrong(record, name, fr="date impossible", en="impossible date") from error


def records(record: Record, name: str) -> Iterator[Record]:
    """The records of a list, or the only one when there is no list. Raises: ReferentialRefusedError."""
    found = record.get(name)
    if found is None:
        return
    for each in _items(record, name, [found] if isinstance(found, Record) else found):
        if not isinstance(each, Record):
            raise wrong(record, name, fr="une liste d'objets est attendue", en="a list of objects is expected")
        yield each


def one(record: Record, name: str) -> Record:
    """A record; an empty one when absent. Raises: ReferentialRefusedError."""
    found = record.get(name)
    if found is None:
        empty = Record()
        empty.line = record.line
        return empty
    if not isinstance(found, Record):
        raise wrong(record, name, fr="un objet est attendu", en="an object is expected")
    return found


def texts(record: Record, name: str) -> tuple[str, ...]:
    """The texts of a list, or of a text with commas; each once, in order. Raises: ReferentialRefusedError."""
    found = record.get(name)
    if found is None:
        return ()
    items = found.split(",") if isinstance(found, str) else _items(record, name, found)
    held = Record()
    held.line = record.line
    taken: dict[str, None] = {}
    for item in items:
        held[name] = item
        taken[text(held, name)] = None
    return tuple(item for item in taken if item)


def bilingual(record: Record, name: str, locale: str) -> Text:
    """A text in French and in English, from the record and its ``translations``; the one repeats the other when a
    language is missing. Raises: ReferentialRefusedError."""
    base = text(record, name)
    translations = one(record, "translations")
    told = {spoken: text(one(translations, spoken), name) for spoken in ("fr", "en") if spoken in translations}
    told = {spoken: said for spoken, said in told.items() if said}
    if locale in {"fr", "en"} and base:
        told[locale] = base
    other = base or next(iter(told.values()), "")
    return Text(told.get("fr", told.get("en", other)), told.get("en", other))


def _items(record: Record, name: str, found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise wrong(record, name, fr="une liste est attendue", en="a list is expected")
    if len(found) > ITEMS_MAX:
        raise wrong(record, name, fr=f"plus de {ITEMS_MAX} éléments", en=f"more than {ITEMS_MAX} items")
    return found


def _named(record: Record, name: str) -> str:
    """``urn: field``: the record is found by its line, or by what it is called."""
    for key in ("urn", "id", "uuid", "ref_id"):
        called = record.get(key)
        if isinstance(called, str) and called and key != name:
            return f"{called}: {name}"
    return name
