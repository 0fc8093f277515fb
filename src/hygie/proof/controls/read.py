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
from hygie.proof.controls.model import Condition, Control, RegisterCheck
from hygie.proof.controls.rules import CLIENTS
from hygie.proof.cross.model import cards
from hygie.proof.errors import ControlsInvalidError
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
    """What hangs in the air: an id given twice, a check of no control, a control of no check, a field that is not."""
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
    for check in found.checks:
        yield from (f"{check.id}: {reason}" for reason in _wrong_in_check(check, schemas))


def _wrong_in_check(check: RegisterCheck, schemas: Schemas) -> Iterator[str]:
    if check.register not in schemas:
        yield f"no register {check.register}"
        return
    schema = schemas[check.register]
    yield from _wrong_in_choice(schema, check.states, (*check.where, *check.must))
    if (check.rule == "covers") != bool(check.covered and check.values):
        yield "covers"
    if check.covered and schema.field(check.covered) is None:
        yield f"no field {check.covered}"
    if (check.rule == "each") != bool(check.of and check.join):
        yield "each"
    if check.join not in ("", "tenant") and schema.field(check.join) is None:
        yield f"no field {check.join}"
    if check.of and check.of != CLIENTS:
        if check.of not in schemas:
            yield f"no register {check.of}"
        else:
            yield from _wrong_in_choice(schemas[check.of], check.of_states, check.of_where)
    if check.rule in ("every", "none", "some") and not check.must and check.rule != "some":
        yield "must"


def _wrong_in_choice(schema: Schema, states: Iterable[str], conditions: Iterable[Condition]) -> Iterator[str]:
    yield from (f"no state {one}" for one in set(states) - {each.id for each in schema.states})
    for condition in conditions:
        for name in (condition.field, condition.other or condition.field):
            if schema.field(name) is None:
                yield f"no field {name} in {schema.id}"
