"""The registers of the demonstration: what an imaginary French host wrote down, dated for the day of the run.

The records are tables of ``records/*.toml``, written as on Friday 27 November 2026. They move by whole weeks, so that
their last Friday is the one of the day or before it: an audit stays on a working day, and what is six days older is
still fresh. ``tests/sabotage`` holds every check on registers to the same records.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from importlib import resources
from string import Template
from typing import Any

from hygie import __version__
from hygie.base.language import say
from hygie.registers.engine import Asked, Registers
from hygie.registers.rules import Change
from hygie.registers.schema import Field

WRITTEN_ON = date(2026, 11, 27)  # a Friday
CLIENTS = ("cabinet-exemple", "chu-exemple")  # whose contracts, contacts and matrices the records hold
APPROVER = "Emma Exemple"  # who approves: the records' managing director (PER-0003), never who writes
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}:\d{2}Z)?", re.ASCII)
_PAGE = """Hébergeur Exemple — {name}

Pièce de démonstration, inventée : elle ne prouve rien. / Invented for a demonstration: it proves nothing.
"""
Rows = dict[str, list[dict[str, Any]]]


def rows_on(today: date, *, version: str = __version__) -> Rows:
    """The tables of all records, by register, dated for a day. Keys that begin with an underscore are no fields.

    Args: version: of Hygie, that the host is said to have put in service.
    """
    by = timedelta(weeks=(today - WRITTEN_ON).days // 7)
    found: Rows = {}
    folder = resources.files("hygie.demo").joinpath("records")
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        for register, rows in tomllib.loads(file.read_text("utf-8")).items():
            moved = [{name: _moved(value, by, version) for name, value in row.items()} for row in rows]
            found.setdefault(register, []).extend(moved)
    return found


def changes_on(registers: Registers, today: date) -> list[Change]:
    """What to write so that the registers hold the records of the day, their documents kept before.

    A record that is there keeps its state, so that a later run takes up what an earlier one left.
    """
    return list(_changes(registers, rows_on(today)))


def change_of(registers: Registers, register: str, row: Mapping[str, Any]) -> Change:
    """One table as a change. Documents are named by their file: each is kept, and cited by its digest."""
    schema = registers.schemas[register]
    fields = {
        name: _filed(registers, schema.field(name), value) for name, value in row.items() if not name.startswith("_")
    }
    return Change(
        register,
        fields,
        key=row["_key"],
        state=row.get("_state", ""),
        tenant=row.get("_tenant", ""),
        reason=say(fr="démonstration", en="demonstration"),
        approver=APPROVER,
    )


def kept(registers: Registers, name: str) -> str:
    """Keep a page that says what it stands for, and that it proves nothing. Returns its SHA-256, in hexadecimal."""
    return registers.put_document(name, "text/plain", _PAGE.format(name=name).encode())


def _changes(registers: Registers, tables: Rows) -> Iterator[Change]:
    for register, rows in tables.items():
        known = {one.key for one in registers.current(Asked(register))}
        for row in rows:
            kept = {"_state": ""} if row["_key"] in known else {}
            yield change_of(registers, register, row | kept)


def _moved(value: Any, by: timedelta, version: str) -> Any:
    """A value as of the day: dates and instants later by so many weeks, the version put in."""
    if isinstance(value, list):
        return [_moved(one, by, version) for one in value]
    if not isinstance(value, str):
        return value
    if found := _DAY.fullmatch(value):
        return f"{date.fromisoformat(found[1]) + by}{found[2] or ''}"
    return Template(value).substitute(version=version)


def _filed(registers: Registers, field: Field | None, value: Any) -> Any:
    if field is None or field.type not in ("document", "documents") or not value:
        return value
    return [kept(registers, one) for one in value] if isinstance(value, list) else kept(registers, value)
