"""Incidents of a running installation: clocks, notices, evidence, what closing takes, who is on duty."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hygie.app import open_house, opened
from hygie.base.channels import FileSettings, StepSettings
from hygie.probes.archives import probe_archives
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, entries

NOTICED_S = 30.0
PERSON = ("employer=Hygie", "function=RSSI", "starts_on=2026-01-05")

SOC = """
title: Somebody reads
id: 5b1ad1a4-6e31-4a0c-9d1f-0d7e1d4e9a02
level: medium
logsource: {product: hygie, service: journal}
detection:
  one:
    action: object:read
    outcome: done
  condition: one
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    rules = tmp_path_factory.mktemp("rules")
    (rules / "soc.yml").write_text(SOC)
    channels = (FileSettings(name="anne", path="anne.jsonl"), FileSettings(name="paul", path="paul.jsonl"))
    steps = (StepSettings(levels=("high",), channels=("rota",)),)
    with attacked(rules=rules, channels=channels, escalation=steps) as made:
        made.hygie("register", "add", "person", "name=Anne Martin", *PERSON)
        yield made


def at(hours: float) -> str:
    """The instant so many hours from now, as registers take it."""
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def incident(made: Installation, *fields: str, hours: float = -0.5, health_data: str = "no") -> str:
    given = {"title": "Essai", "kind": "availability", "severity": "major", "source": "staff", "lead": "PER-0001"}
    given |= {"detected_at": at(hours), "declared_at": at(hours), "description": "Essai.", "health_data": health_data}
    words = [f"{name}={value}" for name, value in given.items()]
    return str(made.hygie("register", "add", "incident", *words, *fields)["key"])


def shown(made: Installation, key: str) -> dict[str, Any]:
    return dict(made.hygie("incident", "show", key))


def clocks(made: Installation, key: str) -> dict[str, dict[str, Any]]:
    return {one["clock"]: one for one in shown(made, key)["clocks"]}


def waiting(made: Installation, title: str) -> list[dict[str, Any]]:
    return [one for one in made.hygie("finding", "list") if one["title"].startswith(title)]


def test_clocks_start_by_themselves_and_say_what_remains_and_by_which_text(made: Installation) -> None:
    key = incident(made, hours=-22, health_data="unknown")
    found = clocks(made, key)
    assert set(found) == {"qualification", "client-notice"}
    assert found["qualification"]["progress"] == "late"
    assert -18 * 3600 - 60 < found["qualification"]["left_s"] < -17 * 3600
    assert (found["client-notice"]["who"], found["client-notice"]["near"]) == ("host", True)
    assert "33.2" in found["client-notice"]["source"]
    made.hygie("register", "amend", "incident", key, "outage_min=45")
    assert {"nis2-warning", "nis2-notice"} <= set(clocks(made, key)), "past 30 minutes an incident is significant"
    assert shown(made, key)["nis2"] == {"in_scope": True, "significant": True, "met": ["outage"]}
    made.hygie("register", "amend", "incident", key, "nis2=no", exit_code=10)
    said = made.run("incident", "show", key, language="fr").stdout
    assert "retard de 18 h" in said
    assert "Règlement d'exécution" not in said
    assert "hébergeur" in said
    assert [one["incident"] for one in made.hygie("incident", "list")] == [key]


def test_a_clock_that_is_late_or_near_is_a_finding(made: Installation) -> None:
    made.wait_for(lambda: waiting(made, "A clock of an incident has run out"), seconds=90)
    made.wait_for(lambda: waiting(made, "A clock of an incident will soon run out"), seconds=NOTICED_S)
    made.hygie("register", "amend", "incident", "INC-0001", "--state", "false-alarm", "--approver", "chief",
               f"qualified_at={at(0)}")  # fmt: skip
    assert made.hygie("incident", "list") == []


def client_records(made: Installation) -> None:
    """Who is told at the client, and who answers at the host."""
    day = datetime.now(UTC).date()
    made.hygie("register", "add", "client-contact", "--tenant", "chu", "name=Léa Roux", "organisation=CHU",
               "function=RSSI", "email=lea@chu.example", "roles=incident", f"confirmed_on={day}", "confirmed_by=call",
               f"next_confirmation_on={day + timedelta(days=90)}")  # fmt: skip
    made.hygie("register", "add", "person", "name=Paul Durand", "email=dpo@host.example", "duties=dpo", *PERSON)


def breach(made: Installation, key: str) -> str:
    given = ("title=Essai", "nature=confidentiality", f"aware_at={at(-0.4)}", "facts=Lecture indue.", "risk=unknown")
    return str(made.hygie("register", "add", "violation", "--tenant", "chu", *given, f"incident={key}")["key"])


def test_a_notice_is_made_of_facts_and_says_what_is_not_known(made: Installation, tmp_path: Path) -> None:
    client_records(made)
    key = incident(made, health_data="yes")
    refused = ("incident", "notice", key, "--to", "controller", "--client", "chu", "--file")
    assert made.hygie(*refused, str(tmp_path / "x.md"), exit_code=10)["error"]["code"] == "HYG-1B6"
    made.hygie("register", "amend", "incident", key, "clients=chu")
    breach(made, key)
    done = made.hygie(*refused, str(tmp_path / "a.json"))
    page = json.loads((tmp_path / "a.json").read_text())
    assert page["incident"] == key
    assert {one["title"] for one in page["sections"] if not one["known"]} == set(done["lacking"])
    assert "Likely consequences" in done["lacking"]
    assert "Paul Durand, DPO, dpo@host.example" in json.dumps(page, ensure_ascii=False)
    assert "Léa Roux" in " ".join(page["preamble"])
    assert hashlib.sha256((tmp_path / "a.json").read_bytes()).hexdigest() == done["sha256"]
    (entry,) = list(entries(made, action="incident:handle", outcome="done"))
    assert (entry.detail["to"], entry.detail["sha256"]) == ("controller", done["sha256"])
    assert made.run(*refused, str(tmp_path / "avis.md"), language="fr").returncode == 0
    text = (tmp_path / "avis.md").read_text()
    assert "Pas encore connu." in text
    assert "72 heures" in text
    made.hygie(*refused, str(tmp_path / "avis.pdf"))
    assert (tmp_path / "avis.pdf").read_bytes().startswith(b"%PDF")
    made.hygie(*refused, str(tmp_path / "avis.pdf"), exit_code=10)


def test_what_was_sent_is_a_persons_act_and_stops_the_clock(made: Installation, tmp_path: Path) -> None:
    key = "INC-0002"
    tell = ("incident", "sent", key, "--notice", "controller", "--client", "chu")
    made.hygie(*tell, "--by", "PER-0009", exit_code=30)
    made.hygie(*tell, "--by", "PER-0001", "--at", at(2), exit_code=10)
    made.hygie("incident", "sent", key, "--notice", "cnil", "--client", "other", "--by", "PER-0001", exit_code=30)
    done = made.hygie(*tell, "--by", "PER-0001")
    assert done["records"] == ["violation VIO-0001", f"incident {key}"]
    found = clocks(made, key)
    assert found["client-notice"]["progress"] == "kept"
    assert (found["cnil"]["who"], found["cnil"]["progress"]) == ("controller", "running")
    assert 71 * 3600 < found["cnil"]["left_s"] <= 72 * 3600
    made.hygie("incident", "notice", key, "--to", "cnil", "--client", "chu", "--file", str(tmp_path / "cnil.md"))
    assert "does not file" in (tmp_path / "cnil.md").read_text()
    made.hygie("incident", "sent", key, "--notice", "cnil", "--client", "chu", "--by", "PER-0001")
    (record,) = made.hygie("register", "show", "violation", "VIO-0001")
    assert "cnil_filed_at" not in record["fields"], "the client files, not the host"
    assert {"notice_cnil", "prepared_at", "told_to"} <= set(record["fields"])
    made.hygie("incident", "sent", key, "--notice", "nis2-warning", "--by", "PER-0001", exit_code=10)
    made.hygie("register", "amend", "incident", key, "nis2_criteria=malicious")
    made.hygie("incident", "notice", key, "--to", "nis2-report", "--file", str(tmp_path / "nis2.md"))
    made.hygie("incident", "sent", key, "--notice", "nis2-warning", "--by", "PER-0001")
    assert clocks(made, key)["nis2-warning"]["progress"] == "kept"
    (record,) = made.hygie("register", "show", "incident", key)
    assert record["fields"]["notices"].count("\n") == 2


def test_an_incident_of_findings_counts_who_was_touched(made: Installation, tmp_path: Path) -> None:
    for number in range(3):
        patient = made.fhir("POST", "Patient", {"resourceType": "Patient", "name": [{"family": f"Essai{number}"}]}).json
        for _ in range(2):
            made.fhir("GET", f"Patient/{patient['id']}")
    made.wait_for(lambda: any(one["count"] == 6 for one in waiting(made, "Somebody reads")), seconds=NOTICED_S)
    (found,) = waiting(made, "Somebody reads")
    key = made.hygie("finding", "incident", found["id"], "--kind", "confidentiality", "--lead", "PER-0001",
                     "--health-data", "yes")["incident"]  # fmt: skip
    made.journal_published()
    file = tmp_path / "a.md"
    made.hygie("incident", "notice", key, "--to", "controller", "--client", "chu", "--file", str(file))
    text = file.read_text()
    assert "3 distinct patients" in text
    assert "8 acts on 8 objects" in text, "two of the three were created meanwhile"
    assert "Somebody reads : 6 ×" in text
    assert "app" not in text.replace("approximate", ""), "no account leaves"


def test_evidence_is_kept_apart_and_a_changed_archive_is_seen(made: Installation) -> None:
    key = made.hygie("incident", "list")[-1]["incident"]
    folder = made.data / "incidents" / key
    (first,) = folder.glob("*.zip")
    (record,) = made.hygie("register", "show", "incident", key)
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    assert record["fields"]["evidence_sha256"] == [digest], "kept when it was declared"
    assert digest in {one.detail.get("sha256") for one in entries(made, action="incident:handle", outcome="done")}
    done = made.hygie("incident", "evidence", key, "--logs")
    archive = Path(done["file"])
    assert (archive.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o400, 0o700)
    checked = verified(archive)
    assert checked["entries"] == done["entries"] >= 3
    assert {"object:read", "finding:open", "finding:handle"} <= {one["action"] for one in checked["shown"]}
    with zipfile.ZipFile(archive) as opened:
        (told,) = json.loads(opened.read("incident/findings.json"))
        assert [one["kind"] for one in told["acts"]] == ["opened", "incident"]
        assert any(name.startswith("incident/logs/watch") for name in opened.namelist())
    assert {digest, done["sha256"]} == probe_archives(made.data / "incidents")
    archive.chmod(0o600)
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-1] + b"!")
    assert done["sha256"] not in probe_archives(made.data / "incidents"), "cross.evidence-kept turns red"
    archive.write_bytes(whole)


def verified(archive: Path) -> dict[str, Any]:
    """What hygie-verify says of an archive, and the entries that it shows."""
    words = [sys.executable, "-m", "hygie.verify", str(archive), "--json", "--show"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def told_on_duty(made: Installation) -> list[str]:
    """The channels of the rota, as the watch knows them."""

    async def main() -> list[str]:
        async with open_house(made.data) as house, opened(house.dsns.watch, size=1) as database:
            async with database.transaction() as connection:
                rows = await (await connection.execute("SELECT channel FROM hygie.duty ORDER BY 1")).fetchall()
            return [row[0] for row in rows]

    return asyncio.run(main())


def test_a_hole_in_the_rota_is_told_to_all_and_who_is_planned_is_on_duty(made: Installation) -> None:
    made.wait_for(lambda: waiting(made, "Nobody is on duty"), seconds=NOTICED_S)
    (found,) = waiting(made, "Nobody is on duty")
    for name in ("anne", "paul"):
        path = made.data / f"{name}.jsonl"
        made.wait_for(lambda path=path: path.is_file() and found["id"] in path.read_text(), seconds=NOTICED_S)
    ((begins, ends),) = made.hygie("rota", "show")["gaps"]
    assert begins < ends
    plan = ("register", "add", "duty", "person=PER-0001", "languages=fr")
    made.hygie(*plan, f"from_at={at(-1)}", f"to_at={at(48)}", "channel=anne")
    made.hygie(*plan, f"from_at={at(50)}", f"to_at={at(400)}", "channel=pigeon")
    shown = made.hygie("rota", "show")
    assert [(one["channel"], one["now"]) for one in shown["periods"]] == [("anne", True), ("pigeon", False)]
    assert len(shown["gaps"]) == 1, "two hours without anybody"
    assert shown["unknown_channels"] == ["pigeon"]
    assert "Personne qui parle français" in made.run("rota", "show", language="fr").stderr
    made.wait_for(lambda: told_on_duty(made) == ["anne", "pigeon"], seconds=NOTICED_S)


def test_an_incident_is_closed_once_nothing_lacks(made: Installation) -> None:
    key = made.hygie("incident", "list")[-1]["incident"]
    close = ("register", "amend", "incident", key, "--state", "closed", "--approver", "chief")
    made.hygie("register", "amend", "incident", key, "--state", "qualified", f"qualified_at={at(0)}")
    made.hygie("register", "amend", "incident", key, "--state", "resolved", f"resolved_at={at(0)}")
    given = {"is_violation": "no", "timeline": "10:00 lu ; 10:05 vu", "cause": "essai", "impact": "aucun"}
    given |= {"lesson": "aucune", "notices": "CHU prévenu", "client_told_at": at(0)}
    for name in given:
        others = [f"{each}={value}" for each, value in given.items() if each != name]
        assert name in made.hygie(*close, *others, exit_code=10)["error"]["message"]
    whole = [f"{name}={value}" for name, value in given.items()]
    made.hygie(*close, *whole, "clients=", exit_code=10)
    made.hygie(*close, *whole, "evidence_sha256=", exit_code=10)
    made.hygie(*close, *whole)
    assert key not in [one["incident"] for one in made.hygie("incident", "list")]
