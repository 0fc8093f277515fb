"""A client leaves, as people do it: export, verification at its own, consent, destruction, certificate."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tests.acceptance.conftest import Installation, free_port
from tests.attack.installation import noticed

RAW = bytes(range(256)) * 20_000  # more than one chunk of 4 MiB
ORDER = ("--controller", "CHU", "--instructed-by", "dpo", "--reference", "2026-31", "--approver", "chief")


@dataclass
class Exit:
    """A client that leaves, with its own key."""

    made: Installation
    folder: Path
    identity: Path
    recipient: str

    def export(self, name: str, *words: str, exit_code: int = 0) -> Any:
        asked = ("exit", "export", "chu", "--to", str(self.folder / name), "--recipient", self.recipient)
        return self.made.hygie(*asked, *ORDER, *words, exit_code=exit_code)

    def verify(self, name: str, *words: str, exit_code: int = 0) -> Any:
        asked = ("exit", "verify", str(self.folder / name), "--identity", str(self.identity))
        return self.made.hygie(*asked, *words, exit_code=exit_code)

    def published(self) -> tuple[str, ...]:
        """The host's keys as it published them."""
        pem = self.folder / "published.pem"
        pem.write_text(self.made.hygie("exit", "key")["key"])
        keys = self.made.hygie("journal", "key")
        return ("--key", str(pem), "--log-key", keys["log"], "--witness-key", keys["witness"])


@pytest.fixture(scope="module")
def leaving(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Exit:
    """Two tenants with patients, histories, deletions, contents; an officer of the first one; its key."""
    made = installation
    for words in (
        ("account", "create", "dpo", "--kind", "person"),
        ("tenant", "create", "other"),
        ("environment", "create", "other", "prod", "--kind", "production"),
        ("environment", "create", "chu", "test", "--kind", "test"),
    ):
        made.hygie(*words)
    for environment in ("prod", "test"):
        words = ("--role", "privacy-officer", "--reason", "exit", "--approver", "chief")
        made.hygie("habilitation", "grant", "dpo", "chu", environment, *words)
    fill(made)
    folder = tmp_path_factory.mktemp("client")
    own = pyrage.x25519.Identity.generate()
    identity = folder / "key.txt"
    identity.write_text(f"# of the client\n{own}\n")
    return Exit(made, folder, identity, str(own.to_public()))


def fill(made: Installation) -> None:
    """Three patients (one erased), an observation each, one with a history, one deleted, a raw content."""
    for id_ in ("anna", "bruno", "erased"):
        body = {"resourceType": "Patient", "id": id_, "name": [{"family": f"Zephyrin-{id_}"}]}
        assert made.fhir("PUT", f"Patient/{id_}", body).status == 201
        code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
        subject = {"reference": f"Patient/{id_}"}
        for number in (1, 2):
            body = {"resourceType": "Observation", "id": f"{id_}-{number}", "status": "final", "code": code}
            assert made.fhir("PUT", f"Observation/{id_}-{number}", body | {"subject": subject}).status == 201
    for status in ("amended", "corrected"):
        body = {"resourceType": "Observation", "id": "anna-1", "status": status, "code": code}
        assert made.fhir("PUT", "Observation/anna-1", body | {"subject": {"reference": "Patient/anna"}}).status == 200
    assert made.fhir("DELETE", "Observation/bruno-2").status in (200, 204)
    answer = made.fhir("PUT", "Binary/scan", RAW, headers={"Content-Type": "application/pdf"})
    assert answer.status == 201
    instruction = ("--controller", "CHU", "--instructed-by", "dpo", "--basis", "rgpd-17-1-b", "--reference", "1")
    checked = ("--retention-checked-by", "chief", "--confirm", "erased")
    made.hygie("erase", "chu", "prod", "erased", *instruction, *checked)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_client_gets_back_everything_and_verifies_it(leaving: Exit) -> None:
    done = leaving.export("full")
    assert done["complete"]
    assert noticed(leaving.made, "bulk-export")["level"] == "high"
    found = leaving.verify("full", *leaving.published(), "--into", str(leaving.folder / "clear"))
    assert found["resources"]["prod"] == {"Binary": 1, "Observation": 3, "Patient": 2}
    assert (found["complete"], found["key_trusted"], found["log_key_trusted"]) == (True, True, True)
    assert found["versions"] == done["resources"]
    clear = leaving.folder / "clear" / "prod"
    patients = {one["id"]: one for one in lines(clear / "current" / "Patient.00001.ndjson")}
    assert patients["anna"] == leaving.made.fhir("GET", "Patient/anna").json
    entries = [e for b in lines(clear / "history" / "Observation.00001.ndjson") for e in b["entry"]]
    told = [(e["request"]["method"], e["response"]["etag"]) for e in entries if e["request"]["url"].endswith("anna-1")]
    assert told == [("PUT", 'W/"1"'), ("PUT", 'W/"2"')]
    assert ("DELETE", "Observation/bruno-2") in [(e["request"]["method"], e["request"]["url"]) for e in entries]
    (content,) = lines(clear / "contents" / "Binary.00001.ndjson")
    assert content["contentType"] == "application/pdf"
    assert (leaving.folder / "clear" / content["file"]).read_bytes() == RAW


def test_the_traces_are_readable_with_the_names_behind_their_pseudonyms(leaving: Exit) -> None:
    assert leaving.made.fhir("GET", "Patient/bruno").status == 200
    leaving.export("traced")
    clear = leaving.folder / "clear-traced"
    leaving.verify("traced", "--into", str(clear))
    names = {one["is"]: one for one in lines(clear / "prod" / "names" / "Patient.00001.ndjson")}
    table = (clear / "traces" / "access.csv").read_text()
    read = [line for line in table.splitlines() if "object:read" in line and names["Patient/bruno"]["subject"] in line]
    assert read
    assert names["Patient/bruno"]["object"] in read[-1]
    words = [sys.executable, "-m", "hygie.verify", str(clear / "traces" / "journal.zip"), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["disclosed"] == len(table.splitlines()) - 1


def test_what_the_export_read_is_in_the_journal_of_the_client(leaving: Exit) -> None:
    done = leaving.export("journaled")
    shown = leaving.made.wait_for(
        lambda: [
            one
            for one in leaving.made.hygie("journal", "show", "--tenant", "chu", "--action", "object:export")
            if one["detail"].get("export") == done["export"]
        ]
    )
    assert {one["outcome"] for one in shown} >= {"intent"}
    assert {one["detail"]["ordered_by"] for one in shown} == {"dpo"}
    permits = {one["permit_id"] for one in shown}
    every = leaving.made.hygie("journal", "show", "--tenant", "chu", "--action", "object:export", "--limit", "1000")
    reads = [one for one in every if one["permit_id"] in permits and one["kind"] == "access"]
    assert len({one["subject"] for one in reads}) >= 3  # two patients, and the environment's own compartment
    assert sum(one["count"] for one in reads) == done["resources"]
    assert leaving.made.hygie("journal", "reconcile")["orphans"] == []


def test_nothing_of_a_patient_is_readable_in_the_folder(leaving: Exit) -> None:
    leaving.export("closed")
    for path in (leaving.folder / "closed").rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0
            data = path.read_bytes()
            assert b"Zephyrin" not in data
            assert b"anna" not in data
            assert RAW[:1000] not in data


def test_stock_tools_check_and_the_manifest_states_cost_and_delays(leaving: Exit) -> None:
    leaving.export("stock")
    folder = leaving.folder / "stock"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["terms"]) == {"cost", "export_days", "destruction_days", "traces_years"}
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "hygie.pem", "-rawin", "-in", "manifest.json"]
    subprocess.run([*words, "-sigfile", "manifest.sig"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    assert hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest() == manifest["sums_sha256"]
    own = pyrage.x25519.Identity.from_str(leaving.identity.read_text().splitlines()[1])
    for path in folder.rglob("*.age"):
        path.with_suffix("").write_bytes(pyrage.decrypt(path.read_bytes(), [own]))
    subprocess.run(["sha256sum", "--check", "--quiet", "contents.sha256"], cwd=folder, check=True, capture_output=True)


def test_one_environment_alone(leaving: Exit) -> None:
    done = leaving.export("alone", "--environment", "test")
    assert (done["resources"], done["complete"]) == (0, True)
    assert leaving.verify("alone")["resources"] == {"test": {}}


@pytest.fixture(scope="module")
def final(leaving: Exit) -> tuple[str, str]:
    """(number, verification code) of the last export, verified."""
    number = leaving.export("final")["export"]
    return number, leaving.verify("final", *leaving.published())["code"]


def letter(leaving: Exit) -> str:
    path = leaving.folder / "letter.txt"
    path.write_text("Nous avons vérifié l'export et consentons à la destruction.")
    return str(path)


def consent(leaving: Exit, number: str, code: str, *, exit_code: int = 0) -> Any:
    words = ("exit", "consent", "chu", "--export", number, "--by", "Dr A. Bo", "--statement", letter(leaving))
    return leaving.made.hygie(*words, "--code", code, exit_code=exit_code)


def destroy(leaving: Exit, number: str, *words: str, exit_code: int = 0) -> Any:
    asked = ("exit", "destroy", "chu", "--consent", number, "--confirm", "chu", "--approver", "chief")
    return leaving.made.hygie(*asked, *words, exit_code=exit_code)


@contextmanager
def somebody_looks_at(target: Path) -> Iterator[None]:
    """Hold the backup target for some seconds, as whoever looks at what it holds does: it is waited for."""
    descriptor = os.open(target, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    leaves = threading.Timer(6.0, os.close, (descriptor,))
    leaves.start()
    try:
        yield
    finally:
        leaves.join()


def test_consent_needs_the_code_found_inside_and_an_export_of_the_end(leaving: Exit, final: tuple[str, str]) -> None:
    assert consent(leaving, final[0], "0" * 64, exit_code=20)["error"]["code"] == "HYG-2E1"
    assert consent(leaving, final[0], "", exit_code=20)["error"]["code"] == "HYG-2E1"
    assert consent(leaving, "0" * 16, final[1], exit_code=30)["error"]["code"] == "HYG-300"
    asked = leaving.export("asked", "--basis", "return-asked")
    code = leaving.verify("asked")["code"]
    assert consent(leaving, asked["export"], code, exit_code=20)["error"]["code"] == "HYG-2E1"
    alone = leaving.export("part", "--environment", "test")
    code = leaving.verify("part")["code"]
    assert consent(leaving, alone["export"], code, exit_code=20)["error"]["code"] == "HYG-2E3"


def test_what_was_written_since_the_export_is_not_destroyed(leaving: Exit) -> None:
    number = leaving.export("before")["export"]
    code = leaving.verify("before")["code"]
    assert leaving.made.fhir("PUT", "Patient/late", {"resourceType": "Patient", "id": "late"}).status == 201
    assert consent(leaving, number, code, exit_code=20)["error"]["code"] == "HYG-2E3"
    assert leaving.made.fhir("GET", "Patient/late").status == 200


def test_a_client_is_destroyed_certified_and_the_other_one_is_whole(leaving: Exit, tmp_path: Path) -> None:
    made = leaving.made
    words = ("--role", "application", "--reason", "acceptance", "--approver", "chief")
    made.hygie("habilitation", "grant", "app", "other", "prod", *words)
    token = made.hygie("token", "create", "app", "other", "prod")["token"]
    body = {"resourceType": "Patient", "id": "stays"}
    assert made.fhir("PUT", "Patient/stays", body, token=token, place="other/prod").status == 201
    made.hygie("backup", "run")  # its copy of the key state opens what is about to be destroyed
    number = leaving.export("last")["export"]
    code = leaving.verify("last", *leaving.published())["code"]
    given = consent(leaving, number, code)["consent"]
    assert (made.data / "exits" / f"{given}.statement").read_text().startswith("Nous avons")
    with somebody_looks_at(made.data / "backup"):
        done = destroy(leaving, given)
    assert done["final"], json.dumps(done)
    assert set(done["environments"]) == {"prod", "test"}
    paper = json.loads(Path(done["certificate"]).read_text())
    assert paper["certificate"]["statement_sha256"] == hashlib.sha256(Path(letter(leaving)).read_bytes()).hexdigest()
    assert len(paper["certificate"]["remains"]) == 3
    elsewhere = Installation(tmp_path / "nothing-here", 1)
    checked = elsewhere.hygie("verify", done["certificate"], "--key", str(leaving.folder / "published.pem"))
    assert (checked["whole"], checked["final"]) == (True, True)
    forged = tmp_path / "forged.json"
    forged.write_text(Path(done["certificate"]).read_text().replace("chief", "thief"))
    words = ("verify", str(forged), "--key", str(leaving.folder / "published.pem"))
    assert elsewhere.hygie(*words, exit_code=50)["error"]["code"] == "HYG-5E2"
    assert all(one["gone_ms"] for one in paper["certificate"]["sites"])
    (erasure,) = (made.data / "erasures").glob("*.json")  # it waited for the end of its epoch: overtaken
    assert json.loads(erasure.read_text())["certificate"]["unreadable_in_every_copy_at_ms"] == done["every_copy_ms"]
    assert made.fhir("GET", "Patient/anna").status in (401, 404)
    states = {(one["tenant"], one["environment"]): one["state"] for one in made.hygie("environment", "list")}
    assert states["chu", "prod"] == states["chu", "test"] == "destroyed"
    for environment in paper["certificate"]["environments"]:
        left = [path for path in (made.data / "sites").rglob("*") if environment["id"] in str(path) and path.is_file()]
        assert [path for path in left if "erased" not in path.parts] == []
    read = made.fhir("GET", "Patient/stays", token=token, place="other/prod")
    assert (read.status, read.json["id"]) == (200, "stays")
    assert made.hygie("backup", "check")["faults"] == []
    assert made.hygie("scrub")["clean"]
    (row,) = [one for one in made.hygie("exit", "list", "chu") if one["export"] == number]
    assert (row["consent"], row["final"]) == (given, True)
    assert destroy(leaving, given, exit_code=20)["error"]["code"] == "HYG-2E4"
    outcomes = made.wait_for(
        lambda: [
            one["outcome"] for one in made.hygie("journal", "show", "--tenant", "chu", "--action", "tenant:destroy")
        ]
    )
    assert {"intent", "done"} <= set(outcomes)
    assert made.hygie("journal", "reconcile")["wrong"] == []


def test_neither_a_restored_backup_nor_a_rebuild_brings_the_client_back(leaving: Exit, tmp_path: Path) -> None:
    """Last: it stops the installation."""
    made = leaving.made
    snapshots = [one["snapshot"] for one in made.hygie("backup", "list")]
    assert len(snapshots) >= 2
    credential = str(made.data.parent / "credential")
    for rank, snapshot in enumerate((snapshots[0], snapshots[-1])):
        into = tmp_path / f"restored-{rank}"
        words = ("--into", str(into), "--credential", credential, "--port", str(free_port()))
        report = made.hygie("restore", snapshot, *words)
        assert len(report["environments"]) == 1
        assert report["resources"] == (1 if rank == 0 else report["resources"])
    made.down()
    shutil.rmtree(made.data / "postgres")
    (made.data / "postgres.secrets").unlink()
    report = made.hygie("rebuild", "--from", "paris")
    assert "chu" not in json.dumps(report)
    made.up()
    assert made.fhir("GET", "Patient/anna").status in (401, 404)
    states = {(one["tenant"], one["environment"]): one["state"] for one in made.hygie("environment", "list")}
    assert states["chu", "prod"] == "destroyed"
    assert states["other", "prod"] == "open"
    assert [one["final"] for one in made.hygie("exit", "list", "chu") if one["consent"]] == [True]
