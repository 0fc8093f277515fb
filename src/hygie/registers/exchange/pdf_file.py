"""A register as a PDF/A document in the person's language: the same records at the same instant give the same bytes.

Set by Typst from ``page.typ`` beside this file, with the fonts that its wheel holds; records come as data and are never
read as markup. Nothing is looked for on the network or among the system's fonts; a character that the fonts lack is
told by its number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from importlib import resources
from typing import Any

from hygie.base.glyphs import displayable_values
from hygie.base.language import current_language, say
from hygie.registers.chain import RecordVersion
from hygie.registers.durations import INSTANT
from hygie.registers.errors import ExportRefusedError
from hygie.registers.exchange.limits import PDF_RECORDS_MAX
from hygie.registers.schema import Field, Schema

STANDARDS = ["a-2a", "ua-1"]  # archival, and readable by who does not see: the two may be had together


def make_pdf(schema: Schema, records: Sequence[RecordVersion], *, at_ms: int) -> bytes:
    """The document. Args: at_ms: the registers are as known then. Raises: ExportRefusedError: too many records."""
    if len(records) > PDF_RECORDS_MAX:
        raise ExportRefusedError(
            reason_fr=f"{PDF_RECORDS_MAX} fiches au plus dans un PDF ; CSV, XLSX et JSON les prennent toutes",
            reason_en=f"{PDF_RECORDS_MAX} records at most in a PDF; CSV, XLSX and JSON take them all",
        )
    import typst

    source = (resources.files("hygie.registers.exchange") / "page.typ").read_bytes()
    data = json.dumps(displayable_values(_document(schema, records, at_ms)), ensure_ascii=False)
    compiler = typst.Compiler(ignore_system_fonts=True, sys_inputs={"data": data})
    made = compiler.compile(source, format="pdf", pdf_standards=STANDARDS, timestamp=at_ms // 1000)  # type: ignore[arg-type]
    assert isinstance(made, bytes)
    return made


def _document(schema: Schema, records: Sequence[RecordVersion], at_ms: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    count = len(records)
    return {
        "lang": current_language(),
        "title": schema.label,
        "about": say(fr=schema.about_fr, en=schema.about_en),
        "at": {"year": at.year, "month": at.month, "day": at.day},
        "known": say(fr=f"état connu le {_moment(at_ms)}", en=f"as known on {_moment(at_ms)}"),
        "foot": say(fr="Registre tenu par Hygie", en="Register kept by Hygie"),
        "count": say(fr=f"{count} fiche{'s' if count > 1 else ''}.", en=f"{count} record{'s' if count != 1 else ''}."),
        "heads": [
            say(fr="Fiche", en="Record"), say(fr="Intitulé", en="Title"), say(fr="État", en="State"),
            say(fr="Client", en="Client"), say(fr="Écrite le", en="Written at"),
        ],
        "columns": [say(fr="Champ", en="Field"), say(fr="Valeur", en="Value")],
        "records": [_record(schema, one) for one in records],
    }  # fmt: skip


def _record(schema: Schema, record: RecordVersion) -> dict[str, Any]:
    by = say(fr="écrite par", en="written by")
    approved = f" · {say(fr='approuvée par', en='approved by')} {record.approver}" if record.approver else ""
    title = schema.field(schema.title_field)
    return {
        "key": record.key,
        "title": _shown(title, record.fields[title.id]) if title and title.id in record.fields else "",
        "state": schema.state(record.state).label,
        "tenant": record.tenant,
        "written": _moment(record.at_ms),
        "said": f"version {record.version} · {schema.state(record.state).label} · {by} {record.author}{approved}",
        "cells": [[one.label, _shown(one, record.fields[one.id])] for one in schema.fields if one.id in record.fields],
    }


def _shown(field: Field, value: object) -> str:
    if isinstance(value, list):
        return " ; ".join(_shown(field, one) for one in value)
    text = field.shown(value)
    if field.type == "date":
        return date.fromisoformat(text).strftime(say(fr="%d/%m/%Y", en="%Y-%m-%d"))
    if field.type == "instant":
        at = datetime.strptime(text, INSTANT).replace(tzinfo=UTC)
        return at.strftime(say(fr="%d/%m/%Y à %H:%M:%S UTC", en="%Y-%m-%d %H:%M:%S UTC"))
    return f"{text[:16]}…" if field.type in ("document", "documents") else text


def _moment(at_ms: int) -> str:
    form = say(fr="%d/%m/%Y à %H:%M UTC", en="%Y-%m-%d %H:%M UTC")
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime(form)
