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
from hygie.registers.durations import parse_duration
from hygie.registers.errors import RegisterNotFoundError, SchemaInvalidError

FORMAT = "hygie register schema 1"
FIELDS_MAX = 80  # a contract has 25 clauses and what each is bound to; more are two registers
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TIMES = ("date", "instant")

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

    def shown(self, value: object) -> str:
        """One stored value in the person's language: the label of a choice, yes or no, else as it is stored."""
        if isinstance(value, bool):
            return say(fr="oui", en="yes") if value else say(fr="non", en="no")
        choice = next((one for one in self.choices if one.id == value), None)
        return say(fr=choice.fr, en=choice.en) if choice else str(value)


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


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What fields of one record must hold to together. Checked by ``registers.coherence``.

    kind, on two fields that are both filled: ``after`` (a later than b), ``not_before`` (a no earlier than b, or than b
    and ``delay``), ``within`` (a no later than b and ``delay``), ``at_least`` (number a no smaller than b),
    ``different`` (a is not b, nor among b). ``filled``: a is filled when b is, or when b has one of the values ``is``.
    ``never``: a has none of the values ``is``. states: in these only; fr, en: the refusal's reason.
    """

    kind: Literal["after", "not_before", "within", "at_least", "different", "filled", "never"]
    a: str
    fr: str
    en: str
    b: str = ""
    values: tuple[str, ...] = msgspec.field(default=(), name="is")
    delay: str = ""
    states: tuple[str, ...] = ()


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A delay that runs from a date or an instant of the record. Computed by ``registers.clocks``.

    start: field it runs from; delay: ISO 8601 duration (``PT72H``, ``P1M``); minutes_field: a field that gives it in
    minutes instead; done: field that stops it; if_field, values: it runs only when this field has one of these values;
    who: who must act; status: whether a text says the delay, or a contract, or it is this platform's own; source_fr,
    source_en: which text; valid_from, valid_until: first and last day on which what starts it falls under the rule.
    """

    id: str
    fr: str
    en: str
    start: str = msgspec.field(name="from")
    who: Literal["host", "controller", "authority"]
    status: Literal["literal", "contract", "promise"]
    source_fr: str
    source_en: str
    delay: str = ""
    minutes_field: str = ""
    done: str = ""
    if_field: str = ""
    values: tuple[str, ...] = msgspec.field(default=(), name="is")
    valid_from: str = ""
    valid_until: str = ""

    @property
    def label(self) -> str:
        """Its name in the person's language."""
        return say(fr=self.fr, en=self.en)


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One register.

    prefix: of the keys it gives (``SUP-0001``); key_field: field whose value is the key instead; order: rank in lists;
    title_field: what names a record for people; proves: requirements that its records serve; owner: role that answers
    for it; review_days: a record is to be looked at again after so many; due_field: the date a record is late after;
    due_states: in these only (what was to be done by then is done in the others), in every open one when none is said;
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
    due_states: tuple[str, ...] = ()
    tenant: Literal["none", "optional", "required"] = "none"
    order: int = 1000
    rules: tuple[Rule, ...] = ()
    clocks: tuple[Clock, ...] = ()

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
    for reason in wrong_in(schema):
        raise SchemaInvalidError(schema=name, reason=reason)
    return schema


@cache
def shipped_schemas() -> Schemas:
    """The schemas of this version. Raises: SchemaInvalidError: also when a reference names no register."""
    folder = resources.files("hygie.registers") / "schemas"
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name)
    schemas = [read_schema(one.read_text("utf-8"), one.name) for one in files]
    known = {one.id for one in schemas}
    if len(known) != len(schemas) or len({one.prefix for one in schemas}) != len(schemas):
        raise SchemaInvalidError(schema="*", reason="an id or a prefix is used twice")
    for schema in schemas:
        for field in schema.fields:
            if field.target and field.target not in known:
                raise SchemaInvalidError(schema=schema.id, reason=f"{field.id} names no register")
    return Schemas({one.id: one for one in sorted(schemas, key=lambda one: (one.order, one.id))})


def wrong_in(schema: Schema) -> Iterator[str]:
    """What a schema that reads well does not hold to."""
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
    yield from _wrong_together(schema)


def _wrong_together(schema: Schema) -> Iterator[str]:
    fields = schema.fields
    # A file's columns are told by id or by label, in either language: each name says one field.
    names = [{one.id.casefold(), one.fr.casefold(), one.en.casefold()} for one in fields]
    if sum(map(len, names)) != len(set[str]().union(*names)):
        yield "two fields have the same name"
    if schema.due_field and not _is_time(schema.field(schema.due_field)):
        yield "due_field is no date"
    open_states = {one.id for one in schema.states if not one.closed}
    if schema.due_states and not (schema.due_field and set(schema.due_states) <= open_states):
        yield "due_states without due_field, or that names no open state"
    for rule in schema.rules:
        if not _is_sound(rule, schema):
            yield f"rule {rule.kind} on {rule.a}"
    if len({one.id for one in schema.clocks}) != len(schema.clocks):
        yield "a clock is named twice"
    for clock in schema.clocks:
        if not _keeps_time(clock, schema):
            yield f"clock {clock.id}"


def _wrong_in_field(field: Field, states: set[str]) -> Iterator[str]:
    if not _FIELD.fullmatch(field.id):
        yield f"field {field.id}"
    if (field.type in ("choice", "choices")) != bool(field.choices):
        yield f"field {field.id}: choices"
    if (field.type in ("reference", "references")) != bool(field.target):
        yield f"field {field.id}: target"
    names = [{one.id.casefold(), one.fr.casefold(), one.en.casefold()} for one in field.choices]
    if sum(map(len, names)) != len(set[str]().union(*names)) or any(";" in one.fr + one.en for one in field.choices):
        yield f"field {field.id}: two choices have the same name, or one a separator"
    if not set(field.required_in) <= states:
        yield f"field {field.id}: required_in names no state"


def _is_sound(rule: Rule, schema: Schema) -> bool:
    a, b = schema.field(rule.a), schema.field(rule.b)
    if a is None or (b is None) != (rule.kind == "never") or not set(rule.states) <= {one.id for one in schema.states}:
        return False
    if b is None:
        return not rule.b and not rule.delay and _may_be(a, rule.values)
    if rule.kind == "filled":
        return not rule.delay and (not rule.values or _may_be(b, rule.values))
    if rule.kind in ("different", "at_least"):
        numbers = {a.type, b.type} <= {"integer", "decimal"}
        return not rule.values and not rule.delay and (numbers or rule.kind == "different")
    delayed = _fits(rule.delay, a) if rule.delay else rule.kind != "within"
    return not rule.values and a.type == b.type and _is_time(a) and delayed


def _keeps_time(clock: Clock, schema: Schema) -> bool:
    start, minutes, switch = (schema.field(name) for name in (clock.start, clock.minutes_field, clock.if_field))
    if start is None or not _is_time(start) or (clock.done and not _is_time(schema.field(clock.done))):
        return False
    if clock.minutes_field:
        runs = not clock.delay and start.type == "instant" and minutes is not None and minutes.type == "integer"
    else:
        runs = _fits(clock.delay, start)
    return runs and (not clock.if_field if switch is None else _may_be(switch, clock.values))


def _is_time(field: Field | None) -> bool:
    return field is not None and field.type in _TIMES


def _may_be(field: Field, values: tuple[str, ...]) -> bool:
    known = {"true", "false"} if field.type == "boolean" else {one.id for one in field.choices}
    return bool(values) and set(values) <= known


def _fits(delay: str, field: Field) -> bool:
    """A delay that can be added to such a field: hours are not added to a date."""
    try:
        return not (parse_duration(delay).minutes and field.type == "date")
    except ValueError:
        return False


def plain(schema: Schema) -> dict[str, Any]:
    """The schema as plain values, for machines."""
    shown: dict[str, Any] = msgspec.to_builtins(schema)
    return shown
