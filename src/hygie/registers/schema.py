"""What a register is: fields, states, owner, review. Read from TOML. Pure.

Source: docs/formats/register-schema.md v1.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import msgspec

from hygie.base.language import say
from hygie.registers.errors import RegisterNotFoundError, SchemaInvalidError

FORMAT = "hygie register schema 1"
FIELDS_MAX = 60  # more are two registers
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,62}")

FieldType = Literal[
    "text", "longtext", "date", "instant", "integer", "decimal", "boolean", "choice", "choices", "country", "countries",
    "reference", "references", "person", "email", "url", "document", "documents", "vault", "rpps", "siren", "account",
    "tenant", "requirements", "activities", "texts",
]  # fmt: skip


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value of a closed list."""

    id: str
    fr: str
    en: str


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One field. target: register that a reference names; max: characters, items or the largest number; min: smallest
    number; required_in: states in which it must be filled; personal: it names a person of the staff or of a client."""

    id: str
    type: FieldType
    fr: str
    en: str
    help_fr: str = ""
    help_en: str = ""
    required: bool = False
    required_in: tuple[str, ...] = ()
    target: str = ""
    choices: tuple[Choice, ...] = ()
    min: int | None = None
    max: int | None = None
    personal: bool = False

    @property
    def label(self) -> str:
        """Its name in the person's language."""
        return say(fr=self.fr, en=self.en)


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One state of a record. to: states that may follow; approval: entering it takes an approver who is not the author;
    closed: nothing is expected of the record any more."""

    id: str
    fr: str
    en: str
    to: tuple[str, ...] = ()
    approval: bool = False
    closed: bool = False

    @property
    def label(self) -> str:
        """Its name in the person's language."""
        return say(fr=self.fr, en=self.en)


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One register.

    prefix: of the keys it gives (``SUP-0001``); key_field: field whose value is the key instead; order: rank in lists;
    title_field: what names a record for people; proves: requirements that its records serve; owner: role that answers
    for it; review_days: a record is to be looked at again after so many; due_field: the date a record is late after;
    tenant: whether each record is of one client (``required``), may be (``optional``) or never is (``none``).
    """

    format: str
    id: str
    version: int
    fr: str
    en: str
    about_fr: str
    about_en: str
    prefix: str
    owner: str
    title_field: str
    states: tuple[State, ...]
    fields: tuple[Field, ...]
    key_field: str = ""
    proves: tuple[str, ...] = ()
    review_days: int | None = None
    due_field: str = ""
    tenant: Literal["none", "optional", "required"] = "none"
    order: int = 1000

    @property
    def label(self) -> str:
        """Its name in the person's language."""
        return say(fr=self.fr, en=self.en)

    @property
    def initial(self) -> State:
        """The state of a new record: the first one."""
        return self.states[0]

    def field(self, name: str) -> Field | None:
        """A field by its id."""
        return next((one for one in self.fields if one.id == name), None)

    def state(self, name: str) -> State:
        """A state by its id. Raises: KeyError."""
        return {one.id: one for one in self.states}[name]


@dataclass(frozen=True, slots=True)
class Schemas(Mapping[str, Schema]):
    """The registers of an installation, by id, in their order."""

    of: dict[str, Schema]

    def __getitem__(self, name: str) -> Schema:
        """Raises: RegisterNotFoundError."""
        try:
            return self.of[name]
        except KeyError:
            raise RegisterNotFoundError(name=name[:80]) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.of)

    def __len__(self) -> int:
        return len(self.of)

    def __contains__(self, name: object) -> bool:
        return name in self.of


def read_schema(text: str, name: str) -> Schema:
    """One schema. Args: name: of the file, for the error. Raises: SchemaInvalidError."""
    try:
        schema = msgspec.convert(tomllib.loads(text), Schema)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SchemaInvalidError(schema=name, reason=str(error)) from error
    for reason in _wrong_in(schema):
        raise SchemaInvalidError(schema=name, reason=reason)
    return schema


@cache
def shipped_schemas() -> Schemas:
    """The schemas of this version. Raises: SchemaInvalidError: also when a reference names no register."""
    folder = resources.files("hygie.registers") / "schemas"
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name)
    schemas = [read_schema(one.read_text("utf-8"), one.name) for one in files]
    known = {one.id for one in schemas}
    for schema in schemas:
        for field in schema.fields:
            if field.target and field.target not in known:
                raise SchemaInvalidError(schema=schema.id, reason=f"{field.id} names no register")
    return Schemas({one.id: one for one in sorted(schemas, key=lambda one: (one.order, one.id))})


def _wrong_in(schema: Schema) -> Iterator[str]:
    if schema.format != FORMAT:
        yield "format"
    if not _NAME.fullmatch(schema.id) or not re.fullmatch(r"[A-Z]{2,8}", schema.prefix):
        yield "id or prefix"
    if not schema.states or not schema.fields or len(schema.fields) > FIELDS_MAX:
        yield "it needs states and fields"
    states, fields = [one.id for one in schema.states], [one.id for one in schema.fields]
    if len(set(states)) != len(states) or len(set(fields)) != len(fields):
        yield "a state or a field is named twice"
    for state in schema.states:
        if not set(state.to) <= set(states):
            yield f"state {state.id} leads nowhere"
    for name in (schema.title_field, schema.key_field or schema.title_field, schema.due_field or schema.title_field):
        if name not in fields:
            yield f"{name} is no field"
    for field in schema.fields:
        yield from _wrong_in_field(field, set(states))


def _wrong_in_field(field: Field, states: set[str]) -> Iterator[str]:
    if not _FIELD.fullmatch(field.id):
        yield f"field {field.id}"
    if (field.type in ("choice", "choices")) != bool(field.choices):
        yield f"field {field.id}: choices"
    if (field.type in ("reference", "references")) != bool(field.target):
        yield f"field {field.id}: target"
    if not set(field.required_in) <= states:
        yield f"field {field.id}: required_in names no state"


def plain(schema: Schema) -> dict[str, Any]:
    """The schema as plain values, for machines."""
    shown: dict[str, Any] = msgspec.to_builtins(schema)
    return shown
