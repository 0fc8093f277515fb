"""Reads the data files of the room: TOML rows, every field named and typed, refused whole with file, row and reason."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from importlib import resources
from typing import Any

from hygie.proof.certification.errors import CertificationDataError
from hygie.proof.model import Text

DATA_BYTES_MAX = 1_048_576  # a thousand times what these files hold; a larger one is another file


def own_file(name: str) -> str:
    """The text of a data file shipped in this room."""
    return resources.files("hygie.proof.certification").joinpath(name).read_text(encoding="utf-8")


def tables(file: str, text: str) -> dict[str, Any]:
    """A TOML text as a dict.

    Raises: CertificationDataError: too long, or not TOML.
    """
    if len(text.encode("utf-8", "surrogatepass")) > DATA_BYTES_MAX:
        reason = Text(f"{DATA_BYTES_MAX} octets au plus", f"at most {DATA_BYTES_MAX} bytes")
        raise CertificationDataError(file=file, field="-", reason=reason)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason = Text("ce n'est pas du TOML", "it is not TOML")
        raise CertificationDataError(file=file, field="-", reason=reason) from error


class Row:
    """One table of a data file, read strictly; each method raises CertificationDataError naming file, row, field."""

    def __init__(self, file: str, place: str, body: object) -> None:
        self.file, self.place = file, place
        self._read: set[str] = set()
        if not isinstance(body, Mapping):
            raise self.refused("-", Text("une table est attendue", "a table is expected"))
        self._body = body

    def refused(self, field: str, reason: Text) -> CertificationDataError:
        """The error to raise about one field of this row."""
        return CertificationDataError(file=self.file, field=f"{self.place}.{field}", reason=reason)

    def has(self, field: str) -> bool:
        """Whether the field is there."""
        return field in self._body

    def text(self, field: str, among: Collection[str] = ()) -> str:
        """A text that is not empty, one of these if some are given."""
        value = self._value(field)
        if not isinstance(value, str) or not value.strip():
            raise self.refused(field, Text("un texte est attendu", "a text is expected"))
        if among and value not in among:
            listed = ", ".join(sorted(among))
            raise self.refused(field, Text(f"valeur attendue parmi {listed}", f"value expected among {listed}"))
        return value

    def both(self, stem: str) -> Text:
        """The sentence of the fields stem_fr and stem_en."""
        return Text(self.text(f"{stem}_fr"), self.text(f"{stem}_en"))

    def number(self, field: str) -> int:
        """A whole number."""
        value = self._value(field)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refused(field, Text("un nombre entier est attendu", "a whole number is expected"))
        return value

    def flag(self, field: str) -> bool:
        """True or false."""
        value = self._value(field)
        if not isinstance(value, bool):
            raise self.refused(field, Text("vrai ou faux est attendu", "true or false is expected"))
        return value

    def day(self, field: str) -> date:
        """A civil date, without an hour."""
        value = self._value(field)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self.refused(field, Text("une date est attendue", "a date is expected"))
        return value

    def texts(self, field: str, among: Collection[str] = ()) -> tuple[str, ...]:
        """A list of texts, possibly empty; each among these if some are given."""
        values = self._value(field)
        if not isinstance(values, list) or any(not isinstance(value, str) or not value for value in values):
            raise self.refused(field, Text("une liste de textes est attendue", "a list of texts is expected"))
        if among and not set(values) <= set(among):
            listed = ", ".join(sorted(among))
            raise self.refused(field, Text(f"valeurs attendues parmi {listed}", f"values expected among {listed}"))
        return tuple(values)

    def numbers(self, field: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        values = self._value(field)
        if not isinstance(values, list) or any(isinstance(v, bool) or not isinstance(v, int) for v in values):
            raise self.refused(field, Text("des nombres entiers sont attendus", "whole numbers are expected"))
        return tuple(values)

    def names(self) -> tuple[str, ...]:
        """The names of its fields, when they are themselves data."""
        return tuple(str(name) for name in self._body)

    def table(self, field: str) -> object:
        """An inner table, to be read by a Row of its own."""
        return self._value(field)

    def done(self) -> None:
        """Refuse fields that nobody read: a misspelt one must not be silently without effect."""
        for field in self._body:
            if field not in self._read:
                raise self.refused(str(field), Text("champ inconnu", "unknown field"))

    def _value(self, field: str) -> object:
        self._read.add(field)
        if field not in self._body:
            raise self.refused(field, Text("il manque", "it is missing"))
        return self._body[field]


def rows(file: str, body: Mapping[str, Any], name: str) -> Iterator[Row]:
    """The rows of an array of tables, each named ``name[i]``."""
    listed = body.get(name, [])
    if not isinstance(listed, list):
        raise CertificationDataError(file=file, field=name, reason=Text("une liste est attendue", "a list is expected"))
    for number, each in enumerate(listed):
        yield Row(file, f"{name}[{number}]", each)


def known_tables(file: str, body: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuse a table of another name."""
    for name in body:
        if name not in names:
            raise CertificationDataError(file=file, field=name, reason=Text("table inconnue", "unknown table"))
