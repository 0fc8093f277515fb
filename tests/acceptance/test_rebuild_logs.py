"""Registers and evidence survive the database: from one site, from a backup, and what lacks is said by its number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Installation

SITE = "lyon"
PERSON = ("employer=Hygie", "function=RSSI", "starts_on=2026-01-05")


@pytest.fixture(scope="module")
def filled(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Two people with a kept file, and one evaluation or more."""
    minutes = tmp_path_factory.mktemp("kept") / "minutes.pdf"
    minutes.write_bytes(b"%PDF-1.7 minutes")
    installation.hygie("register", "attach", str(minutes))
    installation.hygie("register", "add", "person", "name=Anne Martin", *PERSON)
    installation.hygie("register", "add", "person", "name=Paul Durand", *PERSON)
    installation.hygie("posture", "--now")
    return installation


def heads(made: Installation) -> dict[str, Any]:
    return {log: made.hygie(log, "verify") for log in ("register", "evidence")}


def published(made: Installation) -> None:
    """Wait until the site has every write of registers."""
    records = made.hygie("register", "verify")["writes"]
    made.wait_for(lambda: any(int(path.name[-12:]) >= records for path in segments(made, "records")))


def segments(made: Installation, log: str) -> list[Path]:
    return sorted((made.data / "sites" / SITE / "proof" / log).glob("*-*"))


def lose_database(made: Installation) -> None:
    made.down()
    shutil.rmtree(made.data / "postgres")


def people(made: Installation) -> list[dict[str, Any]]:
    return list(made.hygie("register", "show", "person"))


def test_both_logs_come_back_from_one_site_and_go_on(filled: Installation) -> None:
    published(filled)
    before, listed = heads(filled), people(filled)
    assert before["register"]["writes"] == before["register"]["named"] == 2
    assert before["evidence"]["writes"] >= 1
    lose_database(filled)
    report = filled.hygie("rebuild", "--from", SITE)
    assert report["whole"]
    assert report["logs"]["rows"]["records"] == 2
    assert report["logs"]["rows"]["batches"] >= before["evidence"]["writes"]
    assert report["logs"]["files"] >= 2
    filled.up()
    assert people(filled) == listed
    after = heads(filled)
    assert after["register"] == before["register"]
    assert after["evidence"]["writes"] >= before["evidence"]["writes"]
    assert filled.hygie("posture")["requirements"]
    filled.hygie("register", "add", "person", "name=Zoé Petit", *PERSON)
    assert filled.hygie("register", "verify")["writes"] == 3


def test_a_restore_brings_them_back(filled: Installation, tmp_path: Path) -> None:
    filled.hygie("backup", "run")
    before = filled.hygie("register", "verify")
    credential = filled.data.parent / "credential"
    words = ("--into", str(tmp_path / "new"), "--credential", str(credential))
    report = filled.hygie("restore", "latest", *words)
    assert report["complete"]
    assert report["logs"]["rows"]["records"] == before["writes"]
    assert report["logs"]["rows"]["batches"] >= 1


def test_what_the_journal_names_and_no_site_has_is_said_by_its_number(filled: Installation) -> None:
    published(filled)
    lost = filled.hygie("register", "verify")["writes"] + 1
    lose_after(filled, lambda: filled.hygie("register", "add", "person", "name=Luc Moreau", *PERSON), lost)
    done = filled.run("--json", "rebuild", "--from", SITE)
    assert done.returncode == 50
    assert f"records {lost}" in done.stderr
    report = json.loads(done.stdout)
    assert report["logs"]["lacking"]["records"] == [[lost, lost]]
    filled.up()
    filled.hygie("register", "add", "person", "name=Luc Moreau", *PERSON)
    refused = filled.hygie("register", "verify", exit_code=50)["error"]
    assert refused["code"] == "HYG-596"
    assert str(lost) in refused["message"]
    (entry,) = [
        one
        for one in filled.hygie("journal", "show", "--action", "vault:rebuild", "--limit", "1")
        if one["outcome"] == "done"
    ]
    assert entry["detail"]["lacking_records"] == f"{lost}-{lost}"


def lose_after(made: Installation, act: Any, number: int) -> None:
    """Lose the database with a write that the journal names and no site was ever given."""
    act()
    made.journal_published(SITE)
    lose_database(made)
    for site in (made.data / "sites").iterdir():
        for path in (site / "proof" / "records").glob(f"*-{number:012d}"):
            assert path.name.startswith(f"{number:012d}"), "published with others"
            path.unlink()
