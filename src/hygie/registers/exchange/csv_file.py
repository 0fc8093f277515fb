"""Tables in CSV: read in UTF-8 with ``;``, ``,`` or a tab between cells, written as spreadsheets open them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import BinaryIO

from hygie.base.language import say
from hygie.registers.exchange.grid import Cell, Grid, read_grid, refused, text_of
from hygie.registers.exchange.limits import CELL_CHARACTERS_MAX

BOM = "\ufeff"
_SEPARATORS = ";,\t"


def read_csv(content: bytes) -> Grid:
    """The table of a file. Raises: FileRefusedError: not UTF-8, bad quotes, or a limit; names the line."""
    try:
        text = content.decode("utf-8").removeprefix(BOM)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refused(line, "le fichier n'est pas en UTF-8", "the file is not in UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise refused(line, "un octet nul", "a null byte")
    head = text.lstrip().split("\n", 1)[0]
    separator = max(_SEPARATORS, key=head.count)  # the first one when none is there
    return read_grid(_lines(text, separator))


def _lines(text: str, separator: str) -> Iterator[tuple[int, Sequence[Cell]]]:
    csv.field_size_limit(CELL_CHARACTERS_MAX + 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    start = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            raise refused(
                start, "guillemets mal fermés ou cellule trop longue",
                "quotes that do not close, or a cell too long",
            ) from None  # fmt: skip
        if cells is None:
            return
        yield start, cells
        start = reader.line_num + 1


def write_csv(file: BinaryIO, headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> int:
    """Write a table: UTF-8 with its mark, ``;`` in French and ``,`` in English. Returns how many rows."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    text.write(BOM)
    writer = csv.writer(text, delimiter=say(fr=";", en=","), lineterminator="\r\n")
    writer.writerow(headers)
    count = 0
    for row in rows:
        writer.writerow([_shown(one) for one in row])
        count += 1
    text.detach()
    return count


def _shown(cell: Cell) -> str:
    if isinstance(cell, float):
        return text_of(cell)
    return "" if cell is None else cell.isoformat() if isinstance(cell, date) else str(cell)
