"""French health identifiers. Pure checks of form and key; existence is not looked up.

Sources: ANS, *Référentiel INS* (matricule of 13 characters and key of 2, OIDs); INSEE, NIR (key = 97 - number mod 97,
2A counts as 19 and 2B as 18); ANS, RPPS (11 digits, Luhn), ADELI (9 characters) and IdNat_PS (8 before an RPPS, 0
before an ADELI).
"""

from __future__ import annotations

import re
from typing import NewType

from hygie.base.errors import InvalidRequestError

Professional = NewType("Professional", str)

INS_NIR_TEST_OID = "1.2.250.1.213.1.4.10"
RPPS_SYSTEM = "https://rpps.esante.gouv.fr"
FINESS_SYSTEM = "https://finess.esante.gouv.fr"

# Year, month, department (2A and 2B for Corsica), commune and order number behind the digit of the sex.
_NIR_NUMBER = re.compile(r"\d{5}(?:\d{2}|2[AB])\d{6}", re.ASCII)
_PROFESSIONAL = re.compile(r"8?(?P<rpps>\d{11})|0?(?:\d{2}|2[AB])\d{7}", re.ASCII)


class InvalidIdentifierError(InvalidRequestError):
    """An identifier has not the form or the key its kind asks for. The value itself is never repeated."""

    code = "HYG-101"
    fr = "L'identifiant {kind} n'a pas la forme ou la clé attendue."
    en = "The {kind} identifier has not the expected form or key."


def nir_key(number: str) -> str:
    """The two digits that end a NIR.

    Args: number: its 13 first characters.
    Raises: InvalidIdentifierError: not 13 characters of a NIR.
    """
    if not _NIR_NUMBER.fullmatch(number):
        raise InvalidIdentifierError(kind="INS-NIR")
    department = {"2A": "19", "2B": "18"}.get(number[5:7], number[5:7])
    return f"{97 - int(number[:5] + department + number[7:]) % 97:02d}"


def parse_professional(value: str) -> Professional:
    """Check the number of a health professional: RPPS, ADELI, or either as a national identifier (IdNat_PS).

    Raises: InvalidIdentifierError.
    """
    found = _PROFESSIONAL.fullmatch(value)
    if not found or (found["rpps"] and not luhn_holds(found["rpps"])):
        raise InvalidIdentifierError(kind="RPPS, ADELI")
    return Professional(value)


def bare_number(value: str) -> str:
    """The RPPS or ADELI number of a professional's identifier, the same whether it was written as an IdNat_PS or not.

    Raises: InvalidIdentifierError.
    """
    parse_professional(value)
    return value[-11:] if len(value) > 10 else value[-9:]


def luhn_digit(number: str) -> str:
    """The digit to write after ``number`` (digits only) so that the whole passes Luhn's check (ISO/IEC 7812-1)."""
    return str(-_luhn_sum(number + "0") % 10)


def luhn_holds(number: str) -> bool:
    """Whether a string of digits passes Luhn's check."""
    return _luhn_sum(number) % 10 == 0


def _luhn_sum(number: str) -> int:
    total = 0
    for rank, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + rank % 2)
        total += value - 9 if value > 9 else value
    return total
