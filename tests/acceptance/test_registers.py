"""Registers and files by the commands that people type, on an installation that runs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.conftest import Installation

STAFF = """\
Nom et prénom;Courriel;Employeur;Fonction;Arrivée;Matricule
Anne Martin;anne@example.fr;Hygie;RSSI;05/01/2026;0017
Paul Durand;paul@example.fr;Hygie;Exploitant;01/02/2026;0018
"""


def test_a_register_goes_in_and_out_of_files_and_says_what_is_late(installation: Installation, tmp_path: Path) -> None:
    staff = tmp_path / "personnel.csv"
    words = ("register", "import", "person", str(staff), "--map", "Matricule=")

    staff.write_text(STAFF + "Luc Petit;luc@example;Hygie;284058819102552;31/02/2026;3\n")
    refused = installation.run(*words, language="fr")
    assert refused.returncode == 10
    for field in ("email", "function", "starts_on"):
        assert f"4      {field}" in refused.stdout
    assert "284058819102552" not in refused.stdout + refused.stderr
    assert "Fautes : 3" in refused.stderr
    assert installation.hygie(*words, "--check", exit_code=10)["error"]["code"] == "HYG-1A5"

    staff.write_text(STAFF)
    assert installation.hygie(*words, "--check") == {"faults": 0, "rows": 2}
    assert installation.hygie(*words) == {"new": 2, "changed": 0, "unchanged": 0}
    assert installation.hygie(*words) == {"new": 0, "changed": 0, "unchanged": 2}

    request = (
        "reference=D-1",
        "right=access",
        "channel=person",
        "medical_file=no",
        "received_on=2020-01-31",
        "handler=PER-0001",
    )
    installation.hygie("register", "add", "rights-request", *request, "--tenant", "chu")
    due = {one["clock"]: one for one in installation.hygie("register", "due", "rights-request")}
    assert (due["answer"]["due"], due["answer"]["progress"], due["answer"]["who"]) == (
        "2020-02-29",
        "late",
        "controller",
    )
    assert "RGPD 12.3" in due["answer"]["source_fr"]
    for words in (("rights-request",), ("rights-request", "RRQ-0001")):
        shown = installation.run("register", "show", *words, language="fr").stdout
        assert ("Accès (15)" in shown) == (len(words) == 2)
        assert "channel" not in shown

    for form in ("csv", "xlsx", "json", "pdf"):
        file = tmp_path / f"people.{form}"
        done = installation.hygie("register", "export", "person", str(file))
        assert (done["records"], done["size"]) == (2, file.stat().st_size)
        if form != "pdf":
            again = installation.hygie("register", "import", "person", str(file))
            assert again == {"new": 0, "changed": 0, "unchanged": 2}
    assert json.loads((tmp_path / "people.json").read_text())["records"][0]["key"] == "PER-0001"
    gone = installation.run("register", "export", "person", str(tmp_path / "people.ods"))
    assert (gone.returncode, "HYG-1A6" in gone.stderr) == (10, True)

    template = tmp_path / "risques.xlsx"
    installation.hygie("register", "template", "risk", str(template))
    assert installation.hygie("register", "import", "risk", str(template)) == {"new": 0, "changed": 0, "unchanged": 0}
    installation.hygie("register", "verify")


def test_a_cycle_is_judged_on_the_day_that_is_named_and_says_what_its_programme_lacks(
    installation: Installation,
) -> None:
    assert installation.hygie("certification", "programme", exit_code=30)["error"]["code"] == "HYG-391"
    installation.hygie("certification", "record", "application", "first", "--on", "2030-06-30")
    for day, state in (("2030-06-29", "not_started"), ("2030-06-30", "candidate")):
        found = installation.hygie("certification", "show", "--at", day)
        assert (found["at"], [one["state"] for one in found["cycles"]]) == (day, [state])
    assert installation.hygie("perimeter", "show", "--at", "2030-06-30")["on"] == "2030-06-30"
    assert installation.run("certification", "calendar", "--at", "9999-12-31").returncode == 2
    asked = installation.hygie("certification", "programme")
    assert (asked["cycle"], asked["audits"]) == ("first", [])
    assert asked["gaps"] == [["aucun certificat : rien à programmer", "no certificate: nothing to plan"]]
    planned = (
        "kind=isms",
        "title=SMSI",
        "scope=tout",
        "planned_on=2026-09-01",
        "auditor=Anne Martin",
        "independent=yes",
    )
    installation.hygie("register", "add", "internal-audit", *planned, "requirements=EXI-05.D.a;EXI-16")
    (audit,) = installation.hygie("certification", "programme")["audits"]
    assert (audit["kind"], audit["requirements"]) == ("internal_conformity", ["EXI-05", "EXI-16"])
    assert "aucun certificat" in installation.run("certification", "programme", language="fr").stderr


def test_a_referential_that_is_imported_is_in_the_journal_first(installation: Installation) -> None:
    words = ("referential", "import", str(Path(__file__).parents[1] / "data" / "referentials" / "older.yaml"))
    assert installation.hygie(*words, "--check")["written"] is False
    digest = installation.hygie(*words)["sha256"]
    assert installation.hygie(*words)["written"] is False  # nothing was done: nothing is said
    shown = ("journal", "show", "--action", "referential:import", "--limit", "9")
    installation.wait_for(lambda: len(installation.hygie(*shown)) == 2)
    entries = installation.hygie(*shown)
    assert {one["outcome"] for one in entries} == {"intent", "done"}
    assert entries[0]["detail"] == {"referential": "clinic-basics@2", "sha256": digest}
    assert entries[0]["account"].startswith("local:")
    stored = installation.data / "referentials" / "clinic-basics@2.json"
    held = stored.read_bytes()
    stored.unlink()
    installation.down()
    try:
        assert installation.hygie(*words, exit_code=40)["error"]["code"].startswith("HYG-4")
        assert not stored.exists()  # what cannot be journaled is not done
    finally:
        installation.up()
    installation.hygie(*words)
    assert stored.read_bytes() == held
