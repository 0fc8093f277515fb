"""Reads one record from a plain dict, strictly: every field named, typed, bounded; what is not known is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar

from hygie.base.civil import paris_date
from hygie.proof.certification.civil import DAY_MAX, DAY_MIN
from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.model import Text

TEXT_CHARS_MAX = 4_000  # a certificate's scope fits on one page
NAME_CHARS_MAX = 200  # names, numbers and references that a table shows on one line
LIST_ITEMS_MAX = 1_000  # far above the findings of one audit; bounds what one record costs
ACTIVITIES = (1, 2, 3, 4, 5, 6)  # CSP R.1111-9

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")  # keys of registers (``CER-0001``) too
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,39}")  # a field's name that may be told back
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

MISSING = Text("il manque", "it is missing")


class Reader:
    """One record being read. Each method reads one field and refuses it by raising; ``done`` refuses what is left.

    Raises: RecordRefusedError, with the field and the reason, from every method.
    """

    def __init__(self, record: str, body: object) -> None:
        self.record = record
        if not isinstance(body, Mapping):
            raise self.refused("-", Text("un objet est attendu", "an object is expected"))
        self._body: Mapping[object, object] = body
        self._read: set[str] = set()

    def refused(self, field: str, reason: Text) -> RecordRefusedError:
        """The error to raise about one field of this record."""
        return RecordRefusedError(record=self.record, field=field, reason=reason)

    def has(self, field: str) -> bool:
        """Whether the field is given and not null."""
        return self._body.get(field) is not None

    def text(self, field: str, *, chars_max: int = NAME_CHARS_MAX) -> str:
        """A text of 1 to chars_max characters, no control character, no blank at either end."""
        value = self._value(field)
        if not isinstance(value, str):
            raise self.refused(field, Text("un texte est attendu", "a text is expected"))
        if not value.strip():
            raise self.refused(field, MISSING)
        if len(value) > chars_max:
            raise self.refused(field, Text(f"{chars_max} caractères au plus", f"at most {chars_max} characters"))
        if value != value.strip() or _CONTROL.search(value):
            raise self.refused(field, Text("espace au bord ou caractère de contrôle", "blank at an end, or control"))
        return value

    def identifier(self, field: str) -> str:
        """A short name made of [A-Za-z0-9._-], 80 characters at most."""
        return self._matching(
            field, _ID, Text("identifiant [A-Za-z0-9._-] attendu", "identifier [A-Za-z0-9._-] expected")
        )

    def country(self, field: str) -> str:
        """A country, two capital letters (ISO 3166-1 alpha-2)."""
        return self._matching(field, _COUNTRY, Text("pays en deux lettres attendu", "two-letter country expected"))

    def day(self, field: str) -> date:
        """A civil date ``YYYY-MM-DD`` between DAY_MIN and DAY_MAX."""
        wrong = Text("date AAAA-MM-JJ attendue", "date YYYY-MM-DD expected")
        value = self._matching(field, _DAY, wrong)
        try:
            day = date.fromisoformat(value)
        except ValueError as error:
            raise self.refused(field, Text("cette date n'existe pas", "there is no such date")) from error
        if not DAY_MIN <= day <= DAY_MAX:
            span = f"{DAY_MIN.year}-{DAY_MAX.year}"
            raise self.refused(field, Text(f"année hors de {span}", f"year outside {span}"))
        return day

    def day_or_instant(self, field: str) -> date:
        """A civil date, or the civil day in Paris of an instant with its zone (``2027-11-27T08:15:00Z``)."""
        value = self._value(field)
        if not isinstance(value, str) or "T" not in value:
            return self.day(field)
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None or not DAY_MIN.year <= at.year <= DAY_MAX.year:
            raise self.refused(field, Text("date, ou instant avec son fuseau, attendu", "date, or instant with zone"))
        return paris_date(int(at.timestamp() * 1000))

    def choice(self, field: str, kind: type[E]) -> E:
        """One value of an enumeration."""
        value = self._value(field)
        if not isinstance(value, str) or value not in set(kind):
            among = ", ".join(kind)
            raise self.refused(field, Text(f"valeur attendue parmi {among}", f"value expected among {among}"))
        return kind(value)

    def flag(self, field: str) -> bool:
        """True or false."""
        value = self._value(field)
        if not isinstance(value, bool):
            raise self.refused(field, Text("vrai ou faux est attendu", "true or false is expected"))
        return value

    def activity(self, field: str) -> int:
        """The number of one activity, 1 to 6."""
        value = self._value(field)
        if isinstance(value, bool) or not isinstance(value, int) or value not in ACTIVITIES:
            raise self.refused(field, Text("une activité de 1 à 6 est attendue", "an activity 1 to 6 is expected"))
        return value

    def activities(self, field: str, *, required: bool = True, empty: bool = False) -> tuple[int, ...]:
        """Numbers of activities (1 to 6), each once, given back in order. empty: a list of none may be given."""
        if not required and not self.has(field):
            self._read.add(field)
            return ()
        values = self._list(field)
        if any(isinstance(value, bool) or not isinstance(value, int) or value not in ACTIVITIES for value in values):
            raise self.refused(field, Text("activités de 1 à 6 attendues", "activities 1 to 6 expected"))
        numbers = sorted(value for value in values if isinstance(value, int))
        if required and not empty and not numbers:
            raise self.refused(field, Text("au moins une activité est attendue", "at least one activity is expected"))
        if len(set(numbers)) < len(numbers):
            raise self.refused(field, Text("la même activité deux fois", "the same activity twice"))
        return tuple(numbers)

    def names(self, field: str, *, required: bool = False) -> tuple[str, ...]:
        """Short names, each once, in the order given; absent is none unless required."""
        if not required and not self.has(field):
            self._read.add(field)
            return ()
        values = self._list(field)
        if any(not isinstance(value, str) or not value or len(value) > NAME_CHARS_MAX for value in values):
            raise self.refused(field, Text("des noms sont attendus", "names are expected"))
        names = tuple(str(value) for value in values)
        if any(_CONTROL.search(name) or name != name.strip() for name in names):
            raise self.refused(field, Text("espace au bord ou caractère de contrôle", "blank at an end, or control"))
        if required and not names:
            raise self.refused(field, MISSING)
        if len(set(names)) < len(names):
            raise self.refused(field, Text("le même nom deux fois", "the same name twice"))
        return names

    def parts(self, field: str) -> list[Reader]:
        """Readers of the records that a list holds, named ``record.field[i]``; absent is none."""
        if not self.has(field):
            self._read.add(field)
            return []
        return [Reader(f"{self.record}.{field}[{number}]", each) for number, each in enumerate(self._list(field))]

    def optional(self, read: Callable[[str], T], field: str) -> T | None:
        """The field read by that method, or nothing when it is absent or null."""
        if self.has(field):
            return read(field)
        self._read.add(field)
        return None

    def after(self, field: str, day: date | None, other: str, earlier: date | None) -> None:
        """Refuse a day earlier than the one of another field; the same day passes; an absent one too."""
        if day is not None and earlier is not None and day < earlier:
            raise self.refused(field, Text(f"date antérieure à {other}", f"date earlier than {other}"))

    def done(self) -> None:
        """Refuse fields that nobody read."""
        for name in self._body:
            if name not in self._read:
                told = name if isinstance(name, str) and _FIELD.fullmatch(name) else "-"
                raise self.refused(told, Text("champ inconnu", "unknown field"))

    def _value(self, field: str) -> object:
        self._read.add(field)
        if not self.has(field):
            raise self.refused(field, MISSING)
        return self._body[field]

    def _matching(self, field: str, pattern: re.Pattern[str], reason: Text) -> str:
        value = self._value(field)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.refused(field, reason)
        return value

    def _list(self, field: str) -> list[object]:
        value = self._value(field)
        if not isinstance(value, list | tuple):
            raise self.refused(field, Text("une liste est attendue", "a list is expected"))
        if len(value) > LIST_ITEMS_MAX:
            raise self.refused(field, Text(f"{LIST_ITEMS_MAX} éléments au plus", f"at most {LIST_ITEMS_MAX} items"))
        return list(value)
