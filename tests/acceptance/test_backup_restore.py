"""Backups, restores and drills as people run them: real commands on a real installation."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Installation, free_port

PATIENTS = 8


@pytest.fixture(scope="module")
def filled(installation: Installation) -> Installation:
    """Patients, each with an observation, and a first snapshot."""
    for number in range(PATIENTS):
        body = {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"Zephyrin{number}"}]}
        assert installation.fhir("PUT", f"Patient/p{number}", body).status == 201
        subject = {"reference": f"Patient/p{number}"}
        code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
        body = {"resourceType": "Observation", "status": "final", "code": code, "subject": subject}
        assert installation.fhir("POST", "Observation", body).status == 201
    return installation


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A path for a fresh place."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-r-"))
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


def credential(made: Installation) -> str:
    return str(made.data.parent / "credential")


def measured(made: Installation, kind: str) -> tuple[bool, dict[str, Any]]:
    """The newest measurement of a kind, as ``hygie status`` will read it."""
    import psycopg

    from hygie.app import dsns_of
    from hygie.base.layout import DataFolder
    from hygie.base.settings import load_settings

    with psycopg.connect(dsns_of(load_settings(made.data), DataFolder.at(made.data)).owner) as connection:
        row = connection.execute(
            "SELECT passed, facts FROM hygie.measurement WHERE kind = %s ORDER BY at_ms DESC LIMIT 1", (kind,)
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_a_snapshot_is_taken_listed_and_checked(filled: Installation) -> None:
    taken = filled.hygie("backup", "run")
    assert taken["packs"] >= PATIENTS
    listed = filled.hygie("backup", "list")
    assert listed[0]["snapshot"] == taken["snapshot"]
    checked = filled.hygie("backup", "check")
    assert taken["snapshot"] in checked["snapshots"]
    assert checked["faults"] == []
    assert filled.hygie("backup", "purge")["snapshots"] == []
    assert measured(filled, "backup")[0]


def test_a_restored_place_serves_what_production_had(filled: Installation, fresh: Path) -> None:
    filled.hygie("backup", "run")
    port = free_port()
    words = ("--into", str(fresh), "--credential", credential(filled), "--port", str(port))
    report = filled.hygie("restore", "latest", *words)
    assert report["complete"]
    assert report["resources"] == 2 * PATIENTS
    assert report["journal_entries"] > 0
    place = Installation(fresh, port, token=filled.token)
    try:
        place.up()
        for number in range(PATIENTS):
            path = f"Patient/p{number}"
            assert place.fhir("GET", path).json == filled.fhir("GET", path).json
            search = f"Observation?code=8867-4&patient=p{number}"
            there, here = place.fhir("GET", search).json, filled.fhir("GET", search).json
            assert [e["resource"] for e in there["entry"]] == [e["resource"] for e in here["entry"]]
        body = {"resourceType": "Patient", "id": "only-there"}
        assert place.fhir("PUT", "Patient/only-there", body).status == 201
        assert filled.fhir("GET", "Patient/only-there").status == 404
        # the journal goes on, signed by the successor key and cosigned by the place's own witness
        assert place.hygie("drill", "journal-tamper")["passed"]
        # its rights have their acts in that journal; its KMS began another record of keys
        found = place.hygie("journal", "reconcile")
        assert (found["wrong"], found["cut"], found["compared"]) == ([], [], True)
        assert found["rights"] >= 3
        assert found["anchors"] >= 1
    finally:
        place.down(how=signal.SIGTERM)


def test_a_restore_needs_a_fresh_place_and_the_right_passphrase(filled: Installation, fresh: Path) -> None:
    filled.hygie("backup", "run")
    wrong = fresh.parent / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("une tout autre phrase de passe")
    words = ("restore", "latest", "--into", str(fresh), "--credential")
    error = filled.hygie(*words, str(wrong), exit_code=10)
    assert error["error"]["code"] == "HYG-131"
    assert not fresh.exists()
    fresh.mkdir()
    (fresh / "kept").write_text("of somebody")
    assert filled.hygie(*words, credential(filled), exit_code=10)["error"]["code"] == "HYG-180"
    assert [path.name for path in fresh.iterdir()] == ["kept"]


@pytest.mark.parametrize("kind", ["restore", "site-loss", "key-loss", "journal-tamper"])
def test_a_drill_passes_is_signed_and_on_record(filled: Installation, kind: str) -> None:
    filled.hygie("backup", "run")
    answer = filled.hygie("drill", kind)
    assert answer["passed"]
    report = json.loads(Path(answer["file"]).read_text())
    assert report["report"]["kind"] == kind
    assert report["signature"]
    assert Path(answer["file"]).with_suffix(".txt").exists()
    assert {path.name for path in Path(answer["file"]).parent.iterdir()} == {"report.json", "report.txt"}
    passed, facts = measured(filled, f"drill-{kind}")
    assert passed
    assert facts["drill"] == report["report"]["drill_id"]


def test_a_drill_alone_needs_no_installation(filled: Installation, fresh: Path) -> None:
    filled.hygie("backup", "run")
    sandbox = fresh.parent / "drill"
    sandbox.mkdir()
    elsewhere = Installation(fresh.parent / "nothing-here", 1)
    words = ("--alone", "--from", str(filled.data / "backup"), "--sandbox", str(sandbox))
    answer = elsewhere.hygie("drill", "restore", *words, "--credential", credential(filled), "--rto-s", "600")
    assert answer["passed"]
    assert not (fresh.parent / "nothing-here").exists()


def test_a_drill_on_a_damaged_backup_fails_and_says_so(filled: Installation) -> None:
    """Last: it damages the target."""
    filled.hygie("backup", "run")
    packs = sorted((filled.data / "backup" / "objects").rglob("*/*"), key=lambda path: path.stat().st_size)
    kept = {path: path.read_bytes() for path in packs}
    try:
        for path in packs:
            path.write_bytes(bytes([kept[path][0] ^ 1]) + kept[path][1:])
        error = filled.hygie("drill", "restore", exit_code=50)
        assert error["error"]["code"] == "HYG-585"
        passed, facts = measured(filled, "drill-restore")
        assert not passed
        assert facts["code"] == "HYG-585"
        assert filled.hygie("backup", "check", exit_code=50)["error"]["code"] == "HYG-582"
    finally:
        for path, data in kept.items():
            path.write_bytes(data)
    assert filled.hygie("backup", "check")["faults"] == []
