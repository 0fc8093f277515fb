"""A register into a file: made beside it, journaled, and only then put in its place."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from hygie.registers.engine import Asked, Registers
from hygie.registers.errors import ExportRefusedError
from hygie.registers.exchange.columns import all_columns, cells_of, header_of, template_columns
from hygie.registers.exchange.csv_file import write_csv
from hygie.registers.exchange.json_file import write_json
from hygie.registers.exchange.pdf_file import make_pdf
from hygie.registers.exchange.xlsx_file import write_template, write_xlsx
from hygie.registers.schema import Schema

TEMPLATE_MS = 1_767_225_600_000  # 2026-01-01: a template says nothing of its day, so that it is the same every day


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. sha256: of the file, as the journal holds it; at_ms: it says what was known then."""

    records: int
    size: int
    sha256: str
    at_ms: int


def export_file(registers: Registers, asked: Asked, path: Path) -> Exported:
    """Write the records asked into a file of the form that its name says, readable by its owner only.

    The file is in place once its entry of the journal is durable; until then there is nothing, or what was there.
    Raises: ExportRefusedError; RegisterNotFoundError; JournalUnavailableError; OSError.
    """
    form = _form(path, _WRITERS)
    at_ms = registers.clock.now_ms() if asked.at_ms is None else asked.at_ms
    asked = replace(asked, at_ms=at_ms)
    with _beside(path) as made:
        with made.open("r+b") as file:
            records = _WRITERS[form](registers, asked, file)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = made.stat().st_size
        registers.journal_export(asked, form=form, records=records, sha256=digest)
        made.replace(path)
    return Exported(records, size, digest, at_ms)


def template_file(schema: Schema, path: Path) -> None:
    """Write an empty file to fill: CSV, or XLSX with lists to pick from. Raises: ExportRefusedError; OSError."""
    form = _form(path, ("csv", "xlsx"))
    with _beside(path) as made:
        with made.open("r+b") as file:
            if form == "csv":
                write_csv(file, [header_of(one) for one in template_columns(schema)], [])
            else:
                write_template(file, schema, at_ms=TEMPLATE_MS)
        made.replace(path)


def _form(path: Path, known: Iterable[str]) -> str:
    form = path.suffix.lower().removeprefix(".")
    names = tuple(known)
    if form not in names:
        listed = ", ".join(f".{one}" for one in names)
        raise ExportRefusedError(reason_fr=f"le fichier finit par {listed}", reason_en=f"the file ends with {listed}")
    return form


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A new file of its owner only, in the same folder; removed unless it was put in place."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    made = Path(name)
    try:
        yield made
    finally:
        made.unlink(missing_ok=True)


Writer = Callable[[Registers, Asked, BinaryIO], int]


def _csv(registers: Registers, asked: Asked, file: BinaryIO) -> int:
    schema = registers.schemas[asked.register]
    return write_csv(file, _headers(schema), (cells_of(schema, one) for one in registers.current(asked)))


def _xlsx(registers: Registers, asked: Asked, file: BinaryIO) -> int:
    schema = registers.schemas[asked.register]
    rows = (cells_of(schema, one) for one in registers.current(asked))
    folder = Path(file.name).parent
    return write_xlsx(file, schema.label, _headers(schema), rows, at_ms=_at(asked), folder=folder)


def _json(registers: Registers, asked: Asked, file: BinaryIO) -> int:
    schema = registers.schemas[asked.register]
    kept = {one.key for one in registers.current(asked)}
    versions = (one for one in registers.versions(asked.register, at_ms=asked.at_ms) if one.key in kept)
    return write_json(file, schema, versions, at_ms=_at(asked))


def _pdf(registers: Registers, asked: Asked, file: BinaryIO) -> int:
    records = list(registers.current(asked))
    file.write(make_pdf(registers.schemas[asked.register], records, at_ms=_at(asked)))
    return len(records)


_WRITERS: dict[str, Writer] = {"csv": _csv, "xlsx": _xlsx, "json": _json, "pdf": _pdf}


def _headers(schema: Schema) -> list[str]:
    return [header_of(one) for one in all_columns(schema)]


def _at(asked: Asked) -> int:
    assert asked.at_ms is not None
    return asked.at_ms
