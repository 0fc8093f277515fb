"""Between a record and a row of cells: which column is which field, how a value is written and read. Pure.

Source: docs/formats/register-files.md v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from hygie.base.language import say
from hygie.base.naming import looks_like_ins
from hygie.registers.chain import RecordVersion
from hygie.registers.durations import INSTANT
from hygie.registers.exchange.grid import Cell, natural, neutral, refused, text_of
from hygie.registers.schema import Field, Schema

LISTS = (
    "choices", "countries", "references", "documents", "requirements", "activities", "texts",
)  # fmt: skip
_FRENCH_DATE = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?: 00:00(?::00)?)?", re.ASCII)


class Own(NamedTuple):
    """A column that every register has. read: whether an import looks at it."""

    id: str
    fr: str
    en: str
    read: bool


OWN = (
    Own("key", "Fiche", "Record", True),
    Own("state", "État", "State", True),
    Own("tenant", "Client hébergé", "Hosted client", True),
    Own("version", "Version de la fiche", "Version of the record", True),
    Own("written_at", "Écrite le", "Written at", False),
    Own("author", "Écrite par", "Written by", False),
    Own("approver", "Approuvée par", "Approved by", False),
)


def header_of(column: Own | Field) -> str:
    """What stands at the head of a column, in the person's language."""
    return say(fr=column.fr, en=column.en)


def all_columns(schema: Schema) -> list[Own | Field]:
    """What an export writes, in order."""
    return [*OWN, *schema.fields]


def template_columns(schema: Schema) -> list[Own | Field]:
    """What somebody fills: key, state, client when the register has clients, then the fields."""
    own = [one for one in OWN if one.id in ("key", "state") or (one.id == "tenant" and schema.tenant != "none")]
    return [*own, *schema.fields]


def columns_of(
    schema: Schema, headers: Sequence[str], given: Mapping[str, str], line: int = 1
) -> list[Own | Field | None]:
    """What each column of a file is; None for one that is not read.

    Headers are ids or labels, in French or in English, whatever the case. Args: given: by header, the id that it means,
    or nothing to leave the column aside.
    Raises: FileRefusedError: an unknown header, or two columns for one field.
    """
    known: dict[str, Own | Field] = {}
    for one in all_columns(schema):
        for name in (one.id, one.fr, one.en):
            known[name.casefold()] = one
    meant = {name.casefold(): target for name, target in given.items()}
    found: list[Own | Field | None] = []
    for number, header in enumerate(headers, 1):
        name = natural(header).casefold()
        target = meant.pop(name, name)
        if not target.strip():
            found.append(None)
            continue
        column = known.get(target.casefold())
        if column is None:
            fit = len(header) <= 80 and header.isprintable() and not looks_like_ins(header)
            shown = header if fit else str(number)
            raise refused(line, f"colonne inconnue ({shown})", f"no such column ({shown})")
        if column in found:
            raise refused(line, f"deux colonnes pour {column.id}", f"two columns for {column.id}")
        found.append(None if isinstance(column, Own) and not column.read else column)
    if meant:
        raise refused(line, "une colonne à faire correspondre manque", "a column to be mapped is not there")
    return found


def cells_of(schema: Schema, record: RecordVersion) -> list[Cell]:
    """A record as a row, in the order of ``OWN`` then of the schema's fields; texts are made neutral."""
    written = datetime.fromtimestamp(record.at_ms / 1000, UTC).strftime(INSTANT)
    state = schema.state(record.state).label
    own = (record.key, state, record.tenant, record.version, written, record.author, record.approver)
    shown = [neutral(one) if isinstance(one, str) else one for one in own]
    return [*shown, *(cell_of(field, record.fields.get(field.id)) for field in schema.fields)]


def cell_of(field: Field, value: Any) -> Cell:
    """A stored value as a cell: what :func:`given_of` reads back to the same value."""
    if value is None:
        return None
    if isinstance(value, bool):
        return field.shown(value)
    if isinstance(value, list):
        items = [field.shown(one) for one in value]
        # A text may hold the separator: then each item has its line.
        return neutral("\n".join([*items, ""]) if any(";" in one for one in items) else "; ".join(items))
    if isinstance(value, int) or field.type == "date":
        return value if isinstance(value, int) else date.fromisoformat(value)
    if field.type == "decimal":
        # Only when it comes back as it was: 12.50 stays a text, since a number forgets its last zero.
        number = float(value)
        return number if text_of(number) == value else str(value)
    return neutral(field.shown(value))


def given_of(field: Field, cell: Cell) -> object:
    """What a cell gives to a field, for ``values.read_value``."""
    if isinstance(cell, datetime):
        return cell.date() if field.type == "date" and cell.time() == datetime.min.time() else cell
    if isinstance(cell, float):
        return text_of(cell) if field.type not in LISTS else text_of(cell).removesuffix(".0")
    if not isinstance(cell, str):
        return cell
    text = natural(cell.replace("\r\n", "\n").replace("\r", "\n"))
    if field.type in LISTS and "\n" in text:
        return [one for one in text.split("\n") if one.strip()]
    if field.type == "date" and (french := _FRENCH_DATE.fullmatch(text.strip())):
        return f"{french[3]}-{french[2]:0>2}-{french[1]:0>2}"
    return text
