"""Search URLs: what is read, what is refused, and that no value typed by a caller comes back in an error."""

from __future__ import annotations

import pytest

from hygie.base.errors import HygieError
from hygie.fhir.search import compile_query
from hygie.fhir.search.asks import split, unescape
from hygie.fhir.search.errors import (
    ParameterValueError,
    SearchLimitError,
    UnknownSearchTypeError,
    UnsupportedModifierError,
    UnsupportedParameterError,
)
from hygie.fhir.search.query import CLAUSE_TERMS_MAX, COUNT_MAX, PARAMETERS_MAX, VALUE_CHARS_MAX, VALUES_MAX

SECRET = "1690154588029"  # an identity number that must not come back


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("nom", SECRET, UnsupportedParameterError),
        (f"{SECRET} {SECRET}", "x", UnsupportedParameterError),
        ("code-value-quantity", f"{SECRET}$gt1", UnsupportedParameterError),
        ("_text", SECRET, UnsupportedParameterError),
        ("_has:Provenance:target:agent", SECRET, UnsupportedModifierError),
        ("subject.name", SECRET, UnsupportedModifierError),
        ("subject:Patient.name", SECRET, UnsupportedModifierError),
        ("subject:Practitioner", SECRET, UnsupportedModifierError),
        ("subject:identifier", SECRET, UnsupportedModifierError),
        ("code:text", SECRET, UnsupportedModifierError),
        ("code:in", SECRET, UnsupportedModifierError),
        ("date:not", "2020", UnsupportedModifierError),
        ("_id:exact", "1", UnsupportedModifierError),
        ("date", SECRET, ParameterValueError),
        ("date", "", ParameterValueError),
        ("code", "", ParameterValueError),
        ("code", "a,,b", ParameterValueError),
        ("code", "a|b|c", ParameterValueError),
        ("code", "|", ParameterValueError),
        ("subject", "not an id", ParameterValueError),
        ("subject:Patient", "Group/1", ParameterValueError),
        ("value-quantity", "ten", ParameterValueError),
        ("value-quantity", "1|mg", ParameterValueError),
        ("value-quantity", "1||", ParameterValueError),
        ("value-quantity", "1e9999", ParameterValueError),
        ("value-quantity", "1" * 50, ParameterValueError),
        ("value-quantity", "..", ParameterValueError),
        ("code:missing", "yes", ParameterValueError),
        ("_count", "-1", ParameterValueError),
        ("_count", "٣", ParameterValueError),
        ("_total", "yes", ParameterValueError),
        ("_summary", "true", UnsupportedModifierError),
        ("_sort", "code", UnsupportedModifierError),
        ("_sort", "date,_lastUpdated", UnsupportedModifierError),
        ("_include", "Observation", ParameterValueError),
        ("_include", "Observation:code", UnsupportedParameterError),
        ("_include", "Patient:organization", ParameterValueError),
        ("_revinclude", "Provenance:target", UnsupportedParameterError),
        ("_id", "a/b", ParameterValueError),
        ("_lastUpdated", "", ParameterValueError),
        ("_lastUpdated", "ne2020", UnsupportedModifierError),
    ],
)
def test_bad_input_is_refused_without_repeating_it(name: str, value: str, error: type[HygieError]) -> None:
    with pytest.raises(error) as caught:
        compile_query("Observation", [(name, value)])
    for language in ("fr", "en"):
        assert SECRET not in caught.value.sentence(language)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(UnknownSearchTypeError):
        compile_query("Observations", [])


def test_a_bare_id_is_refused_where_any_type_may_stand() -> None:
    with pytest.raises(UnsupportedModifierError):
        compile_query("Provenance", [("target", "1")])
    assert compile_query("Provenance", [("target", "Patient/1")]).clauses


@pytest.mark.parametrize(
    "parameters",
    [
        [("code", "a")] * (PARAMETERS_MAX + 1),
        [("code", ",".join(["a"] * (VALUES_MAX + 1)))],
        [("code", "a" * (VALUE_CHARS_MAX + 1))],
        [("code", "a" * (VALUE_CHARS_MAX * VALUES_MAX + 1))],
        [("date", ",".join(f"gt{year}-01-02" for year in range(1950, 2050)))],
    ],
)
def test_limits_hold(parameters: list[tuple[str, str]]) -> None:
    with pytest.raises(SearchLimitError):
        compile_query("Observation", parameters)


def test_a_range_of_dates_is_one_small_clause() -> None:
    query = compile_query("Observation", [("date", "ge2020-01-01"), ("date", "lt2021-01-01")])
    assert [sorted(clause) for clause in query.clauses] == [
        ["Observation.effective\x1fd2020", "Observation.effective\x1fw"]
    ]
    for clause in compile_query("Observation", [("date", "ge1901-02-03"), ("date", "lt2098-11-29")]).clauses:
        assert len(clause) <= CLAUSE_TERMS_MAX


def test_lenient_handling_leaves_out_and_says_so() -> None:
    parameters = [("nom", "x"), ("subject.name", "x"), ("code", "c"), (f"{SECRET} x", "y")]
    query = compile_query("Observation", parameters, lenient=True)
    assert query.ignored == ["nom", "subject", "?"]
    assert len(query.clauses) == 1
    with pytest.raises(ParameterValueError):
        compile_query("Observation", [("date", "x")], lenient=True)


def test_updates_become_a_window() -> None:
    def window(*values: str) -> tuple[int | None, int | None]:
        return compile_query("Patient", [("_lastUpdated", value) for value in values]).updated

    day = 86_400_000
    assert window("1970-01-02") == (day, 2 * day)
    assert window("ge1970-01-02") == (day, None)
    assert window("gt1970-01-02") == (2 * day, None)
    assert window("lt1970-01-02") == (None, day)
    assert window("le1970-01-02") == (None, 2 * day)
    assert window("ge1970-01-02", "lt1970-01-05", "ge1970-01-03") == (2 * day, 4 * day)


def test_ids_intersect_and_counts_are_bounded() -> None:
    query = compile_query("Patient", [("_id", "a,b,c"), ("_id", "b,c,d"), ("_count", "99999"), ("_format", "json")])
    assert query.ids == ["b", "c"]
    assert query.count == COUNT_MAX
    assert not query.total
    assert compile_query("Patient", [("_count", "0")]).total
    counted = compile_query("Patient", [("_summary", "count")])
    assert (counted.count, counted.total) == (0, True)
    assert compile_query("Patient", [("_total", "accurate")]).total


def test_precise_says_when_terms_alone_decide() -> None:
    def precise(name: str, value: str) -> bool:
        return compile_query("Observation", [(name, value)]).precise

    assert precise("code", "http://loinc.org|8480-6")
    assert precise("subject", "Patient/1")
    assert precise("patient", "1")
    assert precise("status", "final")
    assert not precise("category", "x"), "a list may be filed under one term"
    assert not precise("date", "2020")
    assert not precise("value-quantity", "1")
    assert not precise("code:not", "x")
    assert not precise("encounter:missing", "true")
    assert not compile_query("Observation", [("status", "final"), ("_id", "1")]).precise, "ids go without terms"
    assert compile_query("Observation", [("_id", "1")]).precise


def test_one_patient_is_named_for_the_plan() -> None:
    assert compile_query("Observation", [("subject", "Patient/1")]).patient == "1"
    assert compile_query("Observation", [("patient", "1")]).patient == "1"
    assert compile_query("Observation", [("subject", "Patient/1,Patient/2")]).patient is None
    assert compile_query("Observation", [("subject", "Group/1")]).patient is None
    assert compile_query("Provenance", [("target", "Patient/1")]).patient == "1"


def test_a_patients_compartment_is_an_or_of_its_parameters() -> None:
    query = compile_query("Observation", [], patient="1")
    assert query.patient == "1"
    head = b'{"resourceType":"Observation","status":"final","code":{},'
    assert query.matches(head + b'"subject":{"reference":"Patient/1"}}')
    body = head + b'"performer":[{"reference":"Patient/1"}]}'
    assert query.matches(body)
    assert not query.matches(body.replace(b"Patient/1", b"Patient/2"))
    with pytest.raises(UnsupportedParameterError):
        compile_query("Organization", [], patient="1")


def test_sorting_reads_the_least_or_the_greatest() -> None:
    head = b'{"resourceType":"Encounter","status":"finished","class":{}'
    body = head + b',"period":{"start":"1970-01-02","end":"1970-01-03"}}'
    ascending = compile_query("Encounter", [("_sort", "date")])
    descending = compile_query("Encounter", [("_sort", "-date")])
    assert ascending.ascending
    assert not descending.ascending
    assert ascending.sort_key(body) == 86_400_000
    assert descending.sort_key(body) == 3 * 86_400_000 - 1
    assert ascending.sort_key(head + b"}") is None
    assert compile_query("Encounter", [("_sort", "-_lastUpdated")]).sort_by is None
    names = compile_query("Patient", [("_sort", "family")])
    assert names.sort_key(b'{"resourceType":"Patient","name":[{"family":"\xc3\x89va"},{"family":"Zed"}]}') == "eva"


def test_includes_follow_our_own_references() -> None:
    body = (
        b'{"resourceType":"Observation","status":"final","code":{},"subject":{"reference":"Patient/1"},'
        b'"performer":[{"reference":"Practitioner/2/_history/1"},{"reference":"https://x.example/Practitioner/3"},'
        b'{"reference":"https://us.example/f/Organization/4"},{"display":"x"}]}'
    )
    names = ["Observation:subject", "Observation:performer"]
    query = compile_query("Observation", [("_include", name) for name in names], "https://us.example/f")
    assert query.included(body) == [("Patient", "1"), ("Practitioner", "2"), ("Organization", "4")]
    only = compile_query("Observation", [("_include", "Observation:performer:Organization")], "https://us.example/f")
    assert only.included(body) == [("Organization", "4")]


def test_escapes_are_read_as_the_specification_says() -> None:
    assert split(r"a\,b,c", ",") == [r"a\,b", "c"]
    assert split(r"a\\,b", ",") == [r"a\\", "b"]
    assert unescape(r"a\,b\|c\$d\\e\x") == r"a,b|c$d\e\x"
