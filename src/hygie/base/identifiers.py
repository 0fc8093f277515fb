"""French health identifiers: INS (NIR), RPPS, FINESS. Pure checks of form and key; existence is not looked up.

Sources: ANS, *Référentiel INS* (matricule of 13 characters and key of 2, OIDs); INSEE, NIR (key = 97 - number mod 97,
2A counts as 19 and 2B as 18); RPPS (11 digits, Luhn); FINESS (9 characters, Luhn, Corsica's A and B count as 1 and 2).
"""

from __future__ import annotations

import re
from typing import NewType

from hygie.base.errors import InvalidRequestError

InsNir = NewType("InsNir", str)
Rpps = NewType("Rpps", str)
Finess = NewType("Finess", str)

INS_NIR_OID = "1.2.250.1.213.1.4.8"
INS_NIA_OID = "1.2.250.1.213.1.4.9"
INS_NIR_TEST_OID = "1.2.250.1.213.1.4.10"
INS_NIR_DEMONSTRATION_OID = "1.2.250.1.213.1.4.11"
INS_OIDS = frozenset({INS_NIR_OID, INS_NIA_OID, INS_NIR_TEST_OID, INS_NIR_DEMONSTRATION_OID})
INS_OIDS_WITHOUT_A_PERSON = frozenset({INS_NIR_TEST_OID, INS_NIR_DEMONSTRATION_OID})
RPPS_SYSTEM = "https://rpps.esante.gouv.fr"
FINESS_SYSTEM = "https://finess.esante.gouv.fr"

# Sex (1, 2; 3, 4 and 7, 8 while a registration is under way), year, month (20 and above: civil status incomplete),
# department (2A and 2B for Corsica), commune, order number, key.
_NIR = re.compile(r"[123478]\d{2}(?:0[1-9]|1[0-2]|[2-9]\d)(?:\d{2}|2[AB])\d{3}\d{3}\d{2}", re.ASCII)
_NIR_NUMBER = re.compile(r"\d{5}(?:\d{2}|2[AB])\d{6}", re.ASCII)
_RPPS = re.compile(r"\d{11}", re.ASCII)
_FINESS = re.compile(r"(?:\d{2}|2[AB])\d{7}", re.ASCII)
_CORSICA = str.maketrans({"A": "1", "B": "2"})


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


def parse_ins(value: str) -> InsNir:
    """Check an INS of 15 characters (NIR or NIA, key included).

    Raises: InvalidIdentifierError.
    """
    if not _NIR.fullmatch(value) or nir_key(value[:13]) != value[13:]:
        raise InvalidIdentifierError(kind="INS-NIR")
    return InsNir(value)


def parse_rpps(value: str) -> Rpps:
    """Check an RPPS number of 11 digits.

    Raises: InvalidIdentifierError.
    """
    if not _RPPS.fullmatch(value) or not luhn_holds(value):
        raise InvalidIdentifierError(kind="RPPS")
    return Rpps(value)


def parse_finess(value: str) -> Finess:
    """Check a FINESS number of 9 characters.

    Raises: InvalidIdentifierError.
    """
    if not _FINESS.fullmatch(value) or not luhn_holds(value.translate(_CORSICA)):
        raise InvalidIdentifierError(kind="FINESS")
    return Finess(value)


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
