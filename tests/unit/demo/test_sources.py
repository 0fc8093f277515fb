"""Anyone's files become transactions; what cannot be read says why and stops nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from hygie.demo.sources import GROUP_ENTRIES, Parcel, files_to_load, parcels

PATIENT = b'{"resourceType":"Patient","id":"p1","multipleBirthInteger":2,"note":5.40}'


def of(path: Path) -> list[Parcel]:
    return list(parcels(path, path.name))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def test_files_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("a.json", "b.json.gz", "below/c.ndjson", "d.ndjson.gz", "e.txt", "f.xml"):
        (tmp_path / name).touch()
    assert [path.name for path in files_to_load(tmp_path)] == ["a.json", "b.json.gz", "c.ndjson", "d.ndjson.gz"]


def test_a_transaction_goes_as_it_is_byte_for_byte(tmp_path: Path) -> None:
    raw = b'{"type" : "transaction", "resourceType":"Bundle","entry":[{"resource":%s,"request":{}}]}' % PATIENT
    for name in ("a.json", "a.json.gz"):
        (parcel,) = of(write(tmp_path / name, raw))
        assert (parcel.body, parcel.refused) == (raw, "")


def test_another_bundle_becomes_a_transaction_with_its_own_ids_and_digits(tmp_path: Path) -> None:
    raw = (
        b'{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":%s},'
        b'{"resource":{"resourceType":"Basic"}}]}' % PATIENT
    )
    (parcel,) = of(write(tmp_path / "a.json", raw))
    entries = json.loads(parcel.body)["entry"]
    assert [entry["request"] for entry in entries] == [
        {"method": "PUT", "url": "Patient/p1"},
        {"method": "POST", "url": "Basic"},
    ]
    assert entries[0]["fullUrl"] == "urn:uuid:1"
    assert PATIENT in parcel.body


def test_a_resource_alone_and_lines_of_resources_are_taken(tmp_path: Path) -> None:
    (alone,) = of(write(tmp_path / "a.json", PATIENT))
    assert alone.resources == 1
    line = b'{"resourceType":"Basic","type":{"text":"x"}}\n'
    groups = of(write(tmp_path / "b.ndjson.gz", line * (GROUP_ENTRIES + 3) + b"\n"))
    assert [parcel.resources for parcel in groups] == [GROUP_ENTRIES, 3]


def test_a_bad_line_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    found = of(write(tmp_path / "a.ndjson", PATIENT + b'\n{"resourceType"\n{"x":1}\n\xff\n' + PATIENT + b"\n"))
    assert sorted(parcel.refused for parcel in found) == ["", "not FHIR", "not JSON", "not JSON"]
    assert next(parcel for parcel in found if not parcel.refused).resources == 2


def test_bad_files_are_refused_with_their_reason(tmp_path: Path) -> None:
    samples = {
        "a.json": b"",
        "b.json": b"[1,2]",
        "c.json": b'{"some":"thing"}',
        "d.json": b'{"resourceType":"Bundle","type":"collection","entry":7}',
        "e.json": b"\xff\xfe",
        "f.json": b'{"a":' * 5_000,
    }
    reasons = {name: [p.refused for p in of(write(tmp_path / name, raw))] for name, raw in samples.items()}
    assert reasons.pop("c.json") == ["not FHIR"]
    assert set(map(tuple, reasons.values())) == {("not JSON",)}
    (tmp_path / "g.json.gz").write_bytes(b"not gzip at all")
    (tmp_path / "h.json.gz").write_bytes(gzip.compress(PATIENT)[:-9])
    assert [p.refused for name in ("g.json.gz", "h.json.gz") for p in of(tmp_path / name)] == ["unreadable file"] * 2
