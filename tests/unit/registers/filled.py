"""A record of a register in a state, made up from its schema: every field that must be filled is, and rules hold."""

from __future__ import annotations

from hygie.registers.coherence import has_value
from hygie.registers.durations import add_duration, parse_duration
from hygie.registers.schema import Field, Rule, Schema

DAY = "2026-01-05"
VALUES: dict[str, object] = {
    "text": "Texte", "longtext": "Un paragraphe.", "date": DAY, "instant": f"{DAY}T08:00:00Z", "integer": 2,
    "decimal": "2", "boolean": False, "country": "FR", "countries": ["FR"], "person": "Anne Martin",
    "email": "anne.martin@example.fr", "url": "https://example.fr/", "document": "ab" * 32, "documents": ["ab" * 32],
    "vault": "chu-x/prod/Patient/1", "rpps": "10999000002", "siren": "732829320", "account": "anne", "tenant": "chu-x",
    "requirements": ["EXI-05"], "activities": [1, 5], "texts": ["Un", "Deux"],
}  # fmt: skip


def value_of(field: Field) -> object:
    """A value that fits a field; a reference names the record ``X-1``, which the test says exists."""
    if field.type in ("choice", "choices"):
        return field.choices[0].id if field.type == "choice" else [field.choices[0].id]
    if field.type in ("reference", "references"):
        return "X-1" if field.type == "reference" else ["X-1"]
    if field.type in ("integer", "decimal") and field.min is not None:
        return max(field.min, 2) if field.type == "integer" else str(max(field.min, 2))
    return VALUES[field.type]


def filled_record(schema: Schema, state: str) -> dict[str, object]:
    """Fields of a record that may enter a state. Raises: AssertionError: no such record was found in a few rounds."""
    return completed(schema, state, {})


def completed(schema: Schema, state: str, fields: dict[str, object]) -> dict[str, object]:
    """These fields, and what a record must have beside them to enter a state. Raises: as ``filled_record``."""
    record = {one.id: value_of(one) for one in schema.fields if one.required or state in one.required_in}
    record = {name: value for name, value in (record | fields).items() if value is not None}
    rules = [one for one in schema.rules if not one.states or state in one.states]
    for _ in range(2 * len(rules) + 1):
        mended = [rule for rule in rules if _mend(rule, schema, record)]
        if not mended:
            return record
    raise AssertionError(f"{schema.id} {state}: rules that do not hold together")


def _mend(rule: Rule, schema: Schema, record: dict[str, object]) -> bool:
    """Make one rule hold, by its field ``a``. Returns whether something changed."""
    field = schema.field(rule.a)
    assert field is not None
    if rule.kind == "filled":
        wanted = has_value(record, rule.b, rule.values) if rule.values else rule.b in record
        if wanted and rule.a not in record:
            record[rule.a] = value_of(field)
            return True
        return False
    if rule.kind == "never":
        if rule.a in record and has_value(record, rule.a, rule.values):
            others = [one.id for one in field.choices if one.id not in rule.values]
            record[rule.a] = others[0] if others else True
            return True
        return False
    if rule.a not in record or rule.b not in record:
        return False
    a, b = record[rule.a], record[rule.b]
    if rule.kind == "different":
        if a == b or (isinstance(b, list) and a in b):
            record[rule.a] = "X-2"
            return True
        return False
    if rule.kind in ("after", "not_before"):
        bound = add_duration(str(b), parse_duration(rule.delay)) if rule.delay else str(b)
        if str(a) < bound or (rule.kind == "after" and str(a) == bound):
            record[rule.a] = add_duration(bound, parse_duration("P1D"))
            return True
    return False
