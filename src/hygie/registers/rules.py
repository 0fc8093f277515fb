"""What a change of a record must hold to, and the version it makes. Pure: what is stored is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hygie.base.naming import looks_like_ins
from hygie.base.people import is_same_person, plain
from hygie.registers.chain import RecordVersion
from hygie.registers.coherence import check_rules
from hygie.registers.errors import (
    FourEyesError,
    PatientNamedError,
    RecordChangedError,
    RecordInvalidError,
    TransitionRefusedError,
)
from hygie.registers.schema import Schema, Schemas, State
from hygie.registers.values import has_control, read_value

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}", re.ASCII)
TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
REASON_CHARACTERS_MAX = 500
NAME_CHARACTERS_MAX = 120


@dataclass(frozen=True, slots=True)
class Change:
    """One wish. fields: what is given, by field; an absent one stays, an empty one is emptied.

    key: of the record; empty for a new one whose key the register gives. state: to enter, empty to stay.
    version: the one that was read, so that nobody writes over somebody else's change; 0 not to look.
    line: of the file it comes from, for refusals; 0 for its rank in the call.
    """

    register: str
    fields: Mapping[str, object]
    key: str = ""
    state: str = ""
    tenant: str = ""
    reason: str = ""
    approver: str = ""
    version: int = 0
    line: int = 0


@dataclass(slots=True)
class Known:
    """What is stored, and what this call adds to it.

    newest: last version of each record, by register then key, of the registers that change; load: of any other.
    """

    newest: dict[str, dict[str, RecordVersion]]
    load: Callable[[str], dict[str, RecordVersion]]
    _numbers: dict[str, int] = field(default_factory=dict)

    def of(self, register: str) -> dict[str, RecordVersion]:
        """The last versions of one register."""
        if register not in self.newest:
            self.newest[register] = self.load(register)
        return self.newest[register]

    def new_key(self, schema: Schema) -> str:
        """The next key of a register: ``SUP-0001``."""
        if schema.id not in self._numbers:
            taken = re.compile(rf"{schema.prefix}-(\d{{1,9}})")
            numbers = (int(found[1]) for key in self.of(schema.id) if (found := taken.fullmatch(key)))
            self._numbers[schema.id] = max(numbers, default=0)
        self._numbers[schema.id] += 1
        return f"{schema.prefix}-{self._numbers[schema.id]:04d}"

    def lost_references(
        self, records: Iterable[tuple[int, RecordVersion]], schemas: Schemas
    ) -> Iterator[RecordInvalidError]:
        """Every reference that names no record, of before or of this call. Args: records: each with its line."""
        for line, record in records:
            for one in schemas[record.register].fields:
                if one.type not in ("reference", "references") or one.id not in record.fields:
                    continue
                value = record.fields[one.id]
                for key in value if isinstance(value, list) else [value]:
                    if key not in self.of(one.target):
                        yield RecordInvalidError(
                            line=line,
                            field=one.id,
                            reason_fr=f"fiche absente du registre {one.target}",
                            reason_en=f"no such record in register {one.target}",
                        )


def next_version(change: Change, schemas: Schemas, known: Known, *, author: str, line: int) -> RecordVersion | None:
    """The version that a change makes, noted in ``known``; None when it changes nothing.

    seq, at_ms and digest are given later. Raises: as ``Registers.write``.
    """
    schema = schemas[change.register]
    fields = {name: _read_one(schema, name, value, line) for name, value in change.fields.items()}
    key = _key(change, schema, fields, known, line)
    before = known.of(schema.id).get(key)
    merged = dict(before.fields) if before else {}
    merged |= {name: value for name, value in fields.items() if value is not None}
    for name, value in fields.items():
        if value is None:
            merged.pop(name, None)
    state = _state(change, schema, before)
    tenant = _tenant(change, schema, before, line)
    if before and (merged, state.id, tenant) == (dict(before.fields), before.state, before.tenant):
        return None
    if change.version and change.version != (before.version if before else 0):
        raise RecordChangedError(key=key, version=before.version if before else 0)
    check_text(change.reason, REASON_CHARACTERS_MAX, "reason", line)
    check_text(change.approver, NAME_CHARACTERS_MAX, "approver", line)
    _check_approval(change, state, before, author)
    _check_filled(schema, state, merged, line)
    check_rules(schema, state.id, merged, line)
    version = before.version + 1 if before else 1
    record = RecordVersion(
        0, schema.id, key, version, 0, author, change.approver, tenant, state.id, change.reason, merged
    )
    known.of(schema.id)[key] = record
    return record


def wrong_values(change: Change, schemas: Schemas, line: int) -> Iterator[RecordInvalidError | PatientNamedError]:
    """Every given value that its field refuses."""
    schema = schemas[change.register]
    for name, value in change.fields.items():
        try:
            _read_one(schema, name, value, line)
        except (RecordInvalidError, PatientNamedError) as error:
            yield error


def _read_one(schema: Schema, name: str, value: object, line: int) -> Any:
    one = schema.field(name)
    if one is None:
        raise RecordInvalidError(line=line, field=_shown(name), reason_fr="champ inconnu", reason_en="no such field")
    return read_value(one, value, line)


def _shown(name: str) -> str:
    """A field's name as a file gave it, when it is fit to be shown."""
    return name if re.fullmatch(r"[A-Za-z][\w .-]{0,62}", name) and not looks_like_ins(name) else "?"


def _key(change: Change, schema: Schema, fields: Mapping[str, Any], known: Known, line: int) -> str:
    if change.key:
        if not KEY.fullmatch(change.key) or looks_like_ins(change.key):
            raise RecordInvalidError(line=line, field="key", reason_fr="clé mal formée", reason_en="a malformed key")
        if schema.key_field and fields.get(schema.key_field, change.key) != change.key:
            raise RecordInvalidError(
                line=line, field=schema.key_field, reason_fr="la clé ne change pas", reason_en="the key does not change"
            )
        return change.key
    if not schema.key_field:
        return known.new_key(schema)
    key = fields.get(schema.key_field)
    if key is None or not KEY.fullmatch(str(key)):
        raise RecordInvalidError(
            line=line, field=schema.key_field, reason_fr="clé absente ou mal formée", reason_en="no key, or malformed"
        )
    return str(key)


def _state(change: Change, schema: Schema, before: RecordVersion | None) -> State:
    present = schema.state(before.state) if before else None
    if not change.state:
        return present or schema.initial
    wanted = next((one for one in schema.states if one.id == change.state), None)
    if wanted is None:
        raise TransitionRefusedError(
            state=present.id if present else "-", wanted="?", reason_fr="état inconnu", reason_en="no such state"
        )
    # A new record may be written in any state: registers are taken over from elsewhere in mid-course.
    if present is not None and wanted.id != present.id and wanted.id not in present.to:
        follows = ", ".join(present.to) or "-"
        raise TransitionRefusedError(
            state=present.id, wanted=wanted.id, reason_fr=f"peut suivre : {follows}", reason_en=f"may follow: {follows}"
        )
    return wanted


def _tenant(change: Change, schema: Schema, before: RecordVersion | None, line: int) -> str:
    tenant = change.tenant or (before.tenant if before else "")
    if before and tenant != before.tenant:
        raise RecordInvalidError(line=line, field="tenant", reason_fr="le client ne change pas", reason_en="it stays")
    if tenant and (schema.tenant == "none" or not TENANT.fullmatch(tenant) or looks_like_ins(tenant)):
        raise RecordInvalidError(line=line, field="tenant", reason_fr="client mal formé", reason_en="malformed client")
    if not tenant and schema.tenant == "required":
        raise RecordInvalidError(line=line, field="tenant", reason_fr="client absent", reason_en="no client")
    return tenant


def _check_approval(change: Change, state: State, before: RecordVersion | None, author: str) -> None:
    """What was approved is changed, and an approved state is entered, by two."""
    if not state.approval:
        return
    if not plain(change.approver):
        raise TransitionRefusedError(
            state=before.state if before else "-",
            wanted=state.id,
            reason_fr="un approbateur est requis",
            reason_en="an approver is required",
        )
    if is_same_person(change.approver, author):
        raise FourEyesError()


def _check_filled(schema: Schema, state: State, fields: Mapping[str, Any], line: int) -> None:
    for one in schema.fields:
        if (one.required or state.id in one.required_in) and one.id not in fields:
            raise RecordInvalidError(line=line, field=one.id, reason_fr="valeur absente", reason_en="no value")


def check_text(text: str, limit: int, name: str, line: int) -> None:
    """A line of text beside the fields. Raises: RecordInvalidError, PatientNamedError: of the field ``name``."""
    if looks_like_ins(text):
        raise PatientNamedError(line=line, field=name)
    if len(text) > limit or has_control(text):
        raise RecordInvalidError(
            line=line,
            field=name,
            reason_fr=f"texte de {limit} caractères au plus, sans caractère de contrôle",
            reason_en=f"{limit} characters at most, without a control character",
        )
