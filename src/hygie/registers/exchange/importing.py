"""A file into a register: all of its lines or none, and the same file again changes nothing.

A row is of the record that its key names; without a key, of the one whose ``match`` field has the same value; else of
the record that once said the same, or it is a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hygie.base.errors import InvalidRequestError, RefusedError
from hygie.registers.chain import RecordVersion, encode_body
from hygie.registers.engine import Asked, Registers
from hygie.registers.errors import ImportRefusedError, PatientNamedError, RecordInvalidError
from hygie.registers.exchange.columns import Own, columns_of, given_of
from hygie.registers.exchange.csv_file import read_csv
from hygie.registers.exchange.grid import Cell, Grid, natural, refused
from hygie.registers.exchange.json_file import Export, Version, read_json, same_content
from hygie.registers.exchange.limits import FAULTS_MAX, FILE_BYTES_MAX, MIB
from hygie.registers.exchange.xlsx_file import read_xlsx
from hygie.registers.rules import Change
from hygie.registers.schema import Schema
from hygie.registers.values import read_value


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a file is read. mapping: by header, the field it means, empty to leave it aside; match: field that tells the
    record of a row without a key; state, reason, approver: of every row that does not say otherwise."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    match: str = ""
    state: str = ""
    reason: str = ""
    approver: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file changed: new records, new versions of known ones, rows that said nothing new."""

    new: int
    changed: int
    unchanged: int


def import_file(registers: Registers, register: str, path: Path, wanted: Wanted) -> Imported:
    """Write what a file says, all of it or nothing.

    Raises: FileRefusedError: it cannot be read; ImportRefusedError: some of its lines are faulty, and which;
    RegisterNotFoundError; JournalUnavailableError; OSError.
    """
    changes, rows = _read(registers, register, path, wanted)
    try:
        written = registers.write(changes)
    except (InvalidRequestError, RefusedError) as error:
        raise _all_faults(registers, changes) or error from error
    new = len({one.key for one in written if one.version == 1})
    keys = len({one.key for one in written})
    return Imported(new, keys - new, rows - keys)


def check_file(registers: Registers, register: str, path: Path, wanted: Wanted) -> int:
    """Tell what would be refused, without writing. Returns how many rows it has. Raises: as :func:`import_file`."""
    changes, rows = _read(registers, register, path, wanted)
    if error := _all_faults(registers, changes):
        raise error
    registers.rehearse(changes)  # what several records must hold to together
    return rows


def _all_faults(registers: Registers, changes: Sequence[Change]) -> ImportRefusedError | None:
    faults = registers.faults(changes, limit=FAULTS_MAX)
    return ImportRefusedError(faults) if faults else None


def _read(registers: Registers, register: str, path: Path, wanted: Wanted) -> tuple[list[Change], int]:
    """The changes that a file asks for, and how many rows or records it has."""
    schema = registers.schemas[register]
    form = path.suffix.lower()
    if form not in (".csv", ".xlsx", ".json"):
        raise refused(1, "le fichier finit par .csv, .xlsx ou .json", "the file ends with .csv, .xlsx or .json")
    with path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise refused(1, f"{FILE_BYTES_MAX // MIB} Mio au plus", f"{FILE_BYTES_MAX // MIB} MiB at most")
    if not wanted.reason:
        wanted = replace(wanted, reason=f"import {hashlib.sha256(content).hexdigest()[:12]}")
    if form == ".json":
        export = read_json(content)
        if export.register != schema.id:
            raise refused(1, "export d'un autre registre", "the export of another register")
        return list(_replayed(registers, export, wanted)), len(export.records)
    grid = read_csv(content) if form == ".csv" else read_xlsx(content)
    changes = list(_changes(schema, grid, wanted))
    return _keyed(registers, schema, changes, wanted.match), len(changes)


def _changes(schema: Schema, grid: Grid, wanted: Wanted) -> Iterator[Change]:
    columns = columns_of(schema, grid.headers, wanted.mapping)
    states = {name.casefold(): one.id for one in schema.states for name in (one.id, one.fr, one.en)}
    for line, cells in grid.rows:
        own: dict[str, str] = {}
        fields: dict[str, object] = {}
        for column, cell in zip(columns, cells, strict=True):
            if isinstance(column, Own):
                own[column.id] = _own(cell)
            elif column is not None:
                fields[column.id] = given_of(column, cell)
        state = own.get("state", "") or wanted.state
        version = own.get("version", "")
        if version and not (version.isascii() and version.isdigit() and len(version) <= 9):
            raise refused(line, "une version est un nombre entier", "a version is a whole number")
        yield Change(
            schema.id,
            fields,
            key=own.get("key", ""),
            state=states.get(state.casefold(), state),
            tenant=own.get("tenant", ""),
            reason=wanted.reason,
            approver=wanted.approver,
            version=int(version or 0),
            line=line,
        )


def _own(cell: Cell) -> str:
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return natural(str(cell)).strip() if cell is not None else ""


def _keyed(registers: Registers, schema: Schema, changes: Sequence[Change], match: str) -> list[Change]:
    """The same changes, each with the key of its record when there is one. Raises: ImportRefusedError."""
    faults: list[RecordInvalidError] = []
    seen: dict[str, int] = {}
    found: list[Change] = []
    known = _Known(registers, schema, changes, match)
    for change in changes:
        twins = known.find(change)
        if len(twins) > 1 and match:
            faults.append(_fault(change, match, "plusieurs fiches ont cette valeur", "several records have this value"))
        key = change.key or (min(twins) if match and twins else "")
        name = key or known.signature(change)
        if name in seen:
            first = seen[name]
            faults.append(_fault(change, "key", f"déjà dite ligne {first}", f"already said on line {first}"))
        seen.setdefault(name, change.line)
        # A record that once said the same may say something else since: an old file does not bring it back.
        if key or not twins:
            found.append(replace(change, key=key))
    if faults:
        raise ImportRefusedError(faults[:FAULTS_MAX])
    return found


def _fault(change: Change, name: str, fr: str, en: str) -> RecordInvalidError:
    return RecordInvalidError(line=change.line, field=name, reason_fr=fr, reason_en=en)


class _Known:
    """Which record a row without a key is. Looked up only when there is such a row."""

    def __init__(self, registers: Registers, schema: Schema, changes: Sequence[Change], match: str) -> None:
        self._schema, self._match = schema, "" if schema.key_field else match
        self._columns = sorted({name for one in changes for name in one.fields})
        self._keys: dict[str, set[str]] = {}
        if schema.key_field or all(one.key for one in changes):
            return
        if match and schema.field(match) is None:
            raise refused(1, "le champ de rapprochement n'existe pas", "there is no such field to match by")
        if match:
            for record in registers.current(Asked(schema.id)):
                if match in record.fields:
                    name = encode_body({"is": record.fields[match], "tenant": record.tenant})
                    self._keys.setdefault(name, set()).add(record.key)
        else:
            for record in registers.versions(schema.id):
                self._keys.setdefault(self._said(record), set()).add(record.key)

    def find(self, change: Change) -> set[str]:
        """The keys of its record, none for a new one or for a row that says its key."""
        if change.key or not self._keys:
            return set()
        if self._match:
            value = _stored(self._schema, change, [self._match]).get(self._match)
            name = encode_body({"is": value, "tenant": change.tenant}) if value is not None else ""
        else:
            name = self.signature(change)
        return self._keys.get(name, set())

    def signature(self, change: Change) -> str:
        """What a row says, whoever wrote it."""
        fields = _stored(self._schema, change, self._columns)
        return encode_body({"fields": fields, "state": change.state or self._schema.initial.id, "in": change.tenant})

    def _said(self, record: RecordVersion) -> str:
        fields = {name: record.fields[name] for name in self._columns if name in record.fields}
        return encode_body({"fields": fields, "state": record.state, "in": record.tenant})


def _stored(schema: Schema, change: Change, names: Sequence[str]) -> dict[str, Any]:
    """Values as they would be stored; those that are wrong stand as given, and are refused later."""
    stored: dict[str, Any] = {}
    for name in names:
        one, given = schema.field(name), change.fields.get(name)
        if one is None:
            continue
        try:
            value = read_value(one, given, change.line)
        except (RecordInvalidError, PatientNamedError):
            value = str(given)
        if value is not None:
            stored[name] = value
    return stored


def _replayed(registers: Registers, export: Export, wanted: Wanted) -> Iterator[Change]:
    """What an export holds and the register does not yet. Raises: FileRefusedError: the two say different things."""
    stored: dict[str, list[RecordVersion]] = {}
    for record in registers.versions(export.register):
        stored.setdefault(record.key, []).append(record)
    for number, kept in enumerate(export.records, 1):
        before = stored.get(kept.key, [])
        if not same_content(before, kept.versions):
            raise refused(number, "la fiche a ici une autre histoire", "the record has another history here")
        last = before[-1].fields if before else {}
        for one in kept.versions[len(before) :]:
            yield _change(export.register, kept.key, one, _whole(one, last), wanted=wanted, line=number)
            last = one.fields


def _whole(one: Version, last: Mapping[str, Any]) -> dict[str, object]:
    """The fields of a version, and what it emptied of the one before."""
    return {**{name: None for name in last if name not in one.fields}, **one.fields}


def _change(
    register: str, key: str, one: Version, fields: Mapping[str, object], *, wanted: Wanted, line: int
) -> Change:
    return Change(
        register,
        fields,
        key=key,
        state=one.state,
        tenant=one.tenant,
        reason=one.reason or wanted.reason,
        approver=one.approver or wanted.approver,
        line=line,
    )
