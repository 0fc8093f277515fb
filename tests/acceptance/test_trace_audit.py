"""The yearly audit of access traces, as an auditor does it."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.acceptance.conftest import Installation


def test_a_sample_is_drawn_matched_and_reported(installation: Installation, tmp_path: Path) -> None:
    made = installation
    for number in range(6):
        body = {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": "Secretdejeanne"}]}
        assert made.fhir("PUT", f"Patient/p{number}", body, headers={"X-Purpose-Of-Use": "TREAT"}).status == 201
    assert made.fhir("GET", "Patient/p1", headers={"X-Purpose-Of-Use": "TREAT"}).status == 200
    assert made.fhir("GET", "Patient/p2").status == 200  # without a purpose
    assert made.fhir("GET", "Patient/p3", token="hyg_nobody").status == 401
    made.journal_published()
    report = tmp_path / "audit.csv"
    words = ("traces", "audit", "chu", "--seed", "dice 4 2 6 1 3 5")
    done = made.hygie(*words, "--to", str(report), "--sample", "1000")
    assert done["reasons"]["purpose"] == 1
    rows = list(csv.reader(report.read_text().splitlines(), delimiter=";"))
    assert len(rows) - 1 == len(done["sample"]) == done["accesses"]
    assert done["justified"] + len(done["to_explain"]) == len(done["sample"])
    (unexplained,) = [row for row in rows[1:] if row[-1] == "no purpose was stated"]
    assert (unexplained[2], unexplained[3]) == ("app", "object:read")
    assert "Secretdejeanne" not in report.read_text()
    few = made.hygie(*words, "--to", str(tmp_path / "few.csv"), "--sample", "3")
    assert len(few["sample"]) == 3
    assert (
        made.hygie(*words, "--to", str(report), exit_code=10)["error"]["code"] == "HYG-100"
    )  # one is never overwritten
    short = ("traces", "audit", "chu", "--seed", "x", "--to", str(tmp_path / "short.csv"))
    assert made.hygie(*short, exit_code=10)["error"]["code"] == "HYG-100"
    made.journal_published()
    told = made.hygie("journal", "show", "--action", "journal:read", "--limit", "1")[0]
    assert told["detail"]["audit"] == "traces"
    assert (told["detail"]["since"], told["detail"]["until"]) == (few["since"], str(few["until"]))
    # Later, among more accesses, what was told draws the same sample again.
    for number in range(6):
        assert made.fhir("GET", f"Patient/p{number}", headers={"X-Purpose-Of-Use": "TREAT"}).status == 200
    made.journal_published()
    bounds = ("--since", told["detail"]["since"], "--until", told["detail"]["until"])
    again = made.hygie(*words, "--to", str(tmp_path / "again.csv"), "--sample", "3", *bounds)
    assert (again["sample"], again["accesses"]) == (few["sample"], few["accesses"])
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "few.csv").read_text()
    more = made.hygie(*words, "--to", str(tmp_path / "more.csv"), "--sample", "1000")
    assert more["accesses"] > few["accesses"]
    beyond = (*words, "--to", str(tmp_path / "beyond.csv"), "--until", "1000000")
    assert made.hygie(*beyond, exit_code=10)["error"]["code"] == "HYG-100"
