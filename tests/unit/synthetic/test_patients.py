"""Synthetic patients: the same bytes for the same seed, valid R4, right keys, distinctive words."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.base.identifiers import INS_NIR_TEST_OID, luhn_holds, nir_key, parse_professional
from hygie.synthetic.patients import bundle_bytes, identity, needles, planted_words

seeds = st.integers(0, 800_000)


def resources(seed: int) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in json.loads(bundle_bytes(seed))["entry"]]


def references_in(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [found for each in value.values() for found in references_in(each)]
    return [found for each in value for found in references_in(each)] if isinstance(value, list) else []


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_person() -> None:
    assert bundle_bytes(7) == bundle_bytes(7)
    assert bundle_bytes(7) != bundle_bytes(8)
    people = [identity(seed) for seed in range(3000)]
    assert len({person.ins for person in people}) == 3000


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_a_bundle_has_30_to_60_resources_and_every_reference_leads_to_one(seed: int) -> None:
    bundle = json.loads(bundle_bytes(seed))
    full_urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert 30 <= len(full_urls) <= 60
    assert len(set(full_urls)) == len(full_urls)
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", url) for url in full_urls)
    assert set(references_in(bundle)) <= set(full_urls)
    assert all(entry["request"]["url"] == entry["resource"]["resourceType"] for entry in bundle["entry"])


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_identifiers_are_test_ones_with_right_keys(seed: int) -> None:
    found = {resource["resourceType"]: resource for resource in resources(seed)}
    ins = found["Patient"]["identifier"][0]
    assert ins["system"] == f"urn:oid:{INS_NIR_TEST_OID}"
    assert nir_key(ins["value"][:13]) == ins["value"][13:]
    parse_professional(found["Practitioner"]["identifier"][0]["value"])
    assert luhn_holds(found["Organization"]["identifier"][0]["value"])
    born = found["Patient"]["birthDate"]
    assert ins["value"][1:5] == born[2:4] + born[5:7]
    assert ins["value"][0] == ("2" if found["Patient"]["gender"] == "female" else "1")
    assert found["Patient"]["name"][0]["family"] == identity(seed).family.upper()


def test_every_bundle_passes_the_structure_check_of_the_fhir_face() -> None:
    structures = pytest.importorskip("hygie.fhir.structures")
    for seed in range(40):
        for resource in resources(seed):
            structures.parse(json.dumps(resource).encode(), expected=resource["resourceType"])
        structures.parse(bundle_bytes(seed), expected="Bundle")


def test_the_check_of_structure_can_fail() -> None:
    structures = pytest.importorskip("hygie.fhir.structures")
    from hygie.base.errors import HygieError

    broken = next(r for r in resources(1) if r["resourceType"] == "Observation") | {"status": "finalised"}
    with pytest.raises(HygieError):
        structures.parse(json.dumps(broken).encode(), expected="Observation")


def test_a_population_carries_the_kinds_a_hospital_sends() -> None:
    kinds = Counter(resource["resourceType"] for seed in range(40) for resource in resources(seed))
    assert set(kinds) == {
        *("Patient", "Practitioner", "Organization", "Encounter", "Condition", "Observation", "MedicationRequest"),
        *("Procedure", "DiagnosticReport", "Immunization", "AllergyIntolerance", "DocumentReference"),
    }


def test_decimals_keep_their_last_zero_in_the_bytes() -> None:
    raw = b"".join(bundle_bytes(seed) for seed in range(40))
    assert re.search(rb'"value":\d+\.\d0[,}]', raw)


def test_time_of_care_is_inside_the_life_of_the_patient() -> None:
    for seed in range(200):
        born = identity(seed).born_on.isoformat()
        starts = [r["period"]["start"] for r in resources(seed) if r["resourceType"] == "Encounter"]
        ends = [r["period"]["end"] for r in resources(seed) if r["resourceType"] == "Encounter"]
        assert all(born < start < end < "2026-07-10" for start, end in zip(starts, ends, strict=True))


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_planted_words_are_in_the_bundle_and_their_needles_find_each_way_of_writing_them(seed: int) -> None:
    words = planted_words(seed)
    raw = bundle_bytes(seed).decode()
    assert all(word in raw for word in words)
    found = needles(words)
    assert min(len(needle) for needle in found) >= 7
    for word in words:
        for shift in range(5):
            letter = base64.b64encode(b"x" * shift + word.encode() + b" and more")
            assert any(needle in letter for needle in needles((word,)))
    assert any(needle in f"<p>{words[0].upper()}</p>".encode("utf-16-le") for needle in found)
    assert any(needle in f"name={words[0].lower()}".encode("latin-1") for needle in found)
    assert not any(needle in b"The quick brown fox; Rennes; Jeanne; 2026-06-30" for needle in found)
