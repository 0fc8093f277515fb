"""The FHIR R4 primitive types as annotations that the decoder checks.

Patterns are those of the R4 data types page, written so that ``re`` fails fast and so that days exist: the leap years
of the Gregorian calendar are in the pattern, because a calendar check in Python would cost more than the decoding.
Strings are 1 character to 1 MiB.  Where a required value set can be listed, a code is a ``Literal`` instead.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta

STRING_CHARACTERS_MAX = 1 << 20  # FHIR R4, string: "SHALL NOT exceed 1MB (1024*1024 characters) in size"
INTEGER_MAX = (1 << 31) - 1

_LEAP = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = (  # looks back only from the 29th on: most dates never get there
    r"(?:0[1-9]|1[0-9]|2[0-8]"
    rf"|29(?:(?<!-02-29)|(?<={_LEAP}-02-29))|30(?<!-02-30)|31(?<!-0[2469]-31)(?<!-11-31))"
)
_YEAR = r"(?!0000)[0-9][0-9][0-9][0-9]"
_MONTH = r"(?:0[1-9]|1[0-2])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

DATE = rf"\A{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?\Z"
DATE_TIME = rf"\A{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_TIME}{_ZONE})?)?)?\Z"
INSTANT = rf"\A{_YEAR}-{_MONTH}-{_DAY}T{_TIME}{_ZONE}\Z"
TIME = rf"\A{_TIME}\Z"
ID = r"\A[A-Za-z0-9.-]{1,64}\Z"
OID = r"\Aurn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+\Z"
UUID = r"\Aurn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"
# Not ``\S``, which costs twice as much in ``re``: tabs and line ends are found on the encoded text, where they are
# escapes (``hygie.fhir.structures``).
URI = r"\A[^ ]*\Z"
CODE = r"\A[^ ]++(?: [^ ]++)*+\Z"
BASE64 = r"\A[A-Za-z0-9+/\s]+={0,2}\s*\Z"


def _text(pattern: str | None = None, *, bounded: bool = True) -> Any:
    return Annotated[str, Meta(pattern=pattern, min_length=1, max_length=STRING_CHARACTERS_MAX if bounded else None)]


PRIMITIVES: dict[str, Any] = {
    "base64Binary": _text(BASE64, bounded=False),
    "boolean": bool,
    "canonical": _text(URI),
    "code": _text(CODE),
    "date": _text(DATE),
    "dateTime": _text(DATE_TIME),
    "decimal": Decimal,
    "id": _text(ID),
    "id.plain": _text(ID),
    "instant": _text(INSTANT),
    "integer": Annotated[int, Meta(ge=-INTEGER_MAX - 1, le=INTEGER_MAX)],
    "markdown": _text(),
    "oid": _text(OID),
    "positiveInt": Annotated[int, Meta(ge=1, le=INTEGER_MAX)],
    "string": _text(),
    "string.plain": _text(),
    "time": _text(TIME),
    "unsignedInt": Annotated[int, Meta(ge=0, le=INTEGER_MAX)],
    "uri": _text(URI),
    "uri.plain": _text(URI),
    "url": _text(URI),
    "uuid": _text(UUID),
    "xhtml": _text(),
}
