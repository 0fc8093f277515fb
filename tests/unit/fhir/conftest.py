"""What the search tests share: a search as the vault runs it, candidates by terms then the exact filter."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from hygie.fhir.search import compile_query, extract
from hygie.fhir.types import struct_of

BASE = "https://hygie.example/fhir/t/e"

Finds = Callable[[dict[str, Any], str], bool]
Typed = Callable[[dict[str, Any]], Any]


def _typed(resource: dict[str, Any]) -> Any:
    return msgspec.json.decode(json.dumps(resource).encode(), type=struct_of(resource["resourceType"]))


def _finds(resource: dict[str, Any], url_query: str) -> bool:
    type_ = resource["resourceType"]
    query = compile_query(type_, parse_qsl(url_query, keep_blank_values=True), BASE)
    terms = set(extract(_typed(resource), BASE).terms)
    candidate = all(terms.intersection(clause) for clause in query.clauses)
    exact = query.matches(json.dumps(resource).encode(), type_)
    assert candidate or not exact, f"the index loses a match: {url_query}"
    if query.precise:
        assert candidate == exact, f"called precise, but the terms say otherwise: {url_query}"
    return exact


@pytest.fixture(scope="session")
def typed() -> Typed:
    """A resource as its typed Struct."""
    return _typed


@pytest.fixture(scope="session")
def finds() -> Finds:
    """Run a URL query on one resource; fails if the terms lose what the exact filter accepts."""
    return _finds
