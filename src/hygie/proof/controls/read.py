"""Read controls and register checks from ``data/*.toml``; refuse what hangs in the air."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import msgspec

from hygie.proof.checks import CHECKS
from hygie.proof.controls.conditions import wrong_path
from hygie.proof.controls.model import OWNERS, Condition, Control, RegisterCheck
from hygie.proof.controls.rules import CLIENTS
from hygie.proof.cross.model import cards
from hygie.proof.errors import ControlsInvalidError
from hygie.proof.referentials.model import NODE_MARK
from hygie.proof.referentials.shipped import SHIPPED, shipped
from hygie.registers.schema import Schema, Schemas, shipped_schemas

FORMAT = "hygie controls 1"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file of controls and of the register checks they rest on."""

    format: str
    control: tuple[Control, ...] = ()
    check: tuple[RegisterCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class Controls:
    """Every control of this version, and every check on registers."""

    controls: tuple[Control, ...]
    checks: tuple[RegisterCheck, ...]


@cache
def shipped_controls() -> Controls:
    """Those of the package. Raises: ControlsInvalidError."""
    folder = resources.files("hygie.proof.controls") / "data"
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name)
    read = [_read(one.read_text("utf-8"), one.name) for one in files]
    found = Controls(
        tuple(one for each in read for one in each.control), tuple(one for each in read for one in each.check)
    )
    for reason in wrong_in(found, shipped_schemas()):
        raise ControlsInvalidError(file="data", reason=reason)
    return found


def _read(text: str, name: str) -> _File:
    try:
        read = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ControlsInvalidError(file=name, reason=str(error)) from error
    if read.format != FORMAT:
        raise ControlsInvalidError(file=name, reason="format")
    return read


def wrong_in(found: Controls, schemas: Schemas) -> Iterator[str]:
    """What hangs in the air: an id given twice, a check of no control, a control of no check or of no requirement, an
    owner nobody knows, a field that is not, a condition that lacks what it compares with."""
    live = {one.id for one in CHECKS}
    crossed = set(cards())
    ids = [one.id for one in found.controls] + [one.id for one in found.checks] + sorted(live) + sorted(crossed)
    yield from (f"{name} twice" for name, count in Counter(ids).items() if count > 1)
    known = live | crossed | {one.id for one in found.checks}
    used = {check for control in found.controls for check in control.checks}
    yield from (
        f"{one.id} answers nothing, or checks nothing" for one in found.controls if not (one.checks and one.answers)
    )
    yield from (f"control of no check {name}" for name in sorted(used - known))
    yield from (f"check of no control {name}" for name in sorted(known - used))
    owned = [(one.id, one.owner) for one in found.controls] + [(one.id, one.owner) for one in found.checks]
    yield from (f"no owner {owner} ({name})" for name, owner in owned if owner not in OWNERS)
    for control in found.controls:
        yield from (f"{control.id}: no requirement {ref}" for ref in control.answers if not _resolves(ref))
        if len(set(control.answers)) != len(control.answers) or len(set(control.checks)) != len(control.checks):
            yield f"{control.id}: named twice"
    for check in found.checks:
        yield from (f"{check.id}: {reason}" for reason in _wrong_in_check(check, schemas))


def _resolves(ref: str) -> bool:
    name, mark, node = ref.partition(NODE_MARK)
    return bool(mark) and name in SHIPPED and node in shipped(name)


def _wrong_in_check(check: RegisterCheck, schemas: Schemas) -> Iterator[str]:
    if check.register not in schemas:
        yield f"no register {check.register}"
        return
    schema = schemas[check.register]
    yield from _wrong_in_choice(schema, schemas, check.states, (*check.where, *check.must))
    yield from (
        f"no field {one}"
        for one in (check.covered, check.distinct, check.join)
        if one and wrong_path(one, schema, schemas)
    )
    if (check.rule == "covers") != bool(check.covered and check.values):
        yield "covers"
    if (check.rule == "each") != bool(check.of and check.join):
        yield "each"
    if (check.rule in ("every", "none") and not check.must) or (check.rule == "on-time" and check.must):
        yield "must"
    known = {"due", "review"} | {one.id for one in schema.clocks}
    yield from (f"no clock {one}" for one in check.clocks if one not in known or check.rule != "on-time")
    if "not_applicable" in (check.when_none, check.when_blank) and not (check.none_fr and check.none_en):
        yield "it does not say why it does not apply"
    if check.of and check.of != CLIENTS:
        if check.of not in schemas:
            yield f"no register {check.of}"
            return
        yield from _wrong_in_choice(schemas[check.of], schemas, check.of_states, check.of_where)
        if wrong_path(check.of_field, schemas[check.of], schemas):
            yield f"no field {check.of_field}"


def _wrong_in_choice(
    schema: Schema, schemas: Schemas, states: Iterable[str], conditions: Iterable[Condition]
) -> Iterator[str]:
    yield from (f"no state {one}" for one in set(states) - {each.id for each in schema.states})
    for condition in conditions:
        for path in (condition.field, condition.other or condition.field):
            if wrong_path(path, schema, schemas):
                yield f"no field {path} in {schema.id}"
        needs = _NEEDS.get(condition.op, "")
        given = {"value": condition.value is not None, "values": bool(condition.values), "other": bool(condition.other)}
        if any(there != (name == needs) for name, there in given.items()):
            yield f"{condition.op} on {condition.field}: it takes {needs or 'nothing'}"


_NEEDS: dict[str, str] = {
    **dict.fromkeys(("is", "is-not", "has", "at-least", "at-most", "within-days", "older-than-days"), "value"),
    **dict.fromkeys(("in", "not-in"), "values"),
    **dict.fromkeys(
        ("among", "same", "at-least-field", "at-most-field", "within-field-days", "not-after", "not-before"), "other"
    ),
}
