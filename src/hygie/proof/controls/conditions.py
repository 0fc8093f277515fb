"""Whether a record meets a condition, and what a path of fields leads to. Pure; source: docs/formats/controls.md v1.

A condition on a value that is not there does not hold, but for ``empty``, ``is-not`` and ``not-in``; one on several
values (a list, or several records named) holds when it holds for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from hygie.base.civil import day_of, paris_date
from hygie.base.settings_checks import EEA_COUNTRIES
from hygie.proof.controls.model import Condition
from hygie.registers.chain import RecordVersion
from hygie.registers.durations import INSTANT
from hygie.registers.schema import Schema, Schemas

REFERENCES = ("reference", "references")
# What every record has beside its fields.
OWN: Mapping[str, Callable[[RecordVersion], object]] = {
    "@key": lambda record: record.key,
    "@state": lambda record: record.state,
    "@tenant": lambda record: record.tenant or None,
    "@approver": lambda record: record.approver or None,
    "@at": lambda record: datetime.fromtimestamp(record.at_ms / 1000, UTC).strftime(INSTANT),
}


@dataclass(frozen=True)
class Snapshot:
    """The registers at one instant.

    records: newest version of each record, by register; now_ms: UTC; tenants: clients that the platform hosts; seq:
    number of the last write known; begun_ms: when the first version of a record was written, UTC, by register and key,
    for the registers of which it was asked.
    """

    records: Mapping[str, Sequence[RecordVersion]]
    now_ms: int
    tenants: Sequence[str] = ()
    seq: int = 0
    begun_ms: Mapping[tuple[str, str], int] = field(default_factory=dict)
    _by_key: dict[str, dict[str, RecordVersion]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def today(self) -> date:
        """The civil date, in Paris."""
        return paris_date(self.now_ms)

    def of(self, register: str) -> Sequence[RecordVersion]:
        """The records of one register."""
        return self.records.get(register, ())

    def find(self, register: str, key: object) -> RecordVersion | None:
        """One record by its key."""
        if register not in self._by_key:
            self._by_key[register] = {record.key: record for record in self.of(register)}
        return self._by_key[register].get(str(key))


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the records of one register at one instant, and what they name."""

    snapshot: Snapshot
    schemas: Schemas
    schema: Schema
    _named: dict[str, Reader] = field(default_factory=dict, repr=False, compare=False)

    def values(self, record: RecordVersion, path: str) -> list[Any]:
        """What a path leads to: nothing when it is not there; None for a record named that lacks the field."""
        found = record.fields.get(path)
        if found is None and path in OWN:
            found = OWN[path](record)
        if found is None:
            return list(self._through(record, path)) if "." in path else []
        return found if isinstance(found, list) else [found]

    def _through(self, record: RecordVersion, path: str) -> Iterator[Any]:
        name, _, rest = path.partition(".")
        if name not in self._named:
            reference = self.schema.field(name)
            assert reference is not None, name  # ``read`` has held every path to the schemas
            self._named[name] = Reader(self.snapshot, self.schemas, self.schemas[reference.target])
        there = self._named[name]
        for key in self.values(record, name):
            named = self.snapshot.find(there.schema.id, key)
            yield from (there.values(named, rest) if named else ()) or (None,)

    def holds(self, record: RecordVersion, condition: Condition) -> bool:
        """Whether a record meets one condition."""
        values = self.values(record, condition.field)
        if condition.op in _ON_ABSENCE:
            return _ON_ABSENCE[condition.op](condition, values)
        if not values or None in values:
            return False
        if condition.op in _ON_VALUES:
            return _ON_VALUES[condition.op](condition, values)
        others = self.values(record, condition.other) if condition.other else []
        if condition.op in _ON_OTHERS:
            return bool(others) and None not in others and _ON_OTHERS[condition.op](values, others)
        days = [day_of(value) for value in values]
        return all(day is not None and self._holds_day(condition, day, others) for day in days)

    def meets(self, record: RecordVersion, conditions: Sequence[Condition]) -> bool:
        """Whether a record meets every one of them."""
        return all(self.holds(record, one) for one in conditions)

    def _holds_day(self, condition: Condition, day: date, others: Sequence[Any]) -> bool:
        today = self.snapshot.today
        if condition.op in ("past", "not-past"):
            return (day < today) is (condition.op == "past")
        counted = others if condition.op == "within-field-days" else [condition.value]
        if condition.op in ("within-days", "within-field-days", "older-than-days"):
            return bool(counted) and all(_in_days(condition.op, day, today, days) for days in counted)
        bounds = [day_of(value) for value in others]
        if condition.op == "not-after":
            return bool(bounds) and all(bound is not None and day <= bound for bound in bounds)
        return bool(bounds) and all(bound is not None and day >= bound for bound in bounds)


def wrong_path(path: str, schema: Schema, schemas: Schemas) -> bool:
    """Whether a path leads nowhere."""
    name, _, rest = path.partition(".")
    if not rest:
        return name not in OWN and schema.field(name) is None
    reference = schema.field(name)
    if reference is None or reference.type not in REFERENCES or reference.target not in schemas:
        return True
    return wrong_path(rest, schemas[reference.target], schemas)


def _in_days(op: str, day: date, today: date, days: object) -> bool:
    if not isinstance(days, int):
        return False
    first = today - timedelta(days=days)
    return day < first if op == "older-than-days" else first <= day <= today


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return math.nan


_ON_ABSENCE: dict[str, Callable[[Condition, list[Any]], bool]] = {
    "empty": lambda _, values: not [value for value in values if value is not None],
    "is-not": lambda one, values: one.value not in values,
    "not-in": lambda one, values: not {str(value) for value in values} & set(one.values),
}
_ON_VALUES: dict[str, Callable[[Condition, list[Any]], bool]] = {
    "filled": lambda _, values: bool(values),
    "is": lambda one, values: all(value == one.value for value in values),
    "in": lambda one, values: all(str(value) in one.values for value in values),
    "has": lambda one, values: one.value in values,
    "in-eea": lambda _, values: all(value in EEA_COUNTRIES for value in values),
    "outside-eea": lambda _, values: all(value not in EEA_COUNTRIES for value in values),
    "at-least": lambda one, values: all(_number(value) >= _number(one.value) for value in values),
    "at-most": lambda one, values: all(_number(value) <= _number(one.value) for value in values),
}
_ON_OTHERS: dict[str, Callable[[list[Any], list[Any]], bool]] = {
    "among": lambda values, others: all(value in others for value in values),
    "same": lambda values, others: all(value in others for value in values) and all(one in values for one in others),
    "at-least-field": lambda values, others: all(_number(a) >= _number(b) for a in values for b in others),
    "at-most-field": lambda values, others: all(_number(a) <= _number(b) for a in values for b in others),
}
