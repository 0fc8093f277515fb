"""The detection of a rule as one function of an event's fields.

Source: Sigma rules specification 2.1, "Detection", and its modifiers appendix.  Texts are compared without case unless
``cased`` says so; ``*`` and ``?`` stand for any characters and for one.  Regular expressions are matched by RE2, in a
time that grows with the text alone: no rule can stop the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import re2

from hygie.watch.conditions import All, Condition, Name, Not, One
from hygie.watch.events import Fields, Value

Matcher = Callable[[Fields], bool]
PATTERN_CHARACTERS_MAX = 1_000
VALUES_MAX = 10_000  # of one list: a list of addresses of a SOC
FIELDS_MAX = 100
_RE2_BYTES_MAX = 1 << 20  # of one compiled expression
_TESTS = frozenset({"contains", "startswith", "endswith", "re", "cidr", "lt", "lte", "gt", "gte", "exists", "fieldref"})
_FLAGS = frozenset({"i", "m", "s"})
_MODIFIERS = _TESTS | _FLAGS | {"all", "cased", "neq"}


class DetectionError(ValueError):
    """A detection that cannot be read; its text is one clause."""


def compile_condition(condition: Condition, selections: Mapping[str, Matcher]) -> Matcher:
    """One function of what a condition says of its selections."""
    match condition:
        case Name(name):
            return selections[name]
        case Not(part):
            inner = compile_condition(part, selections)
            return lambda fields: not inner(fields)
        case All(parts):
            return _all([compile_condition(part, selections) for part in parts])
        case One(parts):
            return _any([compile_condition(part, selections) for part in parts])


def compile_selection(selection: object) -> Matcher:
    """One search identifier: a map (all its fields hold), a list of maps (one holds), or a list of words (one is in a
    value). Raises: DetectionError."""
    if isinstance(selection, Mapping):
        if not selection or len(selection) > FIELDS_MAX:
            raise DetectionError(f"a selection has 1 to {FIELDS_MAX} fields")
        return _all([_field(str(key), value) for key, value in selection.items()])
    if isinstance(selection, Sequence) and not isinstance(selection, str) and selection:
        if len(selection) > VALUES_MAX:
            raise DetectionError(f"more than {VALUES_MAX} values")
        if all(isinstance(one, Mapping) for one in selection):
            return _any([compile_selection(one) for one in selection])
        return _keywords(selection)
    if isinstance(selection, str | int):
        return _keywords([selection])
    raise DetectionError("a selection is a map or a list")


def _field(key: str, value: object) -> Matcher:
    name, *modifiers = key.split("|")
    unknown = [one for one in modifiers if one not in _MODIFIERS]
    if unknown:
        raise DetectionError(f"modifier {unknown[0]!r} is not known")
    tests = [one for one in modifiers if one in _TESTS]
    if len(tests) > 1:
        raise DetectionError(f"{tests[0]!r} and {tests[1]!r} do not go together")
    test = tests[0] if tests else ""
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if not values or len(values) > VALUES_MAX:
        raise DetectionError(f"{name}: 1 to {VALUES_MAX} values")
    if not test and not name:
        raise DetectionError("a field has no name")
    plain = _plain_set(name, values, modifiers) if not test else None
    made = [plain] if plain is not None else [_test(name, test, one, modifiers) for one in values]
    found = _all(made) if "all" in modifiers else _any(made)
    if "neq" in modifiers:
        return lambda fields: not found(fields)
    return found


def _plain_set(name: str, values: Sequence[object], modifiers: Sequence[str]) -> Matcher | None:
    """Texts and numbers without wildcards: one look in a set, however long the list."""
    if "all" in modifiers or "cased" in modifiers or not all(is_plain(one) for one in values):
        return None
    wanted = frozenset(folded(one) for one in values)

    def holds(fields: Fields) -> bool:
        value = fields.get(name)
        return value is not None and folded(value) in wanted

    return holds


def is_plain(value: object) -> bool:
    """Whether a value of a rule stands for itself alone, without wildcards."""
    if isinstance(value, str):
        return not any(one in value for one in "*?\\")
    return isinstance(value, bool | int)


def folded(value: object) -> str:
    """How values are compared: texts without case, ``5`` as 5, ``true`` as YAML and JSON write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).lower()


def _test(name: str, test: str, value: object, modifiers: Sequence[str]) -> Matcher:
    """One field against one value."""
    if test == "exists":
        if not isinstance(value, bool):
            raise DetectionError(f"{name}: exists is true or false")
        return lambda fields: (name in fields) == value
    if test == "fieldref":
        other = str(value)
        return lambda fields: name in fields and other in fields and folded(fields[name]) == folded(fields[other])
    if test in ("lt", "lte", "gt", "gte"):
        return _number(name, test, value)
    if test == "cidr":
        return _cidr(name, value)
    if value is None:
        return lambda fields: name not in fields
    if isinstance(value, Mapping | list):
        raise DetectionError(f"{name}: a value is a text or a number")
    pattern = _regular(name, str(value), modifiers) if test == "re" else _wild(name, test, value, modifiers)

    def holds(fields: Fields) -> bool:
        found = fields.get(name)
        return found is not None and pattern(found)

    return holds


def _number(name: str, test: str, value: object) -> Matcher:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DetectionError(f"{name}: {test} takes a number")
    bound = value

    def number(fields: Fields) -> int | None:
        found = fields.get(name)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    if test == "lt":
        return lambda fields: (found := number(fields)) is not None and found < bound
    if test == "lte":
        return lambda fields: (found := number(fields)) is not None and found <= bound
    if test == "gt":
        return lambda fields: (found := number(fields)) is not None and found > bound
    return lambda fields: (found := number(fields)) is not None and found >= bound


def _cidr(name: str, value: object) -> Matcher:
    try:
        network = ip_network(str(value), strict=False)
    except ValueError as error:
        raise DetectionError(f"{name}: {str(value)[:50]!r} is no network") from error

    def holds(fields: Fields) -> bool:
        try:
            address = ip_address(str(fields.get(name, "")).partition("%")[0])
        except ValueError:
            return False
        return address.version == network.version and address in network

    return holds


def _regular(name: str, text: str, modifiers: Sequence[str]) -> Callable[[Value], bool]:
    if len(text) > PATTERN_CHARACTERS_MAX:
        raise DetectionError(f"{name}: an expression has {PATTERN_CHARACTERS_MAX} characters at most")
    flags = "".join(sorted(one for one in modifiers if one in _FLAGS))
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _RE2_BYTES_MAX
    try:
        compiled: Any = re2.compile(f"(?{flags}){text}" if flags else text, options)
    except re2.error as error:
        raise DetectionError(f"{name}: not an expression that RE2 reads ({_said(error)})") from error
    return lambda value: compiled.search(str(value)) is not None


def _said(error: Exception) -> str:
    told = error.args[0] if error.args else ""
    return (told.decode(errors="replace") if isinstance(told, bytes) else str(told))[:100]


def _wild(name: str, test: str, value: object, modifiers: Sequence[str]) -> Callable[[Value], bool]:
    """A text with wildcards, or a part of one."""
    text = folded(value) if isinstance(value, bool) else str(value)
    if len(text) > PATTERN_CHARACTERS_MAX:
        raise DetectionError(f"{name}: a value has {PATTERN_CHARACTERS_MAX} characters at most")
    cased = "cased" in modifiers
    if is_plain(text):
        part = text if cased else text.lower()
        return _part(test, part, cased=cased)
    before = "" if test in ("", "startswith") else ".*"
    after = "" if test in ("", "endswith") else ".*"
    compiled: Any = re2.compile(f"(?s{'' if cased else 'i'})^{before}{_of_wildcards(text)}{after}$")
    return lambda found: compiled.search(str(found)) is not None


def _part(test: str, part: str, *, cased: bool) -> Callable[[Value], bool]:
    def shown(value: Value) -> str:
        return str(value) if cased and not isinstance(value, bool) else folded(value)

    if test == "contains":
        return lambda value: part in shown(value)
    if test == "startswith":
        return lambda value: shown(value).startswith(part)
    if test == "endswith":
        return lambda value: shown(value).endswith(part)
    return lambda value: shown(value) == part


def _of_wildcards(text: str) -> str:
    """An expression for a Sigma text. A backslash takes its meaning from ``*``, ``?`` and itself only."""
    out, at = [], 0
    while at < len(text):
        one = text[at]
        if one == "\\" and at + 1 < len(text) and text[at + 1] in "*?\\":
            at += 1
            out.append(re.escape(text[at]))
        else:
            out.append({"*": ".*", "?": "."}.get(one) or re.escape(one))
        at += 1
    return "".join(out)


def _keywords(words: Sequence[object]) -> Matcher:
    """Words of which one is in a value of whatever field."""
    if not all(isinstance(one, str | int) for one in words):
        raise DetectionError("a list has maps only, or words only")
    tests = [_wild("keyword", "contains", one, ()) for one in words]
    return lambda fields: any(test(value) for value in fields.values() for test in tests)


def _all(parts: Sequence[Matcher]) -> Matcher:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda fields: first(fields) and second(fields)
    return lambda fields: all(part(fields) for part in parts)


def _any(parts: Sequence[Matcher]) -> Matcher:
    if len(parts) == 1:
        return parts[0]
    return lambda fields: any(part(fields) for part in parts)
