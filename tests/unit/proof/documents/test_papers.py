"""Every paper: the same bytes for the same inputs, in both languages, read again by readers that others wrote."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openpyxl
import pypdf
import pytest

from hygie.base.glyphs import displayable
from hygie.proof.documents.figures import register_figures
from hygie.proof.documents.history import batch_figures
from hygie.proof.documents.model import PAPERS, Batches
from hygie.proof.documents.report import report_values
from hygie.proof.documents.statement import statement_lines, totals
from hygie.proof.documents.words import Words
from hygie.proof.runs import Batch
from hygie.registers.chain import RecordVersion
from tests.unit.proof.documents.sample import AT_MS, DAY_MS, sample_inputs, sample_records

NAMES = {
    *("classeur.xlsx", "declaration-applicabilite.xlsx", "page-transferts.html", "rapport.pdf"),
    *("tableau-garanties.html", "oscal/assessment-plan.json", "oscal/assessment-results.json"),
    *("oscal/catalog-hds-2.0.json", "oscal/catalog-hygie-obligations-1.json"),
    *("oscal/catalog-iso27001-2022.json", "oscal/catalog-rgpd-2016-679.json"),
}
CLAIM = re.compile(r"conforme HDS|HDS compliant|certifi[ée] conforme", re.IGNORECASE)


def test_each_paper_is_registered() -> None:
    assert set(PAPERS) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("language", ["fr", "en"])
def test_equal_inputs_give_equal_bytes(name: str, language: Any) -> None:
    assert PAPERS[name](sample_inputs(language)) == PAPERS[name](sample_inputs(language))


@pytest.mark.parametrize("name", sorted(NAMES - {"rapport.pdf"}))
def test_a_host_that_recorded_nothing_has_its_papers_too(name: str) -> None:
    bare = sample_inputs(records={}, batches=Batches(0, 0, 0, 0, {}))
    assert len(PAPERS[name](bare)) > 200


def test_the_report_of_a_host_that_recorded_nothing_says_so() -> None:
    text = pdf_text(PAPERS["rapport.pdf"](sample_inputs(records={}, batches=Batches(0, 0, 0, 0, {}))))
    assert "Pas encore d'historique" in text
    assert "Rien n'est inscrit." in text


def pdf_text(content: bytes) -> str:
    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    return "\n".join(" ".join(page.extract_text().split()) for page in pages)


def test_the_report_is_an_archival_pdf_with_its_fonts_inside() -> None:
    content = PAPERS["rapport.pdf"](sample_inputs())
    reader = pypdf.PdfReader(io.BytesIO(content))
    metadata = reader.xmp_metadata
    assert metadata is not None
    raw = metadata.stream.get_data().decode()
    assert re.search(r"pdfaid:part>2<", raw)
    assert re.search(r"pdfaid:conformance>B<", raw)
    assert re.search(r"pdfuaid:part>1<", raw)
    assert reader.metadata is not None
    assert reader.metadata.creation_date is not None
    assert int(reader.metadata.creation_date.timestamp() * 1000) == AT_MS
    fonts = list(fonts_of(reader))
    assert len(fonts) > 2
    assert all("/FontFile3" in font or "/FontFile2" in font for font in fonts)
    assert reader.root_object["/Lang"] == "fr"
    assert b"/JavaScript" not in content


def test_every_table_of_the_report_has_a_head_that_is_read_aloud() -> None:
    """ISO 14289-1, 7.5: what a screen reader says of a cell is its column's head."""
    reader = pypdf.PdfReader(io.BytesIO(PAPERS["rapport.pdf"](sample_inputs())))
    tables = [one for one in below(reader.root_object["/StructTreeRoot"]) if one.get("/S") == "/Table"]
    assert len(tables) > 10
    assert all(any(cell.get("/S") == "/TH" for cell in below(table)) for table in tables)


def below(node: Any) -> Iterator[Any]:
    """Every element of the structure under one, content left out."""
    kids = node.get("/K", [])
    for kid in kids if isinstance(kids, list) else [kids]:
        found = kid.get_object()
        if isinstance(found, dict):
            yield found
            yield from below(found)


def fonts_of(reader: pypdf.PdfReader) -> Iterator[Any]:
    """The descriptor of each font of each page."""
    for page in reader.pages:
        for font in page["/Resources"].get("/Font", {}).values():
            for below in font.get_object().get("/DescendantFonts", []):
                yield below.get_object()["/FontDescriptor"].get_object()


def test_the_report_says_what_is_red_why_and_who_answers_and_claims_nothing() -> None:
    text = pdf_text(PAPERS["rapport.pdf"](sample_inputs()))
    red = report_values(sample_inputs())["red"]
    assert red
    for one in red:
        assert one["id"] in text.replace("\n", " ")
    for words in ("Deux copies manquent.", "hygie scrub run", "EXI-31", "HDS-2024-118", "échu", "A.8.34", "Lyon 1"):
        assert words in text
    assert "n'est pas un certificat" in text
    assert not CLAIM.search(text)


def test_each_page_of_a_demonstration_says_so() -> None:
    made = PAPERS["rapport.pdf"](sample_inputs(demonstration=True))
    pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made)).pages]
    assert all("DÉMONSTRATION" in page for page in pages)
    assert "DÉMONSTRATION" not in pdf_text(PAPERS["rapport.pdf"](sample_inputs()))
    for name in ("classeur.xlsx", "declaration-applicabilite.xlsx"):
        book = openpyxl.load_workbook(io.BytesIO(PAPERS[name](sample_inputs(demonstration=True))))
        assert {sheet.cell(1, 1).value for sheet in book} == {"DÉMONSTRATION"}
    for name in ("page-transferts.html", "tableau-garanties.html"):
        assert "DÉMONSTRATION" in PAPERS[name](sample_inputs(demonstration=True)).decode()
    results = json.loads(PAPERS["oscal/assessment-results.json"](sample_inputs(demonstration=True)))
    assert results["assessment-results"]["metadata"]["props"][0]["value"] == "demonstration"


def test_text_of_a_register_is_shown_and_never_obeyed() -> None:
    """Markup of Typst and of HTML in a record is text like any other."""
    evil = '#panic("x") <script>alert(1)</script> $x$ [a](b) *gras*'
    records = dict(sample_records())
    records["supplier"] = tuple(replace(one, fields={**one.fields, "name": evil}) for one in records["supplier"])
    made = sample_inputs(records=records)
    assert '#panic("x")' in pdf_text(PAPERS["rapport.pdf"](made))
    page = PAPERS["tableau-garanties.html"](made).decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_name_in_any_script_can_be_archived() -> None:
    """An archival PDF holds no character that its fonts lack; one that cannot be shown is told by its number."""
    records = dict(sample_records())
    name = "東京 😀 \u202eشركة\u202c Ștefan Łukasz Ωμέγα Жук ±≤→ n° 5 €"
    records["site"] = tuple(replace(one, fields={**one.fields, "operator": name}) for one in records["site"])
    text = pdf_text(PAPERS["rapport.pdf"](sample_inputs(records=records)))
    assert "[U+6771]" in text
    assert "[U+1F600]" in text
    assert "Łukasz" in text


def test_every_character_that_is_let_through_can_be_shown() -> None:
    """Compiled under the archival standard, which refuses what a font lacks."""
    every = [chr(point) for point in range(0x20, 0x3000) if displayable(chr(point)) == chr(point)]
    assert len(every) > 2_000
    records = dict(sample_records())
    site = records["site"][0]
    records["site"] = tuple(
        replace(site, fields={**site.fields, "operator": " ".join(every[start : start + 200])})
        for start in range(0, len(every), 200)
    )
    assert PAPERS["rapport.pdf"](sample_inputs(records=records))[:5] == b"%PDF-"


def test_the_statement_holds_the_93_controls_with_what_was_decided() -> None:
    lines = {one.control: one for one in statement_lines(sample_inputs())}
    assert len(lines) == 93
    left_out = lines["A.8.30"]
    assert (left_out.applicable, left_out.decided, left_out.approver) == (False, True, "Paul Durand")
    kept = lines["A.8.24"]
    assert (kept.applicable, kept.decision, kept.basis) == (
        True,
        "APP-0002 v1",
        "Référentiel HDS, Traitement d'un risque",
    )
    assert kept.risks == ("RSK-0001 Vol d'un disque",)
    assert kept.links
    assert {link.check for link in kept.links} >= {"tech-1.plaintext", "tech-1.flows"}
    assert "non approuvée" in lines["A.8.11"].reason
    assert not lines["A.8.11"].decided
    assert "Aucune décision approuvée" in lines["A.5.1"].reason
    found = totals(list(lines.values()))
    assert (found["total"], found["excluded"], found["decided"]) == (93, 1, 2)
    english = {one.control: one for one in statement_lines(sample_inputs("en"))}
    assert "No decision was approved" in english["A.5.1"].reason


def test_the_perimeter_leaves_a_control_out_with_its_reason() -> None:
    inputs = sample_inputs()
    cards = [
        {**one, "applies": False, "why": ["Hors du périmètre.", "Out of scope."]} if one["id"] == "A.7.4" else one
        for one in inputs.catalogue["requirements"]
    ]
    changed = replace(inputs, catalogue={**inputs.catalogue, "requirements": cards})
    line = next(one for one in statement_lines(changed) if one.control == "A.7.4")
    assert not line.applicable
    assert line.reason.startswith("Hors du périmètre.")


def test_a_workbook_holds_every_requirement_control_check_and_register() -> None:
    inputs = sample_inputs()
    book = openpyxl.load_workbook(io.BytesIO(PAPERS["classeur.xlsx"](inputs)))
    rows = {name: list(book[name].iter_rows(values_only=True)) for name in book.sheetnames}
    assert len(rows["Exigences"]) == 1 + len(inputs.posture["requirements"])
    assert len(rows["Mesures"]) == 1 + len(inputs.posture["controls"])
    assert len(rows["Contrôles et preuves"]) == 1 + len(inputs.posture["checks"])
    assert len(rows["Registres"]) == 1 + len(inputs.schemas)
    assert len(rows["Applicabilité (annexe A)"]) == 1 + 93
    assert {row[5] for row in rows["Exigences"][1:]} <= {"satisfaite", "non satisfaite", "inconnue", "sans objet"}
    late = {(row[2], row[0]) for row in rows["En retard"][1:]}
    assert late == {
        ("CON-0002", "2026-07-01"),
        ("CER-0003", "2026-10-04"),
        ("CER-0004", "2026-10-04"),
        ("SUP-0003", "2026-08-28"),
    }


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula(evil: str) -> None:
    records = dict(sample_records())
    risk = records["risk"][0]
    records["risk"] = (replace(risk, fields={**risk.fields, "title": evil}),)
    records["applicability"] = tuple(
        replace(one, fields={**one.fields, "reason": evil}) for one in records["applicability"]
    )
    book = openpyxl.load_workbook(io.BytesIO(PAPERS["declaration-applicabilite.xlsx"](sample_inputs(records=records))))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert [cell.coordinate for cell in cells if cell.data_type == "f" or cell.hyperlink] == []
    shown = [cell for cell in cells if str(cell.value).strip() == evil.strip()]
    assert shown
    assert all(cell.quotePrefix for cell in shown if not evil.startswith("\t"))


def test_registers_are_counted_and_late_ones_named() -> None:
    figures = {one.id: one for one in register_figures(sample_inputs())}
    assert set(figures) == set(sample_inputs().schemas)
    supplier = figures["supplier"]
    assert (supplier.records, supplier.open, [one.key for one in supplier.late]) == (3, 3, ["SUP-0003"])
    assert supplier.by_state == {"Agréé": 3}
    assert (figures["ticket"].records, figures["ticket"].late) == (0, [])


def test_days_are_told_as_people_write_them() -> None:
    french, english = Words("fr"), Words("en")
    assert french.day("2026-03-01") == "1er mars 2026"
    assert english.day("2026-03-01") == "1 March 2026"
    assert french.instant(AT_MS) == "23 novembre 2026, 11:00 (UTC+01)"
    assert french.day("2026-11-23T23:30:00Z") == "24 novembre 2026"
    assert french.duration(14_400) == "4 heures"
    assert french.number(100_000) == "100\u202f000"


def test_the_history_counts_each_check_once_a_day_by_its_last_verdict() -> None:
    def batch(seq: int, at_ms: int, **verdicts: str) -> Batch:
        bodies = tuple(json.dumps({"check": name, "verdict": verdict}) for name, verdict in verdicts.items())
        return Batch(seq, at_ms, "cadence", "production", b"", bodies)

    start = AT_MS - 5 * DAY_MS
    found = batch_figures(
        [
            batch(1, start, a="satisfied", b="unknown"),
            batch(2, start + 1_000, b="unsatisfied"),
            batch(3, start + 2 * DAY_MS, a="unsatisfied"),
        ]
    )
    assert (found.count, found.runs, found.first_ms, found.last_ms) == (3, 4, start, start + 2 * DAY_MS)
    assert found.by_verdict == {"satisfied": 1, "unknown": 1, "unsatisfied": 2}
    assert [(day.day, dict(day.by_verdict)) for day in found.history] == [
        ("2026-11-18", {"satisfied": 1, "unsatisfied": 1}),
        ("2026-11-20", {"unsatisfied": 2}),
    ]
    assert batch_figures([]).history == []


def test_a_long_text_is_cut_for_a_cell_and_says_so() -> None:
    records: dict[str, tuple[RecordVersion, ...]] = dict(sample_records())
    one = records["applicability"][0]
    records["applicability"] = (replace(one, fields={**one.fields, "reason": "é" * 40_000}),)
    book = openpyxl.load_workbook(io.BytesIO(PAPERS["declaration-applicabilite.xlsx"](sample_inputs(records=records))))
    sheet = book["Applicabilité (annexe A)"]
    longest = max((str(cell.value or "") for row in sheet.iter_rows() for cell in row), key=len)
    assert len(longest) <= 32_767
    assert longest.endswith("…")
