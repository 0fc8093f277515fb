"""Erase, rotate and scrub by their commands, on an installation that serves meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hygie.journal.checkpoint import VerifierKey, verify_checkpoint
from hygie.journal.errors import CheckpointInvalidError
from hygie.keys.erasure import verify_certificate
from tests.acceptance.conftest import Installation

INSTRUCTION = (
    *("--controller", "CHU de Test", "--instructed-by", "dpo.test", "--basis", "rgpd-17-1-b"),
    *("--reference", "2026-17", "--retention-checked-by", "chief", "--retention-note", "none"),
)
PLANTED = "Quetzalcoatline"


@pytest.fixture(scope="module")
def filled(installation: Installation) -> Installation:
    """Three patients with an observation each."""
    for number in range(3):
        body: dict[str, Any] = {
            "resourceType": "Patient",
            "id": f"k{number}",
            "name": [{"family": f"{PLANTED}{number}"}],
        }
        assert installation.fhir("PUT", f"Patient/k{number}", body).status == 201
        body = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": f"Patient/k{number}"},
        }
        assert installation.fhir("POST", "Observation", body).status == 201
    return installation


def family(made: Installation, number: int) -> str:
    return str(made.fhir("GET", f"Patient/k{number}").json["name"][0]["family"])


def test_an_erasure_without_its_confirmation_or_its_instruction_does_nothing(filled: Installation) -> None:
    refused = filled.hygie("erase", "chu", "prod", "k0", *INSTRUCTION, exit_code=10)
    assert refused["error"]["code"] == "HYG-190"
    refused = filled.hygie("erase", "chu", "prod", "k0", "--controller", "CHU", "--confirm", "k0", exit_code=10)
    assert refused["error"]["code"].startswith("HYG-1")
    refused = filled.hygie("erase", "chu", "prod", "nobody", *INSTRUCTION, "--confirm", "nobody", exit_code=30)
    assert refused["error"]["code"] == "HYG-300"
    assert family(filled, 0) == f"{PLANTED}0"
    assert filled.hygie("erase", "chu", "prod", "--list") == []


def test_a_patient_is_erased_with_a_certificate_that_anyone_verifies(filled: Installation) -> None:
    assert family(filled, 0) == f"{PLANTED}0"  # its key is now in the hosting process's memory
    done = filled.hygie("erase", "chu", "prod", "k0", *INSTRUCTION, "--confirm", "k0")
    assert done["objects"] == 2
    gone = filled.fhir("GET", "Patient/k0")
    assert (gone.status, gone.code) == (410, "HYG-351")
    assert filled.fhir("GET", "Observation?patient=k0").json.get("entry", []) == []
    assert filled.fhir("GET", f"Patient?family={PLANTED}0").json.get("entry", []) == []
    assert family(filled, 1) == f"{PLANTED}1"
    paper = Path(done["certificate"])
    assert paper.stat().st_mode & 0o077 == 0
    signed = json.loads(paper.read_text())
    certificate = verify_certificate(paper.read_bytes(), public_keys=[bytes.fromhex(signed["public_key"])])
    assert certificate.tokens_vacuumed_at_ms is not None
    assert certificate.unreadable_in_every_copy_at_ms is None
    assert "k0" not in json.dumps(signed["certificate"]).split('"')
    (listed,) = filled.hygie("erase", "chu", "prod", "--list")
    assert listed["erasure"] == certificate.erasure_id
    # the same patient may come again
    assert filled.fhir("PUT", "Patient/k0", {"resourceType": "Patient", "id": "k0"}).status in (200, 201)


def test_the_end_of_the_epoch_dates_the_certificate(filled: Installation) -> None:
    refused = filled.hygie("rotate", "epoch", "chu", "prod", "--destroy-older", exit_code=10)
    assert refused["error"]["code"] == "HYG-190"
    turned = filled.hygie("rotate", "epoch", "chu", "prod")
    assert turned["epoch"] == 2
    assert turned["destroyed"] == []
    ended = filled.hygie("rotate", "epoch", "chu", "prod", "--destroy-older", "--confirm", "chu/prod")
    assert (ended["epoch"], ended["destroyed"]) == (3, [1, 2])
    (listed,) = filled.hygie("erase", "chu", "prod", "--list")
    assert listed["key_destroyed_ms"] is not None
    for number in (1, 2):
        assert family(filled, number) == f"{PLANTED}{number}"
    assert filled.fhir("PUT", "Patient/k9", {"resourceType": "Patient", "id": "k9"}).status == 201
    assert len(list((filled.data / "sites").glob("*/ledger/*/00000003"))) == 3
    assert not list((filled.data / "sites").glob("*/ledger/*/00000001"))


def test_every_key_is_replaced_and_nothing_is_encrypted_again(filled: Installation) -> None:
    packs = {path: path.read_bytes() for path in (filled.data / "sites").rglob("*.pack")}
    assert packs
    for words in (("root",), ("tenant", "chu"), ("environment", "chu", "prod")):
        assert filled.hygie("rotate", *words)["rotated"]
    for purpose in ("backup", "erasure", "drill"):
        assert len(bytes.fromhex(filled.hygie("rotate", "signing", "--purpose", purpose)["public_key"])) == 32
    assert filled.hygie("rotate", "signing", "--purpose", "moon", exit_code=10)["error"]["code"] == "HYG-100"
    assert filled.hygie("rotate", "tenant", "nobody", exit_code=30)["error"]["code"] == "HYG-300"
    assert family(filled, 1) == f"{PLANTED}1"
    assert all(path.read_bytes() == data for path, data in packs.items())
    filled.down()
    filled.up()
    assert family(filled, 1) == f"{PLANTED}1"
    assert filled.fhir("PUT", "Patient/k8", {"resourceType": "Patient", "id": "k8"}).status == 201


def test_a_new_signing_key_of_the_journal_is_followed_by_the_witness(filled: Installation, tmp_path: Path) -> None:
    former = (filled.data / "witness" / "log.key").read_text()
    filled.hygie("rotate", "signing", "--purpose", "journal")
    filled.down()
    filled.up()
    present = (filled.data / "witness" / "log.key").read_text()
    assert present != former
    assert (filled.data / "witness" / "former.keys").read_text() == former
    assert filled.fhir("PUT", "Patient/k7", {"resourceType": "Patient", "id": "k7"}).status == 201
    assert family(filled, 2) == f"{PLANTED}2"

    def signed_anew() -> bool:
        notes = [path.read_bytes() for path in (filled.data / "sites").glob("*/journal/checkpoint")]
        return len(notes) == 3 and all(is_signed(note, present) for note in notes)

    filled.wait_for(signed_anew)
    export = tmp_path / "export.zip"
    filled.hygie("journal", "export", str(export))
    keys = ("--key", present.strip(), "--witness", str(filled.data / "witness" / "witness.pub"))
    report = filled.hygie("verify", str(export), *keys)
    assert report["whole"]
    assert report["witness_key_trusted"]


def test_a_flipped_byte_is_named_and_mended_and_a_second_reading_is_clean(filled: Installation) -> None:
    victim = sorted((filled.data / "sites" / "lille").rglob("*.pack"))[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    lost = sorted((filled.data / "sites" / "lyon").rglob("*.pack"))[-1]
    named = filled.hygie("scrub", "--dry")
    name = str(victim.relative_to(filled.data / "sites" / "lille"))
    assert named["damaged"] == [["lille", name, "altered"]]
    assert named["mended"] == []
    lost.unlink()
    report = filled.hygie("scrub")
    assert not report["clean"]
    assert ["lille", name] in report["mended"]
    assert victim.read_bytes() == whole
    again = filled.wait_for(lambda: (found := filled.hygie("scrub"))["clean"] and found)
    assert again["checked"] == report["checked"]
    for site in ("lille", "lyon", "paris"):
        path = filled.data / "sites" / site / name
        path.write_bytes(b"nothing is left")
    assert filled.hygie("scrub", exit_code=50)["error"]["code"] == "HYG-595"
    victim.write_bytes(whole)
    assert filled.hygie("scrub")["lost"] == []


def test_everything_of_it_is_in_the_journal(filled: Installation) -> None:
    wanted = {"patient:erase", "key:rotate", "site:scrub"}
    filled.wait_for(lambda: wanted <= actions(filled))


def actions(made: Installation) -> set[str]:
    """Actions of the newest entries, of the platform and of every client."""
    shown = made.hygie("journal", "show", "--limit", "500")
    entries = shown["entries"] if isinstance(shown, dict) else shown
    return {str(entry.get("action")) for entry in entries}


def is_signed(note: bytes, key: str) -> bool:
    """Whether this key of the journal signed a checkpoint."""
    try:
        verify_checkpoint(note, log_key=VerifierKey.parse(key.strip()))
    except CheckpointInvalidError:
        return False
    return True
