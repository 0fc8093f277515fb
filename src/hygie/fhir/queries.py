"""From the names and values of an address to what the vault runs: searches, conditions, pages."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hygie.fhir.face_errors import BodyError
from hygie.fhir.requests import parse_parameters
from hygie.fhir.search import compile_query, search_parameters_of
from hygie.fhir.search.errors import ParameterValueError, UnsupportedParameterError, safe_name
from hygie.fhir.search.query import COUNT_DEFAULT, COUNT_MAX, IGNORED
from hygie.fhir.search.values import date_bounds
from hygie.fhir.structures import resource_types
from hygie.vault.model import Condition, Query

CURSOR: Final = "_cursor"
RESULT_PARAMETERS: Final = (
    "_count", "_sort", "_total", "_include", "_summary=count", "_format=json", "_pretty=true",
)  # fmt: skip
_FORM_ONLY = IGNORED | {CURSOR}

Parameters = list[tuple[str, str]]


@lru_cache(maxsize=256)
def search_parameters(type_: str) -> dict[str, str]:
    """Name and kind of every search parameter that works on a type."""
    return {name: kind for name, kind, _ in search_parameters_of(type_)}


def compile_search(
    type_: str, parameters: Parameters, base: str, *, patient: str | None = None, lenient: bool = False
) -> tuple[Query, Parameters]:
    """The vault's query for a search, and the parameters that count in it, the cursor aside.

    Args: patient: keep to one patient's record; lenient: leave out parameters that are not served.
    Raises: the errors of ``compile_query``.
    """
    asked = [(name, value) for name, value in parameters if name != CURSOR]
    compiled = compile_query(type_, asked, base, lenient=lenient, patient=patient)
    query = Query(
        types=(type_,),
        clauses=compiled.clauses,
        patient=compiled.patient,
        updated=compiled.updated,
        ids=compiled.ids,
        # terms that decide alone need no second look: showing a page then costs no parse
        matches=None if compiled.precise else compiled.matches,
        count=compiled.count,
        cursor=_first(parameters, CURSOR),
        ascending=compiled.ascending,
        sort_key=compiled.sort_key if compiled.sort_by is not None else None,
        include=compiled.included if compiled.includes else None,
        total=compiled.total,
        label=_label(type_, patient or "", compiled.used),
    )
    return query, compiled.used


def _label(*parts: object) -> str:
    return repr(parts)


def condition(key: str, type_: str, query: str, base: str) -> Condition:
    """A condition of a conditional interaction or of a conditional reference.

    Raises: BodyError: nothing in it is indexed, so it cannot be looked up under a lock; else as ``compile_query``.
    """
    parameters = [(name, value) for name, value in parse_parameters(query) if name not in _FORM_ONLY]
    compiled = compile_query(type_, parameters, base)
    if not compiled.clauses or compiled.ids is not None or compiled.updated != (None, None):
        raise BodyError("condition")
    return Condition(key, type_, compiled.clauses, compiled.matches)


def everything_query(patient: str, parameters: Parameters) -> Query:
    """All of one patient's record.

    Raises: UnsupportedParameterError: other than ``_count``, ``_since``, ``_type`` and the cursor; ParameterValueError.
    """
    types: tuple[str, ...] = ()
    for name, value in parameters:
        if name == "_type":
            types = tuple(value.split(","))
            if not resource_types().issuperset(types):
                raise ParameterValueError(parameter="_type", reason="resource type")
        elif name not in {*_FORM_ONLY, "_count", "_since"}:
            raise UnsupportedParameterError(parameter=safe_name(name), type="Patient/$everything")
    since_ms = _instant(_first(parameters, "_since"))
    return Query(
        types=types,
        patient=patient,
        updated=(since_ms, None),
        count=page_count(parameters),
        cursor=_first(parameters, CURSOR),
        ascending=True,
        label=_label("$everything", patient, types),
    )


def page_count(parameters: Parameters) -> int:
    """The page size asked for by ``_count``.

    Raises: ParameterValueError.
    """
    text = _first(parameters, "_count")
    if text is None:
        return COUNT_DEFAULT
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) == 0:
        raise ParameterValueError(parameter="_count", reason="number")
    return min(int(text), COUNT_MAX)


def since_of_history(parameters: Parameters) -> int:
    """The instant ``_since`` of a history, ms UTC, 0 without one.

    Raises: UnsupportedParameterError: a history parameter that is not served; ParameterValueError.
    """
    for name, _ in parameters:
        if name not in {*_FORM_ONLY, "_count", "_since"}:
            raise UnsupportedParameterError(parameter=safe_name(name), type="_history")
    return max(0, _instant(_first(parameters, "_since")) or 0)


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return date_bounds(text)[0]
    except ValueError as error:
        raise ParameterValueError(parameter="_since", reason="instant") from error


def _first(parameters: Parameters, name: str) -> str | None:
    return next((value for key, value in parameters if key == name), None)


def split_reference_query(text: str) -> tuple[str, str] | None:
    """``Type?query`` of a conditional reference, or None when it is not one."""
    type_, mark, query = text.partition("?")
    if not mark or type_ not in resource_types():
        return None
    return type_, query
