"""One searched value, read from its text: the terms that find candidates, and the test that decides."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from hygie.fhir.search.errors import ParameterValueError, UnsupportedModifierError
from hygie.fhir.search.extraction import present_term
from hygie.fhir.search.match import (
    Amount,
    Test,
    Token,
    Unit,
    date_test,
    number_test,
    reference_test,
    text_test,
    token_test,
    uri_test,
)
from hygie.fhir.search.parameters import Parameter
from hygie.fhir.search.terms import (
    BAR,
    DATE,
    NUMBER,
    PREFIX_LENGTHS,
    REFERENCE,
    SEPARATOR,
    TEXT,
    TOKEN,
    UNIT,
    URI,
    WIDE,
    date_cover,
    number_cover,
    text_probe,
)
from hygie.fhir.search.values import FIRST_MS, LAST_MS, date_bounds, plain_text, reference_parts, unversioned

TARGETS_MAX = 16  # a bare id is looked for under each type it may have; "any type" needs Type/id
NUMBER_CHARS_MAX = 40  # decimals of clinical values have fewer than 20 digits
_EXPONENT_LIMIT = 300
_PREFIXED = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.+)", re.DOTALL)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]{1,4})?", re.ASCII)
_PAIRED = frozenset({"CodeableConcept", "Coding", "Identifier"})
_BARRED = _PAIRED | {"uri", "string"}


@dataclass(frozen=True, slots=True)
class Ask:
    """What one value asks. clauses: AND of OR of terms, each holding every match (none: everything is a candidate);
    precise: the terms alone decide, but for hash collisions; interval: (prefix, low ms, high ms) of a date.
    """

    clauses: tuple[tuple[str, ...], ...]
    test: Test
    precise: bool = False
    interval: tuple[str, int, int] | None = None
    patient: str = ""


def split(text: str, separator: str) -> list[str]:
    r"""Cut at separators that are not escaped by ``\``; escapes are kept."""
    if "\\" not in text:
        return text.split(separator)
    parts, current, escaped = [], "", False
    for character in text:
        if character == separator and not escaped:
            parts.append(current)
            current = ""
            continue
        escaped = character == "\\" and not escaped
        current += character
    return [*parts, current]


def unescape(text: str) -> str:
    r"""``\,`` ``\|`` ``\$`` ``\\`` become the character; any other backslash stays."""
    return re.sub(r"\\([\\,|$])", r"\1", text) if "\\" in text else text


def presence(parameter: Parameter) -> tuple[tuple[str, ...], ...]:
    """Clauses that hold every resource where the parameter has a value; none when it always may."""
    if parameter.kind == "date":
        return (slot_terms(parameter, DATE, date_cover(FIRST_MS, LAST_MS)),)
    if any(leaf.required for leaf in parameter.leaves):
        return ()
    return (tuple(present_term(slot, parameter.kind) for slot in parameter.slots),)


def slot_terms(parameter: Parameter, kind: str, values: list[str]) -> tuple[str, ...]:
    """One term per slot and value."""
    return tuple(f"{slot}{SEPARATOR}{kind}{value}" for slot in parameter.slots for value in values)


def ask(parameter: Parameter, text: str, modifier: str, base_url: str) -> Ask:
    """Read one value (escapes not yet removed).

    Raises: ParameterValueError: not the form of this kind; UnsupportedModifierError.
    """
    if not text:
        raise ParameterValueError(parameter=parameter.code, reason="empty")
    if parameter.kind == "reference":
        return _ask_reference(parameter, unescape(text), modifier, base_url)
    if modifier and (parameter.kind != "string" or modifier not in {"exact", "contains"}):
        raise UnsupportedModifierError(parameter=parameter.code, reason=f":{modifier}")
    return _ASKS[parameter.kind](parameter, text, modifier)


def _exact(parameter: Parameter) -> bool:
    return not any(leaf.conditional for leaf in parameter.leaves)


def _ask_token(parameter: Parameter, text: str, _modifier: str) -> Ask:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) > 2 or parts == ["", ""]:
        raise ParameterValueError(parameter=parameter.code, reason="system|code")
    token = Token(None, parts[0]) if len(parts) == 1 else Token(parts[0], parts[1] or None)
    test = token_test(token)
    if token.code is None:
        return Ask(presence(parameter), test)
    terms: dict[str, None] = {}
    precise = _exact(parameter)
    for leaf in parameter.leaves:
        value = token.code
        if leaf.type in _BARRED:
            value = value.replace("|", BAR)
        if leaf.type in _PAIRED and token.system is not None:
            value = f"{token.system}|{value}"
        elif leaf.type not in _PAIRED and leaf.type != "code" and token.system:
            precise = False
        terms[f"{leaf.slot}{SEPARATOR}{TOKEN}{value}"] = None
    return Ask((tuple(terms),), test, precise)


def _ask_text(parameter: Parameter, text: str, modifier: str) -> Ask:
    text = unescape(text)
    plain = plain_text(text)
    probe = text_probe(plain) if modifier != "contains" else None
    test = text_test(text, modifier)
    if probe is None:
        return Ask(presence(parameter), test)
    precise = not modifier and len(plain) in PREFIX_LENGTHS and _exact(parameter)
    return Ask((slot_terms(parameter, TEXT, [probe]),), test, precise)


def _ask_uri(parameter: Parameter, text: str, _modifier: str) -> Ask:
    uri = unescape(text)
    terms = tuple(
        f"{leaf.slot}{SEPARATOR}{URI}{uri.partition('|')[0] if leaf.type == 'canonical' else uri}"
        for leaf in parameter.leaves
    )
    return Ask((tuple(dict.fromkeys(terms)),), uri_test(uri), "|" not in uri and _exact(parameter))


def _ask_reference(parameter: Parameter, text: str, modifier: str, base_url: str) -> Ask:
    goals = {leaf.target for leaf in parameter.leaves}
    targets = tuple(sorted(goals)) if "" not in goals else parameter.definition.targets
    if modifier:
        if modifier not in targets:
            raise UnsupportedModifierError(parameter=parameter.code, reason="type")
        if _ID.fullmatch(text):
            text = f"{modifier}/{text}"
    parts = reference_parts(text)
    if modifier and (parts is None or parts[1] != modifier):
        raise ParameterValueError(parameter=parameter.code, reason="Type/id")
    if parts and parts[0] in {"", base_url}:
        relative = [text.removeprefix(f"{base_url}/") if parts[0] else text]
    elif parts or ":" in text:  # another server's, a urn or a canonical
        relative = []
    elif _ID.fullmatch(text):
        if len(targets) > TARGETS_MAX:
            raise UnsupportedModifierError(parameter=parameter.code, reason="Type/id")
        relative = [f"{target}/{text}" for target in targets]
    else:
        raise ParameterValueError(parameter=parameter.code, reason="Type/id")
    accepted = {text} if not relative else {*relative, *(f"{base_url}/{one}" for one in relative if base_url)}
    probes = [unversioned(one).partition("|")[0] for one in sorted(accepted)]
    patient = relative[0][8:] if len(relative) == 1 and relative[0].startswith("Patient/") else ""
    whole = not any("|" in one or "/_history/" in one for one in accepted)
    return Ask(
        (slot_terms(parameter, REFERENCE, list(dict.fromkeys(probes))),),
        reference_test(frozenset(accepted)),
        precise=whole
        and _aimed(parameter, accepted)
        and not any(hop.where for leaf in parameter.leaves for hop in leaf.hops),
        patient=patient if "/" not in patient else "",
    )


def _aimed(parameter: Parameter, accepted: set[str]) -> bool:
    """Whether each element that the parameter reads may point to every type that is asked for."""
    asked = {parts[1] if (parts := reference_parts(one)) else "" for one in accepted}
    goals: dict[str, set[str]] = {}
    for leaf in parameter.leaves:
        goals.setdefault(leaf.slot, set()).add(leaf.target)
    return all("" in of_slot or asked <= of_slot for of_slot in goals.values())


# -- dates ---------------------------------------------------------------------------------------------------------


def read_date(parameter: str, text: str) -> tuple[str, int, int]:
    """(prefix, first ms, last ms) of a searched date.

    Raises: ParameterValueError.
    """
    match = _PREFIXED.fullmatch(text)
    assert match is not None, "the value is not empty"
    try:
        low, high = date_bounds(match.group(2).replace(" ", "+"))  # a + that was not encoded reads as a space
    except ValueError as error:
        raise ParameterValueError(parameter=parameter, reason="date") from error
    return match.group(1) or "eq", low, high


def _ask_date(parameter: Parameter, text: str, _modifier: str) -> Ask:
    prefix, low, high = read_date(parameter.code, unescape(text))
    test = date_test(prefix, low, high)
    interval = (prefix, low, high)
    if prefix == "ne":
        return Ask(presence(parameter), test, interval=interval)
    if prefix == "ap":
        width = high - low + 1
        terms = slot_terms(parameter, DATE, date_cover(low - width, high + width)) + slot_terms(parameter, WIDE, [""])
        return Ask((terms,), test, interval=interval)
    first, last = half_line(prefix, low, high) if prefix != "eq" else (low, high)
    return Ask((slot_terms(parameter, DATE, date_cover(first, last)),), test, interval=interval)


def half_line(prefix: str, low: int, high: int) -> tuple[int, int]:
    """The instants where one end of a matching value must be."""
    if prefix in {"gt", "sa"}:
        return high + 1, LAST_MS
    if prefix == "ge":
        return low, LAST_MS
    if prefix in {"lt", "eb"}:
        return FIRST_MS, low - 1
    return FIRST_MS, high


# -- numbers -------------------------------------------------------------------------------------------------------


def _decimal(text: str) -> Decimal | None:
    if len(text) > NUMBER_CHARS_MAX or not _NUMBER.fullmatch(text):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return None if value and abs(value.adjusted()) > _EXPONENT_LIMIT else value


def _amount(parameter: Parameter, text: str) -> tuple[str, Amount]:
    match = _PREFIXED.fullmatch(text)
    value = _decimal(match.group(2)) if match else None
    if match is None or value is None:
        raise ParameterValueError(parameter=parameter.code, reason="number")
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    # 100 means 99.5..100.5 and 1e2 means 95..105: the two examples of the specification
    half = Decimal(5).scaleb(exponent - 1 if exponent <= 0 else exponent - 2)
    return match.group(1) or "eq", Amount(value, value - half, value + half)


def _number_terms(parameter: Parameter, prefix: str, asked: Amount) -> tuple[tuple[str, ...], ...]:
    if prefix == "ne":
        return presence(parameter)
    if prefix == "ap":
        tenth = abs(asked.value) / 10
        buckets = number_cover(asked.value - tenth, asked.value + tenth)
        return (slot_terms(parameter, NUMBER, buckets) + slot_terms(parameter, WIDE, [""]),)
    if prefix == "eq":
        return (slot_terms(parameter, NUMBER, number_cover(asked.low, asked.high)),)
    above = prefix in {"gt", "ge", "sa"}
    cover = number_cover(asked.value, None) if above else number_cover(None, asked.value)
    return (slot_terms(parameter, NUMBER, cover),)


def _ask_number(parameter: Parameter, text: str, _modifier: str) -> Ask:
    prefix, asked = _amount(parameter, text)
    return Ask(_number_terms(parameter, prefix, asked), number_test(prefix, asked))


def _ask_quantity(parameter: Parameter, text: str, _modifier: str) -> Ask:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) not in {1, 3} or (len(parts) == 3 and not parts[2]):
        raise ParameterValueError(parameter=parameter.code, reason="number|system|code")
    prefix, asked = _amount(parameter, parts[0])
    unit = Unit(parts[1], parts[2]) if len(parts) == 3 else None
    clauses = _number_terms(parameter, prefix, asked)
    if unit is not None:
        clauses = (*clauses, slot_terms(parameter, UNIT, [unit.code]))
    return Ask(clauses, number_test(prefix, asked, unit))


_ASKS: dict[str, Callable[[Parameter, str, str], Ask]] = {
    "token": _ask_token,
    "string": _ask_text,
    "uri": _ask_uri,
    "date": _ask_date,
    "number": _ask_number,
    "quantity": _ask_quantity,
}
