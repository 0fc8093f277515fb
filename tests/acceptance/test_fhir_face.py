"""The FHIR face before the real gate, vault, database, keys and sites."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.fhir.face_stage import observation, patient
from tests.unit.fhir.test_face_bundles import PATIENT_URL, SYNTHEA, bundle, entry

JSON = {"Accept": "application/fhir+json"}


def path_of(entry_: dict[str, Any]) -> str:
    return str(entry_["response"]["location"]).partition("/_history")[0]


def test_write_read_versions_and_deletion(installation: Any) -> None:
    made = installation.fhir("POST", "Observation", observation("Patient/x1", "1.50"))
    assert made.status == 201, made.body
    read = installation.fhir("GET", f"Observation/{made.json['id']}")
    assert read.body == made.body
    assert b'"value":1.50,' in read.body
    assert installation.fhir("PUT", "Patient/v1", patient(id="v1")).status == 201
    match = {"If-Match": 'W/"1"'}
    assert installation.fhir("PUT", "Patient/v1", patient(id="v1", active=True), headers=match).status == 200
    assert installation.fhir("PUT", "Patient/v1", patient(id="v1"), headers=match).code == "HYG-150"
    assert "active" not in installation.fhir("GET", "Patient/v1/_history/1").json
    assert installation.fhir("GET", "Patient/v1", headers={"If-None-Match": 'W/"2"'}).status == 304
    assert installation.fhir("DELETE", "Patient/v1").status == 204
    assert installation.fhir("GET", "Patient/v1").status == 410
    assert installation.fhir("DELETE", "Patient/never").status == 204
    history = installation.fhir("GET", "Patient/v1/_history").json
    assert [e["request"]["method"] for e in history["entry"]] == ["DELETE", "PUT", "PUT"]
    assert installation.fhir("GET", "Patient/never/_history").status == 404


def test_strangers_and_bad_resources(installation: Any) -> None:
    assert installation.fhir("GET", "Patient/x", token="stolen").status == 401
    absent = installation.fhir("GET", "Patient/none")
    other = installation.fhir("GET", "Patient/none", place="other/prod")
    assert (other.status, other.body) == (absent.status, absent.body)
    bad = installation.fhir("POST", "Patient", patient(birthDate="hier"))
    assert (bad.status, bad.json["issue"][0]["expression"]) == (422, ["Patient.birthDate"])
    assert installation.fhir("GET", "Patient?colour=red").code == "HYG-175"


def test_conditional_transaction_then_its_searches(installation: Any) -> None:
    rpps = {"system": "https://rpps.esante.gouv.fr", "value": "10000000001"}
    doctor = {"resourceType": "Practitioner", "id": "d1", "identifier": [rpps]}
    assert installation.fhir("PUT", "Practitioner/d1", doctor).status == 201
    known = patient(identifier=[{"system": "urn:s", "value": "t1"}])
    by = [{"reference": f"Practitioner?identifier={rpps['system']}|{rpps['value']}"}]
    sent = bundle(
        "transaction",
        entry("POST", "Patient", known, PATIENT_URL, ifNoneExist="identifier=urn:s|t1"),
        entry("POST", "Observation", observation(PATIENT_URL, performer=by)),
        entry("GET", "Practitioner/d1"),
    )
    first = installation.fhir("POST", "", sent)
    assert first.status == 200, first.body
    subject = path_of(first.json["entry"][0])
    assert first.json["entry"][2]["resource"]["id"] == "d1"
    again = installation.fhir("POST", "", sent)
    assert again.json["entry"][0]["response"] == {"status": "200 OK", "location": subject}
    query = f"Observation?subject={subject}&performer=Practitioner/d1&_include=Observation:subject&_total=accurate"
    found = installation.fhir("GET", query).json
    assert found["total"] == 2
    assert sorted(e["search"]["mode"] for e in found["entry"]) == ["include", "match", "match"]
    inside = installation.fhir("GET", f"{subject}/Observation?code=http://loinc.org|718-7&_count=1").json
    assert len(inside["entry"]) == 1
    assert any(link["relation"] == "next" for link in inside["link"])
    whole = installation.fhir("GET", f"{subject}/$everything").json
    assert sorted(e["resource"]["resourceType"] for e in whole["entry"]) == ["Observation", "Observation", "Patient"]
    broken = bundle("transaction", entry("POST", "Patient", patient()), entry("POST", "Observation", patient()))
    refused = installation.fhir("POST", "", broken)
    assert refused.json["issue"][0]["expression"] == ["Bundle.entry[1].resource"]
    dangling = bundle("transaction", entry("POST", "Observation", observation("Patient?identifier=urn:s|nobody")))
    assert installation.fhir("POST", "", dangling).code == "HYG-152"
    mixed = bundle("batch", entry("GET", subject), entry("POST", "Patient", patient(gender="X")))
    statuses = [e["response"]["status"][:3] for e in installation.fhir("POST", "", mixed).json["entry"]]
    assert statuses == ["200", "422"]


def test_binary_streamed_and_read_by_ranges(installation: Any) -> None:
    data = os.urandom(9_000_001)
    headers = {"Content-Type": "application/dicom", "X-Security-Context": "Patient/b1"}
    assert installation.fhir("PUT", "Patient/b1", patient(id="b1")).status == 201
    made = installation.fhir("POST", "Binary", data, headers=headers)
    assert made.status == 201, made.body
    path = made.headers["location"].partition("/fhir/")[2].partition("/_history")[0]
    got = installation.fhir("GET", path)
    assert (got.headers["content-type"], got.body == data) == ("application/dicom", True)
    part = installation.fhir("GET", path, headers={"Range": "bytes=4194300-4194309"})
    assert (part.status, part.body) == (206, data[4194300:4194310])
    assert installation.fhir("GET", path, headers={"Range": "bytes=9000001-"}).status == 416
    assert installation.fhir("GET", path, headers=JSON).status == 406  # over 8 MiB it does not fit in JSON
    small = installation.fhir("PUT", "Binary/s1", b"abc", headers={"Content-Type": "text/plain"})
    assert small.status == 201
    assert installation.fhir("GET", "Binary/s1", headers=JSON).json["data"] == "YWJj"


@pytest.mark.skipif(not SYNTHEA.exists(), reason="the shared FHIR data are not here")
def test_a_synthea_bundle_is_read_back_equal(installation: Any) -> None:
    raw = sorted(Path(SYNTHEA).iterdir())[3].read_bytes()
    sent = json.loads(gzip.decompress(raw))["entry"]
    reply = installation.fhir("POST", "", raw, headers={"Content-Encoding": "gzip"})
    assert reply.status == 200, reply.body
    addresses = {s["fullUrl"]: path_of(e) for s, e in zip(sent, reply.json["entry"], strict=True)}
    for before, after in list(zip(sent, reply.json["entry"], strict=True))[:40]:
        text = json.dumps(before["resource"])
        for url, address in addresses.items():
            text = text.replace(f'"reference": "{url}"', f'"reference": "{address}"')
        stored = installation.fhir("GET", path_of(after)).json
        expected = json.loads(text)
        meta = {k: v for k, v in stored.pop("meta").items() if k not in {"versionId", "lastUpdated"}}
        assert meta == expected.pop("meta", {})
        assert stored | {"id": ""} == expected | {"id": ""}
