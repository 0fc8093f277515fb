"""Tables in XLSX: read from a workbook that may be hostile, written without a formula, a link or a macro.

A workbook is a zip of XML. Before it is read: its files are few, what they declare inflated is bounded (``zipfile``
reads no more than declared), none inflates as a bomb does, and none declares a document type, which OOXML forbids and
attacks by entities need. Then only its first sheet is read, row by row, cells as they were last computed.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from hygie.base.language import say
from hygie.registers.exchange.columns import Own, header_of, template_columns
from hygie.registers.exchange.grid import Cell, Grid, neutral, read_grid, refused
from hygie.registers.exchange.limits import (
    COLUMNS_MAX,
    LINES_MAX,
    MEMBERS_MAX,
    MIB,
    RATIO_FROM_BYTES,
    RATIO_MAX,
    UNPACKED_BYTES_MAX,
)
from hygie.registers.schema import Field, Schema

# xlsxwriter says no types
Workbook: TypeAlias = Any
Worksheet: TypeAlias = Any
Format: TypeAlias = Any

FIRST_YEAR = 1901  # of a date cell: Excel's calendar is wrong before March 1900
TEMPLATE_ROWS = 1_000  # rows of a template that offer their choices
_DOCTYPE = (b"<!DOCTYPE", b"<!ENTITY")
_HEX = re.compile(r"_x([0-9A-Fa-f]{4})_")  # how OOXML writes a character that XML cannot hold (ST_Xstring)
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what OOXML allows (ISO/IEC 29500-2)
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"\x00<", b"<\x00")

# What openpyxl and the XML parser beneath raise on what is no workbook, or half of one.
_DAMAGED = (
    *(KeyError, ValueError, TypeError, IndexError, AttributeError, SyntaxError, OSError),
    *(zipfile.BadZipFile, zlib.error),
)


def read_xlsx(content: bytes) -> Grid:
    """The table of a workbook's first sheet. Raises: FileRefusedError: no workbook, a bomb, or a limit."""
    check_workbook(content)
    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # styles and extensions that openpyxl does not know do not matter here
            book = load_workbook(BytesIO(content), read_only=True, data_only=True, keep_links=False)
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # what the file says of its size may lie
            return read_grid(_lines(sheet.iter_rows(values_only=True, max_col=COLUMNS_MAX + 1)))
    except _DAMAGED as error:
        raise refused(1, "le classeur est abîmé", "the workbook is damaged") from error


def _lines(rows: Iterable[Sequence[object]]) -> Iterator[tuple[int, Sequence[Cell]]]:
    for line, cells in enumerate(rows, 1):
        if line > LINES_MAX:
            raise refused(
                line, f"{LINES_MAX} lignes au plus, vides comprises", f"{LINES_MAX} lines at most, empty or not"
            )
        yield line, [_read(one) for one in cells]


def check_workbook(content: bytes) -> None:
    """Refuse what is no workbook, or would harm who opens it. Raises: FileRefusedError."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as book:
            members = book.infolist()
            if len(members) > MEMBERS_MAX:
                raise refused(1, f"{MEMBERS_MAX} fichiers au plus", f"{MEMBERS_MAX} files at most")
            if sum(one.file_size for one in members) > UNPACKED_BYTES_MAX:
                limit = UNPACKED_BYTES_MAX // MIB
                raise refused(1, f"{limit} Mio au plus une fois décompressé", f"{limit} MiB at most once inflated")
            for one in members:
                if one.file_size > max(RATIO_FROM_BYTES, RATIO_MAX * one.compress_size):
                    raise refused(1, "compression démesurée", "compressed beyond measure")
                if one.flag_bits & 1:
                    raise refused(1, "le classeur est chiffré", "the workbook is encrypted")
                if one.compress_type not in _PACKED:
                    raise refused(1, "compression inconnue d'un classeur", "a compression that no workbook has")
                _check_markup(book, one)  # whatever its name: a workbook may call its sheets as it likes
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise refused(1, "ce n'est pas un classeur XLSX", "not an XLSX workbook") from error


def _check_markup(book: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    with book.open(member) as file:
        before = b""
        while block := file.read(MIB):
            seen = before + block
            if any(mark in seen for mark in _DOCTYPE) or (not before and seen[:2] in _UTF16):
                raise refused(1, "le classeur déclare un type de document", "the workbook declares a document type")
            before = block[-16:]


def _read(cell: object) -> Cell:
    if isinstance(cell, str):
        return _HEX.sub(lambda found: chr(int(found[1], 16)), cell)
    if isinstance(cell, timedelta | time):
        return str(cell)
    return cell if cell is None or isinstance(cell, str | int | float | bool | date) else str(cell)


def write_xlsx(
    file: BinaryIO, title: str, headers: Sequence[str], rows: Iterable[Sequence[Cell]], *, at_ms: int, folder: Path
) -> int:
    """Write a workbook of one sheet, as of an instant (its only date), row by row. Returns how many rows.

    Strings stay strings: none becomes a formula, a link or a number. Args: folder: where what is not yet zipped waits.
    """
    count = 0
    with _workbook(file, at_ms, {"constant_memory": True, "tmpdir": str(folder)}) as book:
        sheet, day = _sheet(book, title, headers)
        for count, row in enumerate(rows, 1):
            for number, cell in enumerate(row):
                if isinstance(cell, date):
                    if cell.year >= FIRST_YEAR:
                        sheet.write_datetime(count, number, datetime.combine(cell, time.min), day)
                    else:
                        sheet.write_string(count, number, cell.isoformat())
                elif isinstance(cell, int | float):
                    sheet.write_number(count, number, cell)
                elif cell is not None:
                    sheet.write_string(count, number, cell)
        sheet.autofilter(0, 0, max(count, 1), len(headers) - 1)
    return count


def write_template(file: BinaryIO, schema: Schema, *, at_ms: int) -> None:
    """Write an empty workbook of a register: its headers, what each field wants, lists of choices to pick from."""
    columns = template_columns(schema)
    with _workbook(file, at_ms, {"in_memory": True}) as book:
        sheet, _ = _sheet(book, schema.label, [header_of(one) for one in columns])
        lists = book.add_worksheet(say(fr="Valeurs", en="Values"))
        _explain(book.add_worksheet(say(fr="Champs", en="Fields")), schema)
        for number, column in enumerate(columns):
            offered = _offered(schema, column)
            for line, text in enumerate(offered):
                lists.write_string(line, number, neutral(text))
            if offered:
                source = f"='{lists.get_name()}'!{_letters(number)}$1:{_letters(number)}${len(offered)}"
                sheet.data_validation(1, number, TEMPLATE_ROWS, number, {"validate": "list", "source": source})


def _offered(schema: Schema, column: Own | Field) -> list[str]:
    if isinstance(column, Own):
        return [one.label for one in schema.states] if column.id == "state" else []
    if column.type == "boolean":
        return [say(fr="oui", en="yes"), say(fr="non", en="no")]
    return [say(fr=one.fr, en=one.en) for one in column.choices] if column.type == "choice" else []


def _explain(sheet: Worksheet, schema: Schema) -> None:
    """One line a field: what it is, whether it must be filled, what it takes."""
    titles = (say(fr="Champ", en="Field"), "id", "type", say(fr="Requis", en="Required"), say(fr="Aide", en="Help"))
    rows = [titles]
    for field in schema.fields:
        inside = field.target or "; ".join(say(fr=one.fr, en=one.en) for one in field.choices)
        states = ", ".join(schema.state(one).label for one in field.required_in)
        needed = say(fr="oui", en="yes") if field.required else states
        kind = f"{field.type} ({inside})" if inside else field.type
        rows.append((field.label, field.id, kind, needed, say(fr=field.help_fr, en=field.help_en)))
    for line, row in enumerate(rows):
        for number, text in enumerate(row):
            sheet.write_string(line, number, neutral(text))
    sheet.set_column(0, len(titles) - 1, 36)


def _workbook(file: BinaryIO, at_ms: int, options: dict[str, object]) -> Workbook:
    from xlsxwriter import Workbook as Made  # type: ignore[import-untyped]

    strings = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = Made(file, strings | options)
    created = datetime.fromtimestamp(at_ms // 1000, UTC).replace(tzinfo=None)
    book.set_properties({"author": "Hygie", "created": created})
    return book


def _sheet(book: Workbook, title: str, headers: Sequence[str]) -> tuple[Worksheet, Format]:
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet(_name(title))
    sheet.freeze_panes(1, 1)
    sheet.set_column(0, len(headers) - 1, 22)
    for number, header in enumerate(headers):
        sheet.write_string(0, number, header, bold)
    return sheet, day


def _name(title: str) -> str:
    """A sheet's name: 31 characters, none of those that Excel refuses."""
    return "".join(" " if one in "[]:*?/\\'" else one for one in title)[:31].strip()


def _letters(number: int) -> str:
    """Column 0 is ``$A``, 26 is ``$AA``."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return f"${letters}"
