"""A search URL (or form) compiled to what the vault runs: clauses of blind terms, and the exact filter.

Names repeat as AND, commas as OR. Everything a caller types is bounded here, and nothing of it goes into an error but
the parameter's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec

from hygie.fhir.search.asks import Ask, ask, half_line, presence, read_date, slot_terms, split, unescape
from hygie.fhir.search.compartment import compartment_members, compartment_slots
from hygie.fhir.search.definitions import BY_COLUMN, definitions_of
from hygie.fhir.search.errors import (
    ParameterValueError,
    SearchLimitError,
    UnsupportedModifierError,
    UnsupportedParameterError,
    safe_name,
)
from hygie.fhir.search.match import Reader, Test, date_interval, number_interval, reader
from hygie.fhir.search.parameters import Parameter, list_slots, parameters_of, shares_terms
from hygie.fhir.search.terms import DATE, MANY, SEPARATOR, WIDE, date_cover
from hygie.fhir.search.values import plain_text, reference_parts
from hygie.fhir.types import struct_of

PARAMETERS_MAX = 40  # names in one search: a form has ten
VALUES_MAX = 100  # values in one OR: a page of ids
VALUE_CHARS_MAX = 1024  # one value: identifiers and uris are shorter
CLAUSE_TERMS_MAX = 1000  # terms in one OR, each a probe of the index
COUNT_DEFAULT = 50
COUNT_MAX = 1000  # a page must fit in memory many times over
IGNORED = frozenset({"_format", "_pretty"})  # about the answer's form: the face reads them
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)

Predicate = Callable[[Any], bool]


@dataclass(slots=True)
class Include:
    """``_include=source:parameter[:target]``."""

    parameter: Parameter
    target: str
    read: Reader


@dataclass(slots=True)
class SearchQuery:
    """A compiled search of one resource type; the fields are those of the vault's Query.

    clauses: AND of OR of terms, they hold every match; precise: they hold nothing else (but for hash collisions), so a
    count of candidates is a count of matches; patient: every match belongs to this patient; updated: from (included)
    and to (excluded), ms; count 0: total only; sort_by: the parameter whose value orders, None = last update;
    used: names and values that count; ignored: names left out under lenient handling.
    """

    type: str
    base_url: str
    clauses: list[list[str]] = field(default_factory=list)
    precise: bool = True
    patient: str | None = None
    ids: list[str] | None = None
    updated: tuple[int | None, int | None] = (None, None)
    count: int = COUNT_DEFAULT
    total: bool = False
    ascending: bool = False
    sort_by: Parameter | None = None
    includes: list[Include] = field(default_factory=list)
    used: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    predicates: list[Predicate] = field(default_factory=list)

    def matches(self, resource: bytes | msgspec.Struct, type_: str | None = None) -> bool:
        """Whether an opened resource (body or typed) satisfies the parameters, ``_id`` and ``_lastUpdated`` aside."""
        if type_ is not None and type_ != self.type:
            return False
        if isinstance(resource, bytes):
            resource = decode(resource, self.type)
        return all(predicate(resource) for predicate in self.predicates)

    def sort_key(self, resource: bytes | msgspec.Struct, type_: str | None = None) -> Any:
        """What orders a resource: its least value when ascending, its greatest otherwise; None when it has none."""
        assert self.sort_by is not None, "sorted by last update"
        if isinstance(resource, bytes):
            resource = decode(resource, type_ or self.type)
        keys = [
            key for value in reader(self.sort_by)(resource) if (key := _sort_value(*value, self.ascending)) is not None
        ]
        return (min(keys) if self.ascending else max(keys)) if keys else None

    def included(self, resource: bytes | msgspec.Struct, type_: str | None = None) -> list[tuple[str, str]]:
        """(type, id) of our own resources that the includes ask for, in order, once each."""
        if isinstance(resource, bytes):
            resource = decode(resource, type_ or self.type)
        found: dict[tuple[str, str], None] = {}
        for include in self.includes:
            for kind, value in include.read(resource):
                text = value.reference if kind == "Reference" else value
                parts = reference_parts(text) if text else None
                if parts and parts[0] in {"", self.base_url} and include.target in {"", parts[1]}:
                    found[parts[1], parts[2]] = None
        return list(found)


def decode(body: bytes, type_: str) -> Any:
    """A stored body as its typed Struct. Raises: msgspec.ValidationError: not a resource of this type."""
    return _decoder(type_).decode(body)


@cache
def _decoder(type_: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(struct_of(type_))


def compile_query(
    type_: str,
    parameters: Sequence[tuple[str, str]],
    base_url: str = "",
    *,
    lenient: bool = False,
    patient: str | None = None,
) -> SearchQuery:
    """Compile the names and values of a search, in order, decoded from the URL or the form.

    Args: base_url: our address of this environment, without a final slash; lenient: leave out what is not supported
    and say so in ``ignored`` (``Prefer: handling=lenient``); patient: one patient's compartment (/Patient/1/…).
    Raises: UnknownSearchTypeError; UnsupportedParameterError; UnsupportedModifierError; ParameterValueError;
    SearchLimitError.
    """
    if len(parameters) > PARAMETERS_MAX:
        raise SearchLimitError(limit="parameters", maximum=PARAMETERS_MAX)
    parameters_of(type_)
    query = SearchQuery(type_, base_url)
    compiler = _Compiler(query)
    if patient is not None:
        compiler.within_patient(patient)
    for name, value in parameters:
        try:
            if name not in IGNORED:
                compiler.add(name, value)
        except (UnsupportedParameterError, UnsupportedModifierError):
            if not lenient:
                raise
            query.ignored.append(safe_name(name.partition(":")[0].partition(".")[0]))
        else:
            query.used.append((name, value))
    compiler.finish()
    return query


class _Compiler:
    """Adds parameters to a query one by one."""

    def __init__(self, query: SearchQuery) -> None:
        self._query = query
        self._served = parameters_of(query.type)
        self._half_lines: dict[str, list[Ask]] = {}
        self._count_alone = False

    def add(self, name: str, value: str) -> None:
        """One name and its value."""
        if len(value) > VALUE_CHARS_MAX * VALUES_MAX:
            raise SearchLimitError(limit="value characters", maximum=VALUE_CHARS_MAX)
        code, _, modifier = name.partition(":")
        if special := getattr(self, f"_add{code}", None) if code.startswith("_") and code in _SPECIAL else None:
            if modifier:
                raise UnsupportedModifierError(parameter=safe_name(code), reason="modifier")
            special(value)
            return
        if code == "_has" or "." in name:
            raise UnsupportedModifierError(parameter=safe_name(code.partition(".")[0]), reason="chain")
        parameter = self._served.get(code)
        if parameter is None:
            raise UnsupportedParameterError(parameter=safe_name(code), type=self._query.type)
        if modifier == "missing":
            self._add_missing(parameter, value)
        else:
            self._add_values(parameter, modifier, value)

    def within_patient(self, patient: str) -> None:
        """Keep what refers to one patient through the compartment's parameters."""
        query = self._query
        if not _ID.fullmatch(patient):
            raise ParameterValueError(parameter="patient", reason="id")
        query.patient = patient
        if query.type == "Patient":
            query.ids = [patient]
            return
        members = compartment_members(query.type)
        if not members:
            raise UnsupportedParameterError(parameter="patient", type=query.type)
        asks = [(member, ask(member, f"Patient/{patient}", "", query.base_url)) for member in members]
        terms = [term for _, one in asks for term in one.clauses[0]]
        self._clause(terms)
        tests = [(reader(member), one.test) for member, one in asks]
        query.predicates.append(lambda resource: any(_any(read, test, resource) for read, test in tests))

    def finish(self) -> None:
        """Join what had to wait for all the names: the two sides of a range of dates, a count that was asked alone."""
        if self._count_alone:
            self._query.count, self._query.total = 0, True
        if self._query.ids is not None and self._query.predicates:
            self._query.precise = False  # objects named by id are read without looking at their terms
        for code, asks in self._half_lines.items():
            self._join_dates(self._served[code], asks)

    # -- ordinary parameters

    def _add_missing(self, parameter: Parameter, value: str) -> None:
        if value not in {"true", "false"}:
            raise ParameterValueError(parameter=parameter.code, reason="true|false")
        read, wanted = reader(parameter), value == "false"
        self._query.predicates.append(lambda resource: bool(read(resource)) is wanted)
        clauses = presence(parameter) if wanted else ()
        for clause in clauses:
            self._clause(clause)
        shared = shares_terms(self._query.type, parameter.code)
        if not clauses or shared or any(leaf.conditional for leaf in parameter.leaves):
            self._query.precise = False

    def _add_values(self, parameter: Parameter, modifier: str, value: str) -> None:
        texts = _bounded_split(parameter.code, value)
        query = self._query
        negative = modifier == "not"
        if negative and parameter.kind != "token":
            raise UnsupportedModifierError(parameter=parameter.code, reason=":not")
        asks = [ask(parameter, text, "" if negative else modifier, query.base_url) for text in texts]
        tests = [one.test for one in asks]
        read = reader(parameter)
        if negative:
            query.precise = False
            query.predicates.append(lambda resource: not any(_any(read, test, resource) for test in tests))
            return
        query.predicates.append(lambda resource: _any_of(read, tests, resource))
        query.precise = query.precise and all(one.precise for one in asks)
        if query.precise and shares_terms(query.type, parameter.code):
            query.precise = False
        if len(asks) == 1 and asks[0].patient and compartment_slots(query.type).issuperset(parameter.slots):
            query.patient = asks[0].patient
        if len(asks) == 1 and _is_half_line(asks[0]) and not any(leaf.many for leaf in parameter.leaves):
            self._half_lines.setdefault(parameter.code, []).append(asks[0])
            return
        self._clauses_of(asks)

    def _clauses_of(self, asks: list[Ask]) -> None:
        """OR of the asks: their n-th clauses joined, for as many clauses as all of them have."""
        for rank in range(min(len(one.clauses) for one in asks)):
            self._clause([term for one in asks for term in one.clauses[rank]])

    def _join_dates(self, parameter: Parameter, asks: list[Ask]) -> None:
        """``ge`` and ``le`` on one element that holds one value: both ends are in between, or the value spans days."""
        lows: list[tuple[int, int]] = []
        highs: list[tuple[int, int]] = []
        for one in asks:
            assert one.interval is not None
            first, last = half_line(*one.interval)
            (lows if one.interval[0] in _LOWER else highs).append((first, last))
        if not lows or not highs or len(parameter.slots) > 1:
            for one in asks:
                self._clauses_of([one])
            return
        cover = date_cover(max(first for first, _ in lows), min(last for _, last in highs))
        self._clause(slot_terms(parameter, DATE, cover) + slot_terms(parameter, WIDE, [""]))

    def _clause(self, terms: Sequence[str]) -> None:
        distinct = dict.fromkeys(terms)
        crowded = {term.partition(SEPARATOR)[0] for term in terms} & list_slots(self._query.type)
        if crowded:  # a resource over TERMS_MAX is filed there under one term alone
            distinct |= {slot + SEPARATOR + MANY: None for slot in sorted(crowded)}
            self._query.precise = False
        if len(distinct) > CLAUSE_TERMS_MAX:
            raise SearchLimitError(limit="values", maximum=VALUES_MAX)
        self._query.clauses.append(list(distinct))

    # -- parameters of every search (named ``_add`` + their name)

    def _add_id(self, value: str) -> None:
        ids = [unescape(one) for one in _bounded_split("_id", value)]
        if not all(_ID.fullmatch(one) for one in ids):
            raise ParameterValueError(parameter="_id", reason="id")
        before = self._query.ids
        self._query.ids = [one for one in dict.fromkeys(ids) if before is None or one in before]

    def _add_lastUpdated(self, value: str) -> None:  # noqa: N802 (the parameter's own name)
        prefix, low, high = read_date("_lastUpdated", unescape(value)) if value else ("", 0, 0)
        if not prefix:
            raise ParameterValueError(parameter="_lastUpdated", reason="empty")
        if prefix in {"ne", "ap"}:
            raise UnsupportedModifierError(parameter="_lastUpdated", reason=prefix)
        first, last = (low, high) if prefix == "eq" else half_line(prefix, low, high)
        start, stop = self._query.updated
        if prefix in {"eq", *_LOWER}:
            start = first if start is None else max(start, first)
        if prefix in {"eq", "lt", "le", "eb"}:
            stop = last + 1 if stop is None else min(stop, last + 1)
        self._query.updated = (start, stop)

    def _add_count(self, value: str) -> None:
        if not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
            raise ParameterValueError(parameter="_count", reason="number")
        self._query.count = min(int(value), COUNT_MAX)
        self._query.total = self._query.total or self._query.count == 0

    def _add_total(self, value: str) -> None:
        if value not in {"none", "estimate", "accurate"}:
            raise ParameterValueError(parameter="_total", reason="none|estimate|accurate")
        self._query.total = value != "none"

    def _add_summary(self, value: str) -> None:
        self._count_alone = value == "count"
        if not self._count_alone and value != "false":
            raise UnsupportedModifierError(parameter="_summary", reason="count|false")

    def _add_sort(self, value: str) -> None:
        if self._query.sort_by is not None or "," in value:
            raise UnsupportedModifierError(parameter="_sort", reason="one key")
        code = value.removeprefix("-")
        self._query.ascending = not value.startswith("-")
        if code == "_lastUpdated":
            return
        parameter = self._served.get(code)
        if parameter is None or parameter.kind not in {"date", "string", "number", "quantity"}:
            raise UnsupportedModifierError(parameter="_sort", reason="date, string, number")
        self._query.sort_by = parameter

    def _add_include(self, value: str) -> None:
        for one in _bounded_split("_include", value):
            parts = one.split(":")
            if len(parts) not in {2, 3} or parts[0] != self._query.type:
                raise ParameterValueError(parameter="_include", reason="Type:parameter[:Target]")
            parameter = self._served.get(parts[1])
            if parameter is None or parameter.kind != "reference":
                raise UnsupportedParameterError(parameter="_include", type=self._query.type)
            target = parts[2] if len(parts) == 3 else ""
            if len(parts) == 3 and target not in parameter.definition.targets:
                raise ParameterValueError(parameter="_include", reason="target type")
            self._query.includes.append(Include(parameter, target, reader(parameter)))


_SPECIAL = frozenset({"_id", "_lastUpdated", "_count", "_total", "_summary", "_sort", "_include"})
_LOWER = frozenset({"gt", "ge", "sa"})


def _is_half_line(one: Ask) -> bool:
    return one.interval is not None and one.interval[0] in {*_LOWER, "lt", "le", "eb"}


def _any(read: Reader, test: Test, resource: Any) -> bool:
    return any(test(type_, value) for type_, value in read(resource))


def _any_of(read: Reader, tests: list[Test], resource: Any) -> bool:
    return any(test(type_, value) for type_, value in read(resource) for test in tests)


def _bounded_split(code: str, value: str) -> list[str]:
    texts = split(value, ",")
    if len(texts) > VALUES_MAX:
        raise SearchLimitError(limit="values", maximum=VALUES_MAX)
    if any(len(text) > VALUE_CHARS_MAX for text in texts):
        raise SearchLimitError(limit="value characters", maximum=VALUE_CHARS_MAX)
    if not all(texts):
        raise ParameterValueError(parameter=code, reason="empty")
    return texts


def _sort_value(type_: str, value: Any, ascending: bool) -> Any:
    if isinstance(value, str) and type_ in {"string", "markdown"}:
        return plain_text(value)
    if type_ in {"date", "dateTime", "instant", "Period", "Timing"}:
        interval = date_interval(type_, value)
        return None if interval is None else interval[0 if ascending else 1]
    numbers = number_interval(type_, value)
    return None if numbers is None else numbers[0 if ascending else 1]


def search_parameters_of(type_: str) -> list[tuple[str, str, str]]:
    """(name, kind, definition url) of the parameters that work on a type, for the CapabilityStatement.

    Raises: UnknownSearchTypeError.
    """
    served = parameters_of(type_)
    definitions = definitions_of(type_)
    codes = sorted((served.keys() | BY_COLUMN) & definitions.keys())
    return [(code, definitions[code].kind, definitions[code].url) for code in codes]
