"""On the developers' data (skipped where it is absent): every value of every resource finds its resource again."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from hygie.fhir.search import extract
from hygie.fhir.search.match import reader
from hygie.fhir.search.parameters import parameters_of
from hygie.fhir.search.terms import TERMS_MAX
from hygie.fhir.types import struct_of

DATA = Path(os.environ.get("HYGIE_FHIR_DATA", Path(__file__).parents[4] / "shared" / "data" / "fhir"))
FILES = sorted((DATA / "synthea").glob("*.json.gz"))[:6] + sorted((DATA / "fr").glob("*.json"))
PER_TYPE = 6  # resources tried of each type: some thousand searches in all

pytestmark = pytest.mark.skipif(not FILES, reason="no FHIR data beside the repository")

Finds = Callable[[dict[str, Any], str], bool]
Pair = tuple[dict[str, Any], Any]


@cache
def _resources() -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = defaultdict(list)
    for file in FILES:
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        whole = json.loads(raw)
        for resource in [entry["resource"] for entry in whole.get("entry", ())] or [whole]:
            type_ = resource["resourceType"]
            try:
                typed = msgspec.json.decode(json.dumps(resource).encode(), type=struct_of(type_))
            except msgspec.ValidationError:  # some of these files are faulty on purpose
                continue
            found[type_].append((resource, typed))
    return found


def _searches(code: str, kind: str, type_: str, value: Any) -> Iterator[str]:
    """Searches that must find a resource that holds this value."""
    if kind == "token":
        if type_ in {"code", "string", "id", "uri"}:
            yield f"{code}={_text(value)}"
        elif type_ == "boolean":
            yield f"{code}={str(value).lower()}"
        elif type_ in {"Identifier", "ContactPoint"} and value.value:
            yield f"{code}={_text(value.value)}"
            if type_ == "Identifier":
                yield f"{code}={_text(value.system or '')}|{_text(value.value)}"
        for coding in (value.coding or ()) if type_ == "CodeableConcept" else ():
            if coding.code:
                yield f"{code}={_text(coding.code)}"
                yield f"{code}={_text(coding.system or '')}|{_text(coding.code)}"
    elif kind == "string":
        yield f"{code}={_text(value[:4].strip().lower())}"
        yield f"{code}:exact={_text(value)}"
    elif kind == "reference" and type_ == "Reference" and (value.reference or "#")[0] != "#":
        yield f"{code}={_text(value.reference)}"
    elif kind == "uri":
        yield f"{code}={_text(value)}"
    elif kind == "date":
        text = value if isinstance(value, str) else getattr(value, "start", None)
        if text:
            yield f"{code}=ge{quote(text[:10])}&{code}=le{quote(text)}"
    elif kind == "quantity" and getattr(value, "value", None) is not None:
        yield f"{code}=le{value.value}&{code}=ge{value.value}"
    yield f"{code}:missing=false"


def _text(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return quote(text)


def test_every_value_finds_its_resource(finds: Finds) -> None:
    searches = 0
    for type_, pairs in _resources().items():
        for resource, typed in pairs[:PER_TYPE]:
            for code, parameter in parameters_of(type_).items():
                for kind, value in reader(parameter)(typed)[:3]:
                    for search in _searches(code, parameter.kind, kind, value):
                        assert finds(resource, search), f"{type_}?{code}"
                        searches += 1
    assert searches > 1000


def test_terms_are_few_and_extraction_is_quick() -> None:
    typed = [one for pairs in _resources().values() for _, one in pairs]
    counts = [len(extract(one).terms) for one in typed]
    assert max(counts) <= TERMS_MAX
    assert sum(counts) / len(counts) < 35
    begin = time.perf_counter()
    for one in typed:
        extract(one)
    mean_us = (time.perf_counter() - begin) / len(typed) * 1e6
    assert mean_us < 200, "about 20 measured; ten times more means the generated code went wrong"
