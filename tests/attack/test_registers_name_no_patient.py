"""A patient's number enters no register, whatever the field and the door; nothing that is told repeats it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hygie.base.errors import HygieError
from hygie.database.cluster import Dsns
from hygie.registers.errors import FileRefusedError, ImportRefusedError, PatientNamedError, RecordInvalidError
from hygie.registers.exchange.importing import Wanted, import_file
from hygie.registers.exchange.json_file import FORMAT
from hygie.registers.exchange.xlsx_file import write_xlsx
from hygie.registers.orm import setup
from hygie.registers.rules import Change, Known, next_version
from hygie.registers.schema import Schema, shipped_schemas
from tests.unit.registers.filled import filled_record
from tests.unit.registers.stage import Stage, staged

setup()

INS = "255081416802538"
SPACED = "2 55 08 14 168 025 38"
SCHEMAS = shipped_schemas()
# Closed lists, dates, numbers of another form, and digests: no text of one's own fits in them.
CLOSED = {
    "date", "instant", "boolean", "choice", "choices", "country", "countries", "document", "documents", "rpps",
    "siren", "activities",
}  # fmt: skip
MADE = {
    "email": f"{INS}@example.fr",
    "url": f"https://example.fr/patients/{INS}",
    "vault": f"chu-x/prod/Patient/{INS}",
    "texts": ["Un", INS],
    "references": ["X-1", INS],
    "requirements": ["EXI-05", INS],
}


@pytest.fixture
def stage(database: Dsns) -> Iterator[Stage]:
    with staged(database) as made:
        made.registers.schemas = SCHEMAS
        made.registers.write([Change("person", PERSON)])
        yield made


PERSON = {"name": "Anne Martin", "employer": "Hygie", "function": "RSSI", "starts_on": "2026-01-05"}


def written(schema: Schema, fields: dict[str, object], **more: Any) -> None:
    state = schema.initial.id
    change = Change(schema.id, filled_record(schema, state) | fields, state=state, approver="paul", **more)
    next_version(change, SCHEMAS, Known({schema.id: {}}, lambda _: {}), author="local:anne", line=1)


def says_nothing(error: HygieError) -> bool:
    told = error.sentence("fr") + error.sentence("en") + repr(error.facts)
    return "2550814" not in told.replace(" ", "")


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_no_field_of_a_shipped_register_takes_it(schema: Schema) -> None:
    for field in schema.fields:
        with pytest.raises((PatientNamedError, RecordInvalidError)) as refused:
            written(
                schema, {field.id: MADE.get(field.type, INS)}, tenant="chu-x" if schema.tenant == "required" else ""
            )
        assert says_nothing(refused.value)
        roomy = field.max is None or (field.max >= len(INS) and field.type not in ("integer", "decimal"))
        if field.type not in CLOSED and roomy:
            assert isinstance(refused.value, PatientNamedError), field.id


@pytest.mark.parametrize(
    "more",
    [
        {"key": INS},
        {"key": "2-55-08-14-168-025-38"},
        {"tenant": INS},
        {"tenant": "2-55-08-14-168-025-38"},
        {"reason": f"demande de {SPACED}"},
        {"approver": INS},
    ],
)
def test_nor_does_what_every_record_has(stage: Stage, more: dict[str, str]) -> None:
    fields = {"subject": "Lenteur", "received_on": "2026-01-05", "kind": "client", "description": "x"}
    change = Change("complaint", fields | {"certified_scope": False})
    stage.registers.rehearse([change])
    with pytest.raises((PatientNamedError, RecordInvalidError)) as refused:
        stage.registers.write([Change(change.register, change.fields, **more)])
    assert says_nothing(refused.value)
    assert not holds(stage)


HEADERS = ["Nom et prénom", "Courriel", "Employeur", "Fonction", "Arrivée"]
ROW = ["Anne Martin", "anne@example.fr", "Hygie", "RSSI", "2026-01-05"]


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("number", [INS, SPACED, "２５５０８１４１６８０２５３８"])
def test_no_cell_of_a_table_brings_it(stage: Stage, tmp_path: Path, form: str, number: str, place: int) -> None:
    cells = [*ROW]
    cells[place] = f"{number}@example.fr" if place == 1 else number
    file = tmp_path / f"personnel.{form}"
    if form == "csv":
        file.write_text("\n".join([";".join(HEADERS), ";".join(cells)]))
    else:
        made = io.BytesIO()
        write_xlsx(made, "Personnel", HEADERS, [cells], at_ms=0, folder=tmp_path)
        file.write_bytes(made.getvalue())
    with pytest.raises(ImportRefusedError) as refused:
        import_file(stage.registers, "person", file, Wanted())
    assert says_nothing(refused.value)
    assert all(says_nothing(one) for one in refused.value.faults)
    assert not holds(stage)


@pytest.mark.parametrize(
    "version",
    [
        {"fields": PERSON | {"function": INS}},
        {"fields": PERSON | {"function": 255081416802538}},
        {"fields": PERSON, "reason": SPACED},
        {"fields": PERSON, "approver": INS},
        {"fields": PERSON, "tenant": INS},
        {"fields": PERSON, "state": INS},
        {"fields": PERSON | {INS: "x"}},
    ],
)
def test_no_version_of_an_export_brings_it(stage: Stage, tmp_path: Path, version: dict[str, object]) -> None:
    file = tmp_path / "personnel.json"
    for key, kept in (("PER-0002", version), (INS, {"fields": PERSON})):
        records = [{"key": key, "versions": [{"version": 1, "state": "present", **kept}]}]
        file.write_text(
            json.dumps({"format": FORMAT, "register": "person", "schema": 2, "at_ms": 1, "records": records})
        )
        with pytest.raises(ImportRefusedError) as refused:
            import_file(stage.registers, "person", file, Wanted())
        assert says_nothing(refused.value)
    assert not holds(stage)


def test_no_header_of_a_file_is_told(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "personnel.csv"
    for header in (INS, SPACED, "\x1b[2J", "a\u202eb"):
        file.write_text(f"{header};name\nA;B\n")
        with pytest.raises(FileRefusedError) as refused:
            import_file(stage.registers, "person", file, Wanted())
        assert says_nothing(refused.value)
        assert header not in refused.value.sentence("fr")


@pytest.mark.parametrize("name", [f"{INS}.pdf", f"dossier {SPACED}.pdf", "2-55-08-14-168-025-38.txt"])
def test_no_name_of_a_kept_file_holds_it(stage: Stage, name: str) -> None:
    with pytest.raises(PatientNamedError) as refused:
        stage.registers.put_document(name, "application/pdf", b"%PDF-")
    assert says_nothing(refused.value)
    assert not stage.registers.documents()


@pytest.mark.parametrize("name", ["a\nb.pdf", "a\x00b.pdf", "a\udcffb.pdf", "a\x1b[2J.pdf", "a" * 256])
def test_a_name_of_a_file_is_a_line_of_text(stage: Stage, name: str) -> None:
    with pytest.raises(RecordInvalidError):
        stage.registers.put_document(name, "application/pdf", b"%PDF-")
    assert not stage.registers.documents()


def holds(stage: Stage) -> bool:
    """Whether any text of the registers' tables holds it."""
    with psycopg.connect(stage.dsns.owner) as owner:
        rows = owner.execute(
            "SELECT r::text FROM hygie_proof.record r UNION ALL SELECT d::text FROM hygie_proof.document d"
        )
        return any("2550814" in row[0].replace(" ", "").replace("-", "") for row in rows)
