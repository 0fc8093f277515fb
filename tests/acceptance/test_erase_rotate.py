"""Erasures, key rotations and scrubs as people run them: real commands on a real installation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hygie.custody import COPIES_MS
from tests.acceptance.conftest import Installation

INSTRUCTION = (
    *("--controller", "CHU", "--instructed-by", "dpo", "--basis", "rgpd-17-1-b", "--reference", "2026-17"),
    *("--retention-checked-by", "chief", "--retention-note", "none"),
)
LOINC = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}


@pytest.fixture(scope="module")
def filled(installation: Installation) -> Installation:
    """Patients of whom some will be erased, each with an observation."""
    for id_ in ("kept", "gone", "last", "typed-by-hand-zq7"):
        assert installation.fhir("PUT", f"Patient/{id_}", {"resourceType": "Patient", "id": id_}).status == 201
        body = {"resourceType": "Observation", "status": "final", "code": LOINC}
        body["subject"] = {"reference": f"Patient/{id_}"}
        assert installation.fhir("POST", "Observation", body).status == 201
    return installation


def erase(made: Installation, id_: str) -> dict[str, object]:
    answer: dict[str, object] = made.hygie("erase", "chu", "prod", id_, *INSTRUCTION, "--confirm", f"chu/prod/{id_}")
    return answer


def found(made: Installation, id_: str) -> int:
    return len(made.fhir("GET", f"Observation?code=8867-4&patient={id_}").json.get("entry", []))


def test_an_erased_patient_is_gone_and_certified(filled: Installation) -> None:
    assert (filled.fhir("GET", "Patient/gone").status, found(filled, "gone")) == (200, 1)
    answer = erase(filled, "gone")
    assert filled.fhir("GET", "Patient/gone").status == 410
    assert (found(filled, "gone"), found(filled, "kept")) == (0, 1)
    assert filled.fhir("GET", "Patient/kept").status == 200
    assert answer["purged_ms"]
    assert not answer["final"]
    paper = Path(str(answer["certificate"]))
    assert paper.stat().st_mode & 0o777 == 0o600
    assert json.loads(paper.read_text())["certificate"]["erasure_id"] == answer["erasure"]
    assert answer["erasure"] in [row["erasure"] for row in filled.hygie("erase", "chu", "prod", "--list")]


def test_the_id_typed_is_nowhere_but_on_the_terminal(filled: Installation) -> None:
    id_ = "typed-by-hand-zq7"
    answer = erase(filled, id_)
    assert id_ not in Path(str(answer["certificate"])).read_text()
    logs = [path.read_text(errors="replace") for path in (filled.data / "logs").rglob("*") if path.is_file()]
    assert logs
    assert not [text for text in logs if id_ in text]
    unconfirmed = filled.run("--json", "erase", "chu", "prod", id_, *INSTRUCTION)
    assert unconfirmed.returncode == 10
    assert "HYG-190" in unconfirmed.stderr
    assert id_ not in unconfirmed.stderr.rsplit("\n{", 1)[-1]


def test_an_unknown_patient_is_not_found(filled: Installation) -> None:
    words = ("erase", "chu", "prod", "nobody", *INSTRUCTION, "--confirm", "nobody")
    assert filled.hygie(*words, exit_code=30)["error"]["code"] == "HYG-300"
    assert filled.fhir("GET", "Patient/kept").status == 200


@pytest.mark.parametrize(
    "words",
    [
        ("root",),
        ("tenant", "chu"),
        ("environment", "chu", "prod"),
        ("epoch", "chu", "prod"),
        ("signing", "--purpose", "backup"),
        ("signing", "--purpose", "erasure"),
    ],
    ids=" ".join,
)
def test_a_rotated_key_changes_nothing_that_is_read(filled: Installation, words: tuple[str, ...]) -> None:
    before = filled.fhir("GET", "Patient/kept").body
    filled.hygie("rotate", *words)
    assert filled.fhir("GET", "Patient/kept").body == before
    assert found(filled, "kept") == 1
    written = filled.fhir("POST", "Patient", {"resourceType": "Patient"})
    assert filled.fhir("GET", f"Patient/{written.json['id']}").body == written.body


def test_destroying_older_epochs_asks_for_a_confirmation(filled: Installation) -> None:
    error = filled.hygie("rotate", "epoch", "chu", "prod", "--destroy-older", exit_code=10)
    assert error["error"]["code"] == "HYG-190"


def test_the_end_of_an_epoch_dates_the_certificate_which_waits_for_the_backup(filled: Installation) -> None:
    filled.hygie("backup", "run")  # its copy of the key state holds the epoch that is about to be destroyed
    erasure = erase(filled, "last")["erasure"]
    turn = filled.hygie("rotate", "epoch", "chu", "prod", "--destroy-older", "--confirm", "chu/prod")
    assert turn["destroyed"]
    (row,) = [one for one in filled.hygie("erase", "chu", "prod", "--list") if one["erasure"] == erasure]
    assert row["key_destroyed_ms"] >= row["unreadable_ms"]
    assert row["due_ms"] == row["key_destroyed_ms"] + COPIES_MS
    assert (row["every_copy_ms"], row["final"]) == (None, False)
    assert filled.fhir("GET", "Patient/last").status == 410
    assert (filled.fhir("GET", "Patient/kept").status, found(filled, "kept")) == (200, 1)
    for site in (filled.data / "sites").iterdir():
        filled.wait_for(lambda site=site: len([p for p in site.rglob("ledger/*/*") if p.is_file()]) == 1)


def test_a_flipped_byte_is_named_and_mended(filled: Installation) -> None:
    pack = max(next(iter(sorted((filled.data / "sites").iterdir()))).rglob("*.pack"))
    right = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(right[:100] + bytes([right[100] ^ 1]) + right[101:])
    report = filled.hygie("scrub")
    assert [one[2] for one in report["damaged"]] == ["altered"]
    assert report["damaged"][0][1].endswith(pack.name)
    assert [one[:2] for one in report["mended"]] == [one[:2] for one in report["damaged"]]
    assert report["lost"] == []
    assert pack.read_bytes() == right
    assert filled.hygie("scrub", "--rate", "50")["clean"]


def test_a_pack_damaged_everywhere_is_lost_and_said_so(filled: Installation) -> None:
    """Last: it damages every copy for a while."""
    first = next(iter(sorted((filled.data / "sites").iterdir())))
    name = max(first.rglob("*.pack")).relative_to(first)
    copies = [path for site in (filled.data / "sites").iterdir() for path in site.rglob(name.name)]
    right = copies[0].read_bytes()
    try:
        for copy in copies:
            copy.chmod(0o600)
            copy.write_bytes(bytes([right[0] ^ 1]) + right[1:])
        error = filled.hygie("scrub", exit_code=50)["error"]
        assert error["exit"] == 50
    finally:
        for copy in copies:
            copy.write_bytes(right)
    assert filled.hygie("scrub")["lost"] == []
