"""Judge one register check on the records of an instant. Pure.

Nothing recorded is unknown, never green: an empty register does not show that there was nothing to record, unless its
check says so. What is late is red. Civil dates are those of Paris.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hygie.proof.controls.model import Condition, RegisterCheck
from hygie.proof.model import Outcome, Text, Verdict, same, satisfied, unknown, unsatisfied
from hygie.registers.chain import RecordVersion
from hygie.registers.schema import Schema, Schemas

SHOWN_MAX = 5  # keys named in one sentence; the count says them all
CLIENTS = "tenants"  # subjects that are not records: clients that the platform hosts


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The registers at one instant.

    records: newest version of each record, by register; today: civil date; tenants: clients that the platform hosts;
    seq: number of the last write known.
    """

    records: Mapping[str, Sequence[RecordVersion]]
    today: date
    tenants: Sequence[str] = ()
    seq: int = 0

    def of(self, register: str) -> Sequence[RecordVersion]:
        """The records of one register."""
        return self.records.get(register, ())


def judge_records(check: RegisterCheck, snapshot: Snapshot, schemas: Schemas) -> Outcome:
    """The outcome of one check. Raises: RegisterNotFoundError: it names no register of this installation."""
    schema = schemas[check.register]
    chosen = _chosen(snapshot.of(check.register), schema, check.states, check.where, snapshot.today)
    return _RULES[check.rule](check, chosen, snapshot, schemas)


def holds(condition: Condition, fields: Mapping[str, Any], today: date) -> bool:
    """Whether the fields of a record meet one condition."""
    value = fields.get(condition.field)
    if condition.op == "empty" or value is None:
        return condition.op == "empty" and value is None
    if condition.op in _ON_VALUES:
        return _ON_VALUES[condition.op](condition, value)
    day = _day(value)
    return day is not None and _holds_date(condition, day, fields, today)


def _holds_date(condition: Condition, day: date, fields: Mapping[str, Any], today: date) -> bool:
    if condition.op in ("past", "not-past"):
        return (day < today) is (condition.op == "past")
    if condition.op in ("within-days", "within-field-days"):
        days = condition.value if condition.op == "within-days" else fields.get(condition.other)
        return isinstance(days, int) and today - timedelta(days=days) <= day <= today
    other = _day(fields.get(condition.other))
    return other is not None and (day <= other if condition.op == "not-after" else day >= other)


def _chosen(
    records: Iterable[RecordVersion], schema: Schema, states: Sequence[str], where: Sequence[Condition], today: date
) -> list[RecordVersion]:
    wanted = set(states) or {one.id for one in schema.states if not one.closed}
    return [
        record
        for record in records
        if record.state in wanted and all(holds(one, record.fields, today) for one in where)
    ]


def _meets(check: RegisterCheck, record: RecordVersion, today: date) -> bool:
    return all(holds(one, record.fields, today) for one in check.must)


def _some(check: RegisterCheck, chosen: Sequence[RecordVersion], snapshot: Snapshot, _: Schemas) -> Outcome:
    good = [record for record in chosen if _meets(check, record, snapshot.today)]
    observed = Text(f"{len(good)} sur {_records(len(chosen)).fr}", f"{len(good)} of {_records(len(chosen)).en}")
    declared = Text(f"au moins {check.min}", f"at least {check.min}")
    if len(good) >= check.min:
        return satisfied(check.proves, observed, declared, at_ms=max(one.at_ms for one in good) if good else None)
    if not chosen:
        return _nothing(check, declared)
    return unsatisfied(Text(f"Manque : {check.fr}.", f"Lacking: {check.en}."), observed, declared, check.remedy)


def _every(check: RegisterCheck, chosen: Sequence[RecordVersion], snapshot: Snapshot, _: Schemas) -> Outcome:
    bad = [record.key for record in chosen if not _meets(check, record, snapshot.today)]
    declared = Text("toutes les fiches", "every record")
    if bad:
        return _wrong(check, bad, len(chosen), declared)
    if len(chosen) < check.min:
        return _nothing(check, declared)
    return satisfied(check.proves, _records(len(chosen)), declared)


def _none(check: RegisterCheck, chosen: Sequence[RecordVersion], snapshot: Snapshot, _: Schemas) -> Outcome:
    bad = [record.key for record in chosen if _meets(check, record, snapshot.today)]
    declared = Text("aucune", "none")
    if bad:
        return _wrong(check, bad, len(chosen), declared)
    if not snapshot.of(check.register):
        return _nothing(check, declared)
    return satisfied(check.proves, same("0"), declared)


def _covers(check: RegisterCheck, chosen: Sequence[RecordVersion], snapshot: Snapshot, _: Schemas) -> Outcome:
    seen: set[str] = set()
    for record in chosen:
        if _meets(check, record, snapshot.today):
            value = record.fields.get(check.covered)
            seen |= {str(one) for one in (value if isinstance(value, list) else [value])}
    lacking = [value for value in check.values if value not in seen]
    count = len(check.values)
    declared = Text(f"{count} valeurs", f"{count} values")
    if not lacking:
        return satisfied(check.proves, same(f"{count}/{count}"), declared)
    if not chosen:
        return _nothing(check, declared)
    named = _named(lacking)
    observed = Text(f"{count - len(lacking)}/{count}, manque {named}", f"{count - len(lacking)}/{count}, no {named}")
    return unsatisfied(Text(f"Incomplet : {check.fr}.", f"Incomplete: {check.en}."), observed, declared, check.remedy)


def _each(check: RegisterCheck, chosen: Sequence[RecordVersion], snapshot: Snapshot, schemas: Schemas) -> Outcome:
    good = [record for record in chosen if _meets(check, record, snapshot.today)]
    if check.join == "tenant":
        served = {record.tenant for record in good}
    else:
        served = {str(key) for record in good for key in _values(record.fields.get(check.join))}
    subjects = _subjects(check, snapshot, schemas)
    bad = [subject for subject in subjects if subject not in served]
    declared = Text("chacun", "each")
    if bad:
        return _wrong(check, bad, len(subjects), declared)
    if not subjects:
        return _nothing(check, declared)
    return satisfied(check.proves, same(f"{len(subjects)}/{len(subjects)}"), declared)


def _subjects(check: RegisterCheck, snapshot: Snapshot, schemas: Schemas) -> list[str]:
    if check.of == CLIENTS:
        return sorted(snapshot.tenants)
    records = _chosen(snapshot.of(check.of), schemas[check.of], check.of_states, check.of_where, snapshot.today)
    if check.join == "tenant":
        return sorted({record.tenant for record in records})
    return [record.key for record in records]


def _values(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else () if value is None else (value,)


def _wrong(check: RegisterCheck, bad: Sequence[str], count: int, declared: Text) -> Outcome:
    named = _named(bad)
    observed = Text(f"{len(bad)} sur {count} : {named}", f"{len(bad)} of {count}: {named}")
    return unsatisfied(Text(f"En défaut : {named}.", f"Failing: {named}."), observed, declared, check.remedy)


def _nothing(check: RegisterCheck, declared: Text) -> Outcome:
    observed = Text("rien d'inscrit", "nothing recorded")
    if check.empty == "satisfied":
        return satisfied(check.proves, observed, declared)
    if check.empty == "not_applicable":
        return Outcome(Verdict.NOT_APPLICABLE, Text("Sans objet.", "Does not apply."), observed, declared)
    why = Text(
        f"Rien d'inscrit au registre {check.register}.", f"Nothing is recorded in the register {check.register}."
    )
    return unknown(why, observed, declared, check.remedy)


def _named(keys: Sequence[str]) -> str:
    more = f" … (+{len(keys) - SHOWN_MAX})" if len(keys) > SHOWN_MAX else ""
    return ", ".join(keys[:SHOWN_MAX]) + more


def _records(count: int) -> Text:
    return Text(f"{count} fiche" + ("s" if count > 1 else ""), f"{count} record" + ("" if count == 1 else "s"))


def _day(value: object) -> date | None:
    """The civil date of a stored date or instant."""
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("nan")


_ON_VALUES: dict[str, Callable[[Condition, Any], bool]] = {
    "filled": lambda _, value: value is not None,
    "is": lambda one, value: bool(value == one.value),
    "in": lambda one, value: str(value) in one.values,
    "has": lambda one, value: isinstance(value, list) and one.value in value,
    "at-least": lambda one, value: _number(value) >= _number(one.value),
    "at-most": lambda one, value: _number(value) <= _number(one.value),
}
_RULES: dict[str, Callable[[RegisterCheck, Sequence[RecordVersion], Snapshot, Schemas], Outcome]] = {
    "some": _some,
    "every": _every,
    "none": _none,
    "covers": _covers,
    "each": _each,
}
