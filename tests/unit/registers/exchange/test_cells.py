"""Whatever a register stores goes through a file and comes back the same; no cell is a formula."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hygie.base.language import set_language
from hygie.registers.errors import PatientNamedError, RecordInvalidError
from hygie.registers.exchange.columns import cell_of, given_of
from hygie.registers.exchange.csv_file import BOM, read_csv, write_csv
from hygie.registers.exchange.grid import Cell, natural, neutral
from hygie.registers.exchange.xlsx_file import read_xlsx, write_xlsx
from hygie.registers.schema import Choice, Field
from hygie.registers.values import read_value

HARD = st.sampled_from(
    ["=1+1", "'=1", "''-x", "+33 1", "-5", "@SUM(A1)", "＝1", "a;b", "é\u00a0«»", 'say "x"', "_x0041_", "0012", "1e5",
     "oui", "2026-01-02", "a\nb", "\ttab", "a,b", "a\ufffe", "😀", "&lt;<b>", "a  b"]
)  # fmt: skip
TEXT = st.one_of(HARD, st.text(max_size=40))
FOLDER = Path(tempfile.gettempdir())
CHOICES = (Choice(id="a", fr="Première", en="First"), Choice(id="B.b", fr="-Autre", en="=Other"))
VALUES: dict[str, st.SearchStrategy[object]] = {
    "text": TEXT,
    "longtext": TEXT,
    "texts": st.lists(TEXT, min_size=1, max_size=4),
    "date": st.dates(date(1900, 1, 1), date(2200, 1, 1)),
    "instant": st.just("2026-11-27T08:15:00+01:00"),
    "integer": st.integers(-(10**15), 10**15),
    "decimal": st.one_of(
        st.decimals(-(10**9), 10**9, allow_nan=False, places=3).map(str), st.sampled_from(["12.50", "-0.10", "1", "0"])
    ),
    "boolean": st.booleans(),
    "choice": st.sampled_from(["a", "B.b"]),
    "choices": st.lists(st.sampled_from(["a", "B.b"]), min_size=1),
    "activities": st.lists(st.integers(1, 6), min_size=1),
    "countries": st.lists(st.sampled_from(["FR", "DE"]), min_size=1),
    "requirements": st.lists(st.sampled_from(["EXI-05.A", "A.5.1"]), min_size=1),
}


def stored_of(kind: str, data: st.DataObject) -> tuple[Field, Any]:
    """A field and a value that it stores."""
    choices = CHOICES if kind.startswith("choice") else ()
    field = Field(id="x", type=kind, fr="Champ", en="Field", choices=choices)  # type: ignore[arg-type]
    try:
        return field, read_value(field, data.draw(VALUES[kind]), 1)
    except (RecordInvalidError, PatientNamedError):
        return field, None


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("kind", list(VALUES))
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_comes_back_from_csv_and_from_xlsx(kind: str, language: Any, data: st.DataObject) -> None:
    field, value = stored_of(kind, data)
    if value is None:
        return
    set_language(language)
    cell = cell_of(field, value)
    sheet, lines = io.BytesIO(), io.BytesIO()
    write_csv(lines, ["Champ", "Autre"], [[cell, "z"]])
    write_xlsx(sheet, "Essai", ["Champ", "Autre"], [[cell, "z"]], at_ms=0, folder=FOLDER)
    for grid in (read_csv(lines.getvalue()), read_xlsx(sheet.getvalue())):
        ((_, cells),) = grid.rows
        assert read_value(field, given_of(field, cells[0]), 1) == value


@given(TEXT)
def test_what_is_made_neutral_is_no_formula_and_comes_back(text: str) -> None:
    assert natural(neutral(text)) == text
    assert neutral(text)[:1] not in tuple("=+-@\t\r＝＋－＠")


def test_a_csv_is_what_a_spreadsheet_of_that_language_opens() -> None:
    rows: list[list[Cell]] = [["é;x", date(2026, 1, 2), None], ["=1", 3, 2.5]]
    for language, separator in (("fr", ";"), ("en", ",")):
        set_language(language)  # type: ignore[arg-type]
        file = io.BytesIO()
        assert write_csv(file, ["A", "B", "C"], [[neutral(one) if isinstance(one, str) else one for one in row]
                                                 for row in rows]) == 2  # fmt: skip
        text = file.getvalue().decode()
        assert text.startswith(BOM)
        read = list(csv.reader(io.StringIO(text[1:], newline=""), delimiter=separator))
        assert read == [["A", "B", "C"], ["é;x", "2026-01-02", ""], ["'=1", "3", "2.5"]]


@pytest.mark.parametrize(
    ("cell", "kind", "stored"),
    [
        ("27/11/2026", "date", "2026-11-27"),
        ("7.1.2026", "date", "2026-01-07"),
        ("27/11/2026 00:00:00", "date", "2026-11-27"),
        (2026.0, "text", "2026"),
        (2.5, "text", "2.5"),
        (1e-05, "decimal", "0.00001"),
        (3.0, "integer", 3),
        (5.0, "activities", [5]),
        ("12,5", "decimal", "12.5"),
        (True, "boolean", True),
    ],
)
def test_what_spreadsheets_make_of_values_is_read(cell: Cell, kind: Any, stored: object) -> None:
    field = Field(id="x", type=kind, fr="Champ", en="Field")
    assert read_value(field, given_of(field, cell), 1) == stored


@pytest.mark.parametrize(
    ("cell", "kind"),
    [(284058819102552.0, "integer"), (284058819102552.0, "text"), ("2 84 05 88 191 025 52", "texts"),
     ("https://x.fr/284058819102552", "url"), ("284058819102552", "reference"), ("284058819102552", "decimal")],
)  # fmt: skip
def test_a_patients_number_is_refused_in_any_cell(cell: Cell, kind: Any) -> None:
    field = Field(id="x", type=kind, fr="Champ", en="Field")
    with pytest.raises((PatientNamedError, RecordInvalidError)) as found:
        read_value(field, given_of(field, cell), 1)
    assert isinstance(found.value, PatientNamedError)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [("1e-999999999", "decimal"), ("0." + "1" * 30_000, "decimal"), ("a\ud800@b.fr", "email"), ("a\x00@b.fr", "email"),
     ("http://a\x07b", "url"), ("a\ud800", "text"), ("a\x1bb", "longtext"), ("a\nb", "text")],
)  # fmt: skip
def test_what_no_file_could_hold_is_refused(cell: Cell, kind: Any) -> None:
    field = Field(id="x", type=kind, fr="Champ", en="Field")
    with pytest.raises(RecordInvalidError):
        read_value(field, given_of(field, cell), 1)


def test_an_id_of_the_vault_that_was_drawn_at_random_is_read() -> None:
    field = Field(id="x", type="vault", fr="Champ", en="Field")
    for drawn in ("255081416802538" + "a" * 17, "a5508141-6802-5381-8025-081416802538"):
        assert read_value(field, f"chu-x/prod/Patient/{drawn}", 1)
