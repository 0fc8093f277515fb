"""An export is journaled before it is there, says what was known then, and comes back whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from hygie.base.actions import Action
from hygie.base.errors import UnavailableError
from hygie.base.language import set_language
from hygie.database.cluster import Dsns
from hygie.journal.entry import Entry
from hygie.registers.engine import Asked
from hygie.registers.errors import ExportRefusedError, FileRefusedError
from hygie.registers.exchange import pdf_file
from hygie.registers.exchange.exporting import export_file, template_file
from hygie.registers.exchange.importing import Imported, Wanted, import_file
from hygie.registers.exchange.xlsx_file import read_xlsx
from hygie.registers.models import Record
from hygie.registers.rules import Change
from hygie.registers.schema import shipped_schemas
from tests.unit.registers.filled import filled_record
from tests.unit.registers.stage import START_MS, Stage, staged

HOUR_MS = 3_600_000


@pytest.fixture
def stage(database: Dsns) -> Iterator[Stage]:
    set_language("fr")
    with staged(database) as made:
        made.registers.schemas = shipped_schemas()
        risk = filled_record(shipped_schemas()["risk"], "identified")
        risk = {name: value for name, value in risk.items() if name != "owner"}
        person = {"name": "Anne Martin", "employer": "Hygie", "function": "=RSSI", "starts_on": "2026-01-05"}
        made.registers.write([Change("person", person), Change("risk", {**risk, "title": "Vol", "owner": "PER-0001"})])
        made.clock.ms += HOUR_MS
        made.registers.write([Change("risk", {"title": "Perte", "existing_measures": "a\nb"}, key="RSK-0001")])
        made.registers.write([Change("risk", {"existing_measures": ""}, key="RSK-0001", reason="revue")])
        yield made


@pytest.mark.parametrize("form", ["csv", "xlsx", "json", "pdf"])
def test_each_form_is_journaled_deterministic_and_of_its_owner_only(stage: Stage, tmp_path: Path, form: str) -> None:
    files = [tmp_path / f"a.{form}", tmp_path / f"b.{form}"]
    asked = Asked("risk", at_ms=stage.clock.ms)
    done = [export_file(stage.registers, asked, file) for file in files]
    assert done[0] == done[1]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert hashlib.sha256(files[0].read_bytes()).hexdigest() == done[0].sha256
    assert files[0].stat().st_mode & 0o777 == 0o600
    entry = stage.journal()[-1]
    assert (entry.action, entry.kind, entry.count) == (Action.REGISTER_EXPORT, "evidence", 1)
    assert entry.detail["sha256"] == done[0].sha256
    assert entry.detail["format"] == form
    assert {one.name for one in tmp_path.iterdir()} == {one.name for one in files}


def test_an_export_says_what_was_known_then(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    export_file(stage.registers, Asked("risk", at_ms=START_MS), file)
    assert "Vol" in file.read_text()
    export_file(stage.registers, Asked("risk"), file)
    assert "Vol" not in file.read_text()
    assert export_file(stage.registers, Asked("risk", states=("closed",)), file).records == 0


def test_without_its_entry_in_the_journal_no_file_is_handed_over(stage: Stage, tmp_path: Path) -> None:
    class Silent:
        def leaf(self, entry: Entry) -> bytes:
            raise UnavailableError(part="journal")

    file = tmp_path / "r.csv"
    file.write_text("avant")
    stage.registers.journal = Silent()
    with pytest.raises(UnavailableError):
        export_file(stage.registers, Asked("risk"), file)
    assert file.read_text() == "avant"
    assert [one.name for one in tmp_path.iterdir()] == ["r.csv"]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_table_comes_back_unchanged_in_either_language(
    stage: Stage, tmp_path: Path, form: str, language: str
) -> None:
    set_language(language)  # type: ignore[arg-type]
    for register in ("risk", "person"):
        file = tmp_path / f"{register}.{form}"
        export_file(stage.registers, Asked(register), file)
        set_language("fr" if language == "en" else "en")
        assert import_file(stage.registers, register, file, Wanted()) == Imported(0, 0, 1)
        set_language(language)  # type: ignore[arg-type]


def test_no_cell_of_a_workbook_is_a_formula(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "p.xlsx"
    export_file(stage.registers, Asked("person"), file)
    (row,) = list(load_workbook(file).worksheets[0].iter_rows(min_row=2))
    assert {one.data_type for one in row} <= {"s", "n", "d", "inlineStr"}
    assert "'=RSSI" in [one.value for one in row]


def test_json_carries_every_version_into_another_installation(stage: Stage, tmp_path: Path) -> None:
    people, risks = tmp_path / "p.json", tmp_path / "r.json"
    export_file(stage.registers, Asked("person"), people)
    export_file(stage.registers, Asked("risk"), risks)
    before = [
        (one.version, dict(one.fields), one.state, one.reason) for one in stage.registers.history("risk", "RSK-0001")
    ]
    assert import_file(stage.registers, "risk", risks, Wanted()) == Imported(0, 0, 1)
    stage.spoil(
        "TRUNCATE hygie_proof.record; UPDATE hygie_proof.head SET seq = 0, at_ms = 0, digest = '\\x" + "00" * 32 + "'"
    )
    assert not Record.objects.exists()
    import_file(stage.registers, "person", people, Wanted())
    assert import_file(stage.registers, "risk", risks, Wanted(reason="reprise")) == Imported(1, 0, 0)
    found = stage.registers.history("risk", "RSK-0001")
    assert [(one.version, dict(one.fields), one.state) for one in found] == [one[:3] for one in before]
    assert [one.reason for one in found] == ["reprise", "reprise", "revue"]
    assert import_file(stage.registers, "risk", risks, Wanted()) == Imported(0, 0, 1)
    stage.registers.write([Change("risk", {"title": "Suite"}, key="RSK-0001")])
    assert import_file(stage.registers, "risk", risks, Wanted()) == Imported(0, 0, 1)
    told = json.loads(risks.read_text())
    told["records"][0]["versions"][1]["fields"]["title"] = "Autre"
    risks.write_text(json.dumps(told))
    with pytest.raises(FileRefusedError, match="another history"):
        import_file(stage.registers, "risk", risks, Wanted())
    with pytest.raises(FileRefusedError, match="another register"):
        import_file(stage.registers, "person", risks, Wanted())


def test_a_pdf_is_archival_tagged_and_takes_no_markup(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.registers.write([Change("person", {"function": '#panic("x") *a* $b$ \\ @c <d> ='}, key="PER-0001")])
    file = tmp_path / "p.pdf"
    export_file(stage.registers, Asked("person"), file)
    content = file.read_bytes()
    assert content.startswith(b"%PDF-1.7")
    assert b"pdfaid:part" in content
    assert b"pdfuaid:part" in content
    monkeypatch.setattr(pdf_file, "PDF_RECORDS_MAX", 0)
    with pytest.raises(ExportRefusedError):
        export_file(stage.registers, Asked("person"), tmp_path / "q.pdf")
    assert not (tmp_path / "q.pdf").exists()


def test_a_pdf_tells_by_its_number_what_its_fonts_lack(stage: Stage, tmp_path: Path) -> None:
    name = "東京 😀 a\ue000 \u202eb\u202c Łukasz Ωμέγα"
    stage.registers.write([Change("person", {"name": name}, key="PER-0001")])
    file = tmp_path / "p.pdf"
    export_file(stage.registers, Asked("person"), file)
    text = "".join(page.extract_text() for page in PdfReader(file).pages)
    for shown in ("[U+6771]", "[U+1F600]", "[U+E000]", "[U+202E]", "Łukasz", "Ωμέγα"):
        assert shown in text


def test_every_register_makes_a_pdf_and_a_template(tmp_path: Path, stage: Stage) -> None:
    for name, schema in stage.registers.schemas.items():
        file = tmp_path / f"{name}.xlsx"
        template_file(schema, file)
        assert read_xlsx(file.read_bytes()).rows == []
        assert import_file(stage.registers, name, file, Wanted()) == Imported(0, 0, 0)
        template_file(schema, file.with_suffix(".csv"))
        assert import_file(stage.registers, name, file.with_suffix(".csv"), Wanted()) == Imported(0, 0, 0)
        export_file(stage.registers, Asked(name), file.with_suffix(".pdf"))


def test_a_file_of_an_unknown_form_is_refused(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(ExportRefusedError):
        export_file(stage.registers, Asked("risk"), tmp_path / "r.ods")
    with pytest.raises(ExportRefusedError):
        template_file(stage.registers.schemas["risk"], tmp_path / "r.json")
