"""Workbooks of spreadsheets: equal rows give equal bytes, and no cell is ever a formula.

A value that a spreadsheet could take for a formula (``=``, ``+``, ``-``, ``@``) is written as text, with the mark that
keeps it text when a person edits the cell or saves the sheet as CSV.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from hygie.proof.documents.model import Inputs
from hygie.proof.documents.words import Words

CELL_CHARS_MAX = 32_767  # Excel's limit; what is longer is cut, and says so
WIDTH_MIN, WIDTH_MAX = 6, 80  # characters of a column
LINE_POINTS, LINES_MAX = 15, 27  # Excel's rows are 409 points high at most
_RISKY = ("=", "+", "-", "@", "\t", "\r")
_COLOURS = {"satisfied": "#1B6E3C", "unsatisfied": "#B3261E", "unknown": "#7A5B00", "not_applicable": "#5F6368"}


class Workbook:
    """A workbook being made. Rows must come in order: it holds none of them in memory."""

    def __init__(self, inputs: Inputs, title: str) -> None:
        from xlsxwriter import Workbook as Made  # type: ignore[import-untyped]  # it says no types

        self._words = Words(inputs.language)
        self._mark = "DÉMONSTRATION" if inputs.language == "fr" else "DEMONSTRATION"
        self._demonstration = inputs.demonstration
        self._buffer = io.BytesIO()
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._book = Made(self._buffer, {**options, "strings_to_numbers": False})
        # The file's own dates are those of what it tells, so that it can be made again byte for byte.
        at = datetime.fromtimestamp(inputs.at_ms / 1000, UTC).replace(microsecond=0, tzinfo=None)
        self._book.set_properties({"title": title, "author": "Hygie", "created": at})
        self._formats: dict[tuple[tuple[str, Any], ...], Any] = {}

    def sheet(
        self, name: str, columns: Sequence[tuple[str, int]], rows: Iterable[Sequence[Any]], *, verdicts: int = -1
    ) -> None:
        """Add a sheet.

        Args: columns: (heading, width in characters); rows: texts, whole numbers, dates with no zone, None; verdicts:
        column that holds a verdict's code, told in words and in colour.
        """
        sheet = self._book.add_worksheet(name[:31])
        for place, (_, width) in enumerate(columns):
            sheet.set_column(place, place, min(max(width, WIDTH_MIN), WIDTH_MAX))
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        sheet.set_footer(f"&L{self._mark if self._demonstration else 'Hygie'}&C&A&R&P/&N")
        first = 0
        if self._demonstration:
            sheet.write_string(0, 0, self._mark, self._format(bold=True, font_color="#B3261E", font_size=14))
            first = 1
        sheet.repeat_rows(first)
        sheet.freeze_panes(first + 1, 1)
        head = self._format(bold=True, bg_color="#E8EEF4", text_wrap=True, valign="top", border=1)
        for place, (heading, _) in enumerate(columns):
            sheet.write_string(first, place, heading, head)
        number = first
        for row in rows:
            number += 1
            lines = max((_lines(value, width) for value, (_, width) in zip(row, columns, strict=True)), default=1)
            if lines > 1:  # not every spreadsheet program fits rows to their text when it opens a file
                sheet.set_row(number, LINE_POINTS * min(lines, LINES_MAX))
            for place, value in enumerate(row):
                self._write(sheet, number, place, value, verdict=place == verdicts)
        sheet.autofilter(first, 0, max(number, first + 1), len(columns) - 1)

    def done(self) -> bytes:
        """The file."""
        self._book.close()
        return self._buffer.getvalue()

    def _write(self, sheet: Any, row: int, column: int, value: Any, *, verdict: bool) -> None:
        plain: dict[str, Any] = {"text_wrap": True, "valign": "top"}
        if value is None or value == "":
            sheet.write_blank(row, column, None, self._format(**plain))
        elif verdict:
            coloured = self._format(**plain, bold=True, font_color=_COLOURS[value])
            sheet.write_string(row, column, self._words.verdict(value), coloured)
        elif isinstance(value, datetime):
            sheet.write_datetime(row, column, value, self._format(**plain, num_format="yyyy-mm-dd hh:mm"))
        elif isinstance(value, int) and not isinstance(value, bool):
            sheet.write_number(row, column, value, self._format(**plain))
        else:
            text = safe_text(str(value))
            risky = text.lstrip().startswith(_RISKY)
            sheet.write_string(
                row, column, text, self._format(**plain, quote_prefix=True) if risky else self._format(**plain)
            )

    def _format(self, **asked: Any) -> Any:
        key = tuple(sorted(asked.items()))
        if key not in self._formats:
            self._formats[key] = self._book.add_format(asked)
        return self._formats[key]


def _lines(value: Any, width: int) -> int:
    """Lines that a value takes in a column of so many characters."""
    if not isinstance(value, str):
        return 1
    return sum(-(-len(part) // min(max(width, WIDTH_MIN), WIDTH_MAX)) or 1 for part in value.split("\n"))


def safe_text(text: str) -> str:
    """A text that a cell can hold: no control character, no more than Excel takes."""
    clean = "".join(one for one in text if one in "\n\t" or ord(one) >= 32)
    return clean if len(clean) <= CELL_CHARS_MAX else clean[: CELL_CHARS_MAX - 1] + "…"


def moment(at_ms: int | None) -> datetime | None:
    """An instant for a cell: UTC, to the second, with no zone, as spreadsheets want; none for 0."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).replace(tzinfo=None) if at_ms else None
