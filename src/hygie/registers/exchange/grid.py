"""A table as files hold it: a row of headers, then rows of cells. Pure.

Source: docs/formats/register-files.md v1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from hygie.registers.errors import FileRefusedError
from hygie.registers.exchange.limits import CELL_CHARACTERS_MAX, COLUMNS_MAX, ROWS_MAX

Cell = str | int | float | bool | date | datetime | None

# A spreadsheet takes a text that begins so for a formula (OWASP, CSV injection), full-width signs included.
_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r＝＋－＠]")


_INTEGER_MAX = 10**15  # beyond, a spreadsheet rounds


@dataclass(frozen=True, slots=True)
class Grid:
    """headers: text of the first row; rows: each with its line in the file, from 2 on when nothing precedes."""

    headers: Sequence[str]
    rows: Sequence[tuple[int, Sequence[Cell]]]


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe before what would be one. See :func:`natural`."""
    return f"'{text}" if _FORMULA.match(text) else text


def natural(text: str) -> str:
    """The text that was made neutral."""
    return text[1:] if _ESCAPED.match(text) else text


def text_of(number: float) -> str:
    """A number of a spreadsheet as a text: whole ones without a point, others without an exponent."""
    if number.is_integer() and abs(number) < _INTEGER_MAX:
        return str(int(number))
    return format(Decimal(repr(number)), "f")


def read_grid(lines: Iterable[tuple[int, Sequence[Cell]]]) -> Grid:
    """Headers and filled rows, within limits; an empty row is passed over.

    Args: lines: each with its number in the file.
    Raises: FileRefusedError: no header, or a limit is passed; names the line.
    """
    filled = ((line, cells) for line, cells in lines if any(one is not None and str(one).strip() for one in cells))
    line, cells = next(filled, (1, ()))
    while cells and not (isinstance(cells[-1], str) and cells[-1].strip()):
        cells = cells[:-1]
    if not cells:
        raise refused(line, "aucun en-tête", "no header")
    if len(cells) > COLUMNS_MAX:
        raise refused(line, f"{COLUMNS_MAX} colonnes au plus", f"{COLUMNS_MAX} columns at most")
    headers = [str(one).strip() if one is not None else "" for one in cells]
    return Grid(headers, list(_rows(filled, len(headers))))


def _rows(filled: Iterator[tuple[int, Sequence[Cell]]], width: int) -> Iterator[tuple[int, Sequence[Cell]]]:
    for count, (line, cells) in enumerate(filled):
        if count >= ROWS_MAX:
            raise refused(line, f"{ROWS_MAX} lignes au plus", f"{ROWS_MAX} rows at most")
        if any(one is not None and str(one).strip() for one in cells[width:]):
            raise refused(line, "une cellule sans en-tête", "a cell without a header")
        for one in cells[:width]:
            if isinstance(one, str) and len(one) > CELL_CHARACTERS_MAX:
                raise refused(
                    line, f"une cellule de plus de {CELL_CHARACTERS_MAX} caractères",
                    f"a cell of more than {CELL_CHARACTERS_MAX} characters",
                )  # fmt: skip
        yield line, [*cells[:width], *([None] * (width - len(cells)))]


def refused(line: int, fr: str, en: str) -> FileRefusedError:
    """The refusal of a file, with its line."""
    return FileRefusedError(line=line, reason_fr=fr, reason_en=en)
