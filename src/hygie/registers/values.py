"""One value of one field: from what a person or a file gives to what is stored. Pure.

Stored forms: text, ISO dates (``2026-11-27``), UTC instants (``2026-11-27T08:15:00Z``), numbers (decimals as text, so
that none is rounded), booleans, lists. What looks like a national health identity (INS) is refused: what names a
patient goes to the vault, and its reference is quoted here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from hygie.base.identifiers import InvalidIdentifierError, luhn_holds, parse_professional
from hygie.base.naming import looks_like_ins
from hygie.registers.errors import PatientNamedError, RecordInvalidError
from hygie.registers.schema import Field

TEXT_MAX = 500  # characters of a line of text
LONGTEXT_MAX = 20_000  # of a paragraph: minutes of a meeting fit, a book does not
ITEMS_MAX = 500  # of a list
NUMBER_MAX = 10**15  # beyond, JSON readers round
DECIMALS_MAX = 12  # of a decimal: an exponent could ask for millions of zeros
_NO_XML = "\ufffe\uffff"  # no workbook could hold them
SEPARATOR = ";"  # between the items of a list in a cell

Value = str | int | bool | list[str] | list[int]


class Place(NamedTuple):
    """Where a value stands, for the refusal: line 1 for a single record."""

    line: int
    field: str

    def refuse(self, fr: str, en: str) -> RecordInvalidError:
        """The refusal, with its reason in both languages."""
        return RecordInvalidError(line=self.line, field=self.field, reason_fr=fr, reason_en=en)


def read_value(field: Field, given: object, line: int) -> Value | None:
    """The stored form of a value, None when it is empty.

    Args: given: text of a cell, or a JSON value; line: for the refusal.
    Raises: RecordInvalidError; PatientNamedError.
    """
    place = Place(line, field.id)
    if given is None or (isinstance(given, str) and not given.strip()) or given == []:
        return None
    if field.type in _LISTS:
        value = _items(field, given, place)
    elif isinstance(given, list | dict):
        raise place.refuse("une seule valeur attendue", "one value is expected")
    else:
        value = _READERS.get(field.type, _text)(field, given, place)
    if value == []:
        return None
    if field.type in _LOOKED_AT and looks_like_ins(_said(value)):
        raise PatientNamedError(line=line, field=field.id)
    return value


def _said(value: Value) -> str:
    """A value as one text, since a number may be spread over the items of a list; without an id drawn at random."""
    text = " ".join(str(one) for one in value) if isinstance(value, list) else str(value)
    return _DRAWN.sub("/", text)


_DRAWN = re.compile(r"/(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z", re.ASCII)


def _text(field: Field, given: object, place: Place) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise place.refuse("un texte est attendu", "a text is expected")
    text = unicodedata.normalize("NFC", str(given)).strip()
    long = field.type == "longtext"
    limit = field.max or (LONGTEXT_MAX if long else TEXT_MAX)
    if len(text) > limit:
        raise place.refuse(f"{limit} caractères au plus", f"{limit} characters at most")
    if has_control(text, but="\n\t" if long else ""):
        raise place.refuse("caractère de contrôle", "a control character")
    return text


def has_control(text: str, *, but: str = "") -> bool:
    """Whether a text holds what no file of a register can: control characters, half of a pair, non-characters.

    Args: but: characters that may be there all the same.
    """
    return not text.isprintable() and any(_is_control(one) and one not in but for one in text)


def _is_control(character: str) -> bool:
    return character in _NO_XML or unicodedata.category(character) in ("Cc", "Cs")


def _date(_: Field, given: object, place: Place) -> str:
    try:
        found = given if type(given) is date else date.fromisoformat(str(given).strip())
    except ValueError:
        raise place.refuse("une date AAAA-MM-JJ est attendue", "a date YYYY-MM-DD is expected") from None
    if not 1900 <= found.year <= 2200:
        raise place.refuse("date hors de 1900 à 2200", "a date outside 1900 to 2200")
    return found.isoformat()


def _instant(_: Field, given: object, place: Place) -> str:
    try:
        found = given if isinstance(given, datetime) else datetime.fromisoformat(str(given).strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not 1900 <= found.year <= 2200:
        raise place.refuse(
            "un instant avec son fuseau est attendu (2026-11-27T08:15:00+01:00)",
            "an instant with its zone is expected (2026-11-27T08:15:00+01:00)",
        )
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _integer(field: Field, given: object, place: Place) -> int:
    try:
        if isinstance(given, bool) or (isinstance(given, float) and not given.is_integer()):
            raise ValueError
        number = int(given) if isinstance(given, int | float) else int(str(given).strip())
    except ValueError:
        raise place.refuse("un nombre entier est attendu", "a whole number is expected") from None
    _check_bounds(field, Decimal(number), place)
    return number


def _decimal(field: Field, given: object, place: Place) -> str:
    try:
        number = Decimal(str(given).strip().replace(",", "."))
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(given, bool) or not number.is_finite():
        raise place.refuse("un nombre est attendu", "a number is expected")
    _check_bounds(field, number, place)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -DECIMALS_MAX:
        raise place.refuse(f"{DECIMALS_MAX} décimales au plus", f"{DECIMALS_MAX} decimals at most")
    return format(number, "f")


def _check_bounds(field: Field, number: Decimal, place: Place) -> None:
    low = -NUMBER_MAX if field.min is None else field.min
    high = NUMBER_MAX if field.max is None else field.max
    if not low <= number <= high:
        raise place.refuse(f"nombre hors de {low} à {high}", f"a number outside {low} to {high}")


def _boolean(_: Field, given: object, place: Place) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given).strip().lower()
    if word in ("oui", "yes", "true", "vrai", "1"):
        return True
    if word in ("non", "no", "false", "faux", "0"):
        return False
    raise place.refuse("oui ou non est attendu", "yes or no is expected")


def _choice(field: Field, given: object, place: Place) -> str:
    word = str(given).strip()
    for one in field.choices:
        if word.casefold() in (one.id.casefold(), one.fr.casefold(), one.en.casefold()):
            return one.id
    known = ", ".join(one.id for one in field.choices)
    raise place.refuse(f"valeurs possibles : {known}", f"possible values: {known}")


def _formed(pattern: str, fr: str, en: str) -> Callable[[Field, object, Place], str]:
    compiled = re.compile(pattern, re.ASCII)

    def read(_: Field, given: object, place: Place) -> str:
        text = str(given).strip()
        if len(text) > TEXT_MAX or has_control(text) or not compiled.fullmatch(text):
            raise place.refuse(fr, en)
        return text

    return read


def _rpps(_: Field, given: object, place: Place) -> str:
    try:
        return str(parse_professional(str(given).strip()))
    except InvalidIdentifierError:
        raise place.refuse("numéro RPPS ou ADELI faux", "a wrong RPPS or ADELI number") from None


def _siren(_: Field, given: object, place: Place) -> str:
    digits = str(given).replace(" ", "")
    if not re.fullmatch(r"\d{9}|\d{14}", digits, re.ASCII) or not luhn_holds(digits):
        raise place.refuse("SIREN ou SIRET faux", "a wrong SIREN or SIRET")
    return digits


def _activity(_: Field, given: object, place: Place) -> int:
    text = str(given).strip().removesuffix("°")
    if text not in ("1", "2", "3", "4", "5", "6"):
        raise place.refuse("une activité de 1 à 6 est attendue", "an activity from 1 to 6 is expected")
    return int(text)


_country = _formed(
    r"[A-Z]{2}", "un code de pays ISO 3166 est attendu (FR)", "an ISO 3166 country code is expected (FR)"
)
_key = _formed(
    r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}", "une clé de fiche est attendue", "the key of a record is expected"
)
_document = _formed(
    r"[0-9a-f]{64}", "l'empreinte SHA-256 d'un document est attendue", "a document's SHA-256 is expected"
)
_requirement = _formed(
    r"[A-Za-z0-9][A-Za-z0-9.:-]{0,63}", "un identifiant d'exigence est attendu", "the id of a requirement is expected"
)
_READERS: dict[str, Callable[[Field, Any, Place], Value]] = {
    "date": _date,
    "instant": _instant,
    "integer": _integer,
    "decimal": _decimal,
    "boolean": _boolean,
    "choice": _choice,
    "country": _country,
    "reference": _key,
    "document": _document,
    "rpps": _rpps,
    "siren": _siren,
    "email": _formed(
        r"[^@\s]{1,64}@[^@\s]{1,200}\.[^@\s.]{2,24}", "adresse électronique fausse", "a wrong e-mail address"
    ),
    "url": _formed(r"https?://[^\s]{1,480}", "une adresse http(s) est attendue", "an http(s) address is expected"),
    "account": _formed(r"[a-z0-9][a-z0-9._-]{0,62}", "un compte est attendu", "an account is expected"),
    "tenant": _formed(r"[a-z0-9][a-z0-9-]{0,62}", "un client est attendu", "a client is expected"),
    "vault": _formed(
        r"[a-z0-9-]{1,63}/[a-z0-9-]{1,63}/[A-Za-z]{1,64}/[A-Za-z0-9.-]{1,64}",
        "une référence du coffre est attendue (client/environnement/Type/id)",
        "a reference of the vault is expected (client/environment/Type/id)",
    ),
}
# Whatever a person may write. The other types are closed lists, dates, numbers of a form of their own, and digests,
# which may hold any run of digits.
_LOOKED_AT = {
    "text", "longtext", "texts", "person", "integer", "decimal", "reference", "references", "requirements", "email",
    "url", "account", "tenant", "siren", "vault",
}  # fmt: skip
_LISTS: dict[str, Callable[[Field, Any, Place], Value]] = {
    "choices": _choice,
    "countries": _country,
    "references": _key,
    "documents": _document,
    "requirements": _requirement,
    "activities": _activity,
    "texts": _text,
}


def _items(field: Field, given: object, place: Place) -> Value:
    """A list, without what it holds twice; closed lists in their own order."""
    parts = given if isinstance(given, list) else str(given).split(SEPARATOR)
    if len(parts) > (field.max or ITEMS_MAX):
        raise place.refuse(f"{field.max or ITEMS_MAX} valeurs au plus", f"{field.max or ITEMS_MAX} values at most")
    read = _LISTS[field.type]
    found: dict[Any, None] = {}
    for part in parts:
        if isinstance(part, list | dict) or part is None:
            raise place.refuse("une liste de valeurs est attendue", "a list of values is expected")
        if str(part).strip():
            found[read(field, part, place)] = None
    if field.type in ("choices", "countries", "activities"):
        return sorted(found)
    return list(found)
