"""A Bundle's envelope, its slices, and public example data when it is there."""

from __future__ import annotations

import gzip
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hygie.fhir.bundle import BundleView, parse_bundle
from hygie.fhir.errors import FhirContentError, FhirStructureError
from hygie.fhir.structures import parse, parse_clean

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "fhir"
SHARED = Path(os.environ.get("HYGIE_EXAMPLE_FHIR", ROOT.parent / "shared" / "data" / "fhir"))
RAW = (DATA / "transaction.json").read_bytes()


def changed(**changes: object) -> bytes:
    return json.dumps(json.loads(RAW) | changes).encode()


def refused(raw: bytes) -> FhirStructureError:
    with pytest.raises(FhirStructureError) as caught:
        parse_bundle(raw)
    return caught.value


@pytest.mark.parametrize("raw", [RAW, json.dumps(json.loads(RAW), separators=(",", ":")).encode()])
def test_entries_are_sliced_not_parsed(raw: bytes) -> None:
    view = parse_bundle(raw)
    assert (view.type, len(view.entries)) == ("transaction", 3)
    create, update, delete = view.entries
    assert (create.method, create.url, create.if_none_exist) == ("POST", "Patient", "identifier=https://example.org|7")
    assert create.full_url == "urn:uuid:11111111-1111-4111-8111-111111111111"
    assert (update.index, update.if_match) == (1, 'W/"3"')
    assert (delete.method, delete.resource_raw) == ("DELETE", b"")
    assert json.loads(update.resource_raw) == json.loads(RAW)["entry"][1]["resource"]
    assert parse_clean(create.resource_raw).resource.gender == "male"
    assert "Patient" not in repr(view) + repr(create)


def test_a_bad_resource_does_not_spoil_the_envelope() -> None:
    view = parse_bundle(changed(entry=[{"resource": {"resourceType": "Patient", "zzz": 1}}, {"fullUrl": "urn:x"}]))
    with pytest.raises(FhirContentError) as caught:
        parse_clean(view.entries[0].resource_raw)
    assert caught.value.expression == "Patient.zzz"
    assert view.entries[1].resource_raw == b""


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (RAW.replace(b'"type"', b'"kind"', 1), "unknown"),
        (RAW.replace(b'"type": "transaction"', b'"type": "x"'), "code"),
        (RAW.replace(b'"type": "transaction"', b'"type": "batch", "type": "transaction"'), "duplicate"),
        (RAW.replace(b'"method": "DELETE"', b'"method": "DELETE", "method": "DELETE"'), "duplicate"),
        (RAW.replace(b'"resource":', b'"resource": {"resourceType":"Patient"}, "resource":', 1), "duplicate"),
        (RAW.replace(b'{"request"', b'{"search": {}, "request"'), "empty"),
        (RAW.replace(b'"method": "DELETE", ', b""), "required"),
        (RAW.replace(b'{"request"', b'{"resource": 7, "request"'), "type"),
        (RAW.replace(b"}", b"", 1), "json"),
        (b'{"resourceType":"Patient"}', "resource-type"),
    ],
)
def test_a_bad_envelope_is_refused(raw: bytes, problem: str) -> None:
    assert refused(raw).problem == problem


def test_an_empty_resource_is_refused_by_its_own_parse() -> None:
    view = parse_bundle(changed(entry=[{"resource": {}}]))
    with pytest.raises(FhirContentError) as caught:
        parse_clean(view.entries[0].resource_raw)
    assert caught.value.problem == "resource-type"


def synthea() -> list[Path]:
    return sorted((SHARED / "synthea").glob("*.json.gz"))


def _equal(view: BundleView, raw: bytes) -> None:
    expected: list[Any] = json.loads(raw, parse_float=Decimal)["entry"]
    for entry, one in zip(view.entries, expected, strict=True):
        assert json.loads(parse_clean(entry.resource_raw).encoded, parse_float=Decimal) == one["resource"]


@pytest.mark.skipif(not synthea(), reason="the Synthea example bundles are not beside this repository")
def test_synthea_bundles_are_read_and_given_back_equal() -> None:
    for path in synthea():
        raw = gzip.decompress(path.read_bytes())
        _equal(parse_bundle(raw), raw)
    assert len(synthea()) >= 120


@pytest.mark.skipif(not synthea(), reason="the Synthea example bundles are not beside this repository")
def test_a_whole_bundle_is_kept_equal_too() -> None:
    raw = gzip.decompress(synthea()[0].read_bytes())
    pretty = json.dumps(json.loads(raw, parse_float=float), indent=2).encode()
    assert json.loads(parse(raw).encoded, parse_float=Decimal) == json.loads(raw, parse_float=Decimal)
    assert json.loads(parse(pretty).encoded) == json.loads(pretty)
    _equal(parse_bundle(pretty), pretty)


@pytest.mark.skipif(not (SHARED / "fr").is_dir(), reason="the French examples are not beside this repository")
def test_french_examples_with_an_r5_element_are_refused() -> None:
    refused_files = []
    for path in sorted((SHARED / "fr").glob("*.json")):
        body = json.loads(path.read_bytes())
        if body["resourceType"] == "MedicationAdministration" and "encounter" in body:
            for coding in body["medicationCodeableConcept"]["coding"]:  # some have an unknown member before it
                coding.pop("text", None)
                coding.pop("test", None)
            with pytest.raises(FhirContentError) as caught:
                parse(json.dumps(body).encode())
            assert caught.value.expression == "MedicationAdministration.encounter"
            assert caught.value.issue_code == "structure"
            refused_files.append(path)
    assert len(refused_files) == 34


@pytest.mark.skipif(not (SHARED / "fr").is_dir(), reason="the French examples are not beside this repository")
def test_french_examples_are_kept_equal_or_refused_for_an_unknown_element() -> None:
    problems = []
    for path in sorted((SHARED / "fr").glob("*.json")):
        raw = path.read_bytes()
        try:
            encoded = parse(raw).encoded
        except FhirStructureError as error:
            problems.append(error.problem)
        else:
            assert json.loads(encoded, parse_float=Decimal) == json.loads(raw, parse_float=Decimal)
    assert problems == ["unknown"] * 43  # the count that another strict R4 validator gives
