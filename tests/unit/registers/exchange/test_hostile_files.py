"""Files that are not what they claim are refused whole, with their line."""

from __future__ import annotations

import io
import random
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hygie.registers.errors import FileRefusedError
from hygie.registers.exchange import csv_file, grid, json_file, xlsx_file
from hygie.registers.exchange.csv_file import read_csv
from hygie.registers.exchange.json_file import read_json
from hygie.registers.exchange.xlsx_file import read_xlsx, write_xlsx

FOLDER = Path(tempfile.gettempdir())


def workbook(rows: int = 1) -> bytes:
    file = io.BytesIO()
    cells = [[f"ligne {number}", number] for number in range(rows)]
    write_xlsx(file, "Essai", ["A", "B"], cells, at_ms=0, folder=FOLDER)
    return file.getvalue()


def rewritten(content: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A workbook with some of its files changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as other:
        for one in book.namelist():
            other.writestr(one, change(one, book.read(one)))
    return made.getvalue()


def sheet_with(old: bytes, new: bytes) -> bytes:
    return rewritten(workbook(), lambda name, text: text.replace(old, new) if "sheet1" in name else text)


def line_of(error: FileRefusedError) -> int:
    found = error.facts["line"]
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", 1),
        (b"\n\n", 1),
        (b"a;b\n1;2\n\xe9;x\n", 3),
        ("a;b\n1;2\n".encode("utf-16"), 1),
        (b'a;b\n1;"x\n2;3\n', 2),
        (b'a;b\n1;"x"y\n', 2),
        (b"a;b\n1;2;3\n", 2),
        (b"a;b\n1;\0\n", 2),
        (b"a;b\n" + b"x" * 40_000 + b";1\n", 2),
        (b";".join([b"c"] * 201) + b"\n", 1),
    ],
)
def test_a_bad_csv_is_refused_with_its_line(content: bytes, line: int) -> None:
    with pytest.raises(FileRefusedError) as found:
        read_csv(content)
    assert line_of(found.value) == line


def test_lines_are_counted_as_a_person_counts_them() -> None:
    read = read_csv(b'\xef\xbb\xbfa,b\r\n"x\r\ny",1\r\n\r\n ,\r\nz,2\r\n')
    assert list(read.headers) == ["a", "b"]
    assert [line for line, _ in read.rows] == [2, 6]
    assert read_csv(b"a\tb\n1\t2\n").rows[0][1] == ["1", "2"]
    assert read_csv(b"seule\nx,y\n").rows[0][1] == ["x,y"]


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "ROWS_MAX", 2)
    assert len(read_csv(b"a\n1\n2\n").rows) == 2
    with pytest.raises(FileRefusedError) as found:
        read_csv(b"a\n1\n2\n3\n")
    assert line_of(found.value) == 4
    assert len(read_xlsx(workbook(2)).rows) == 2
    with pytest.raises(FileRefusedError):
        read_xlsx(workbook(3))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a;b\n1;2\n",
        b"PK\x03\x04" + bytes(200),
        workbook()[:-40],
        rewritten(workbook(), lambda name, text: b"" if "sheet1" in name else text),
        rewritten(workbook(), lambda name, text: b"<not xml" if name == "xl/workbook.xml" else text),
        sheet_with(b"<sheetData>", b"<sheetData><row>"),
        sheet_with(b"<?xml", b'<!DOCTYPE x [<!ENTITY a "b">]><?xml'),
        rewritten(workbook(), lambda name, text: text.decode().encode("utf-16") if "sheet1" in name else text),
    ],
    ids=["empty", "csv", "zip head", "cut", "no sheet", "not xml", "bad xml", "doctype", "utf-16"],
)
def test_what_is_no_workbook_or_a_trap_is_refused(content: bytes) -> None:
    with pytest.raises(FileRefusedError):
        read_xlsx(content)


def test_a_workbook_that_a_disk_damaged_is_refused() -> None:
    content, draw = workbook(300), random.Random(7)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(draw.choice([1, 3, 20])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        with suppress(FileRefusedError):
            read_xlsx(bytes(damaged))


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_no_workbook_has_is_refused(packed: int) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook())) as book, zipfile.ZipFile(made, "w", packed) as other:
        for one in book.namelist():
            other.writestr(one, book.read(one))
    with pytest.raises(FileRefusedError, match="a compression"):
        read_xlsx(made.getvalue())


def test_a_sheet_of_another_name_hides_no_entity() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook())) as book, zipfile.ZipFile(made, "w") as other:
        for one in book.namelist():
            content = book.read(one).replace(b"sheet1.xml", b"sheet1.dat")
            if one == "xl/worksheets/sheet1.xml":
                content = content.replace(b"?>", b'?><!DOCTYPE x [<!ENTITY a "b">]>', 1)
            other.writestr(one.replace("sheet1.xml", "sheet1.dat"), content)
    with pytest.raises(FileRefusedError, match="document type"):
        read_xlsx(made.getvalue())


def test_a_bomb_is_refused_before_it_is_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = rewritten(workbook(), lambda name, text: text + b" " * 50_000_000 if "sheet1" in name else text)
    assert len(bomb) < 100_000
    with pytest.raises(FileRefusedError, match="compressed beyond measure"):
        read_xlsx(bomb)
    monkeypatch.setattr(xlsx_file, "UNPACKED_BYTES_MAX", 1_000)
    with pytest.raises(FileRefusedError, match="once inflated"):
        read_xlsx(workbook())


def test_a_cell_in_the_last_corner_costs_no_memory_nor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    far = sheet_with(b"</row></sheetData>", b'</row><row r="9"><c r="XFD9"><v>1</v></c></row></sheetData>')
    assert far != workbook()
    read = read_xlsx(far)  # past the columns that are read: as if it were not there
    assert len(read.rows) == 1
    last = b'</row><row r="1048576"><c r="A1048576"><v>1</v></c></row></sheetData>'
    deep = sheet_with(b"</row></sheetData>", last)
    monkeypatch.setattr(xlsx_file, "LINES_MAX", 1_000)
    with pytest.raises(FileRefusedError, match="lines at most"):
        read_xlsx(deep)


def test_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_file, "MEMBERS_MAX", 3)
    with pytest.raises(FileRefusedError, match="files at most"):
        read_xlsx(workbook())


HEAD = b'{"format":"hygie register export 1","register":"maker","schema":1,"at_ms":1,"records":['


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"format":"x"}',
        b"[" * 100_000,
        HEAD.replace(b"export 1", b"export 2") + b"]}",
        HEAD + b",".join([b'{"key":"A","versions":[{"version":1,"state":"draft","fields":{}}]}'] * 2) + b"]}",
        HEAD + b'{"key":"A","versions":[{"version":2,"state":"draft","fields":{}}]}]}',
    ],
)
def test_what_is_no_export_is_refused(content: bytes) -> None:
    with pytest.raises(FileRefusedError):
        read_json(content)


def test_the_limits_are_those_of_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "ROWS_MAX", 0)
    body = HEAD + b'{"key":"A","versions":[{"version":1,"state":"draft","fields":{}}]}]}'
    with pytest.raises(FileRefusedError, match="versions at most"):
        read_json(body)
    assert csv_file.CELL_CHARACTERS_MAX == 32_767
