"""What the fields of one record must hold to together, as its schema's rules say. Pure.

Source: docs/formats/register-schema.md v1, "Rules".
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hygie.registers.durations import add_duration, parse_duration
from hygie.registers.errors import RecordInvalidError
from hygie.registers.schema import Rule, Schema


def check_rules(schema: Schema, state: str, fields: Mapping[str, Any], line: int) -> None:
    """Refuse fields that do not go together.

    Args: state: of the record as it would be; fields: stored values; line: for the refusal.
    Raises: RecordInvalidError: names the field ``a`` of the first rule that does not hold, and its reason.
    """
    for rule in schema.rules:
        if (not rule.states or state in rule.states) and not _holds(rule, fields):
            raise RecordInvalidError(line=line, field=rule.a, reason_fr=rule.fr, reason_en=rule.en)


def has_value(fields: Mapping[str, Any], name: str, values: tuple[str, ...]) -> bool:
    """Whether a field has one of these values; an absent one counts as ``false``, as a box that nobody ticked."""
    found = fields.get(name, False)
    return not {shown(one) for one in (found if isinstance(found, list) else [found])}.isdisjoint(values)


def shown(value: object) -> str:
    """A stored value as schemas write it: booleans are ``true`` and ``false``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _holds(rule: Rule, fields: Mapping[str, Any]) -> bool:
    if rule.kind == "never":
        return rule.a not in fields or not has_value(fields, rule.a, rule.values)
    if rule.kind == "filled":
        wanted = has_value(fields, rule.b, rule.values) if rule.values else rule.b in fields
        return not wanted or rule.a in fields
    if rule.a not in fields or rule.b not in fields:
        return True
    a, b = fields[rule.a], fields[rule.b]
    if rule.kind == "different":
        return shown(a) not in {shown(one) for one in (b if isinstance(b, list) else [b])}
    return Decimal(a) >= Decimal(b) if rule.kind == "at_least" else _in_order(rule, a, b)


def _in_order(rule: Rule, a: str, b: str) -> bool:
    """Stored dates and instants sort as they read, and a rule compares two of the same type."""
    bound = add_duration(b, parse_duration(rule.delay)) if rule.delay else b
    if rule.kind == "within":
        return a <= bound
    return a > bound if rule.kind == "after" else a >= bound
