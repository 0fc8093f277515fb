"""The watch of a running installation: what is done is noticed, told, decided, and made an incident of the register."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hygie.base.layout import DataFolder
from hygie.probes.machine import hygie_processes
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, entries

NOTICED_S = 20.0  # two seconds on a quiet machine; a busy one is slower
PERSON = ("employer=Hygie", "function=RSSI", "starts_on=2026-01-05")
SOC = """
title: The SOC wants to know of every status
id: 5b1ad1a4-6e31-4a0c-9d1f-0d7e1d4e9a01
level: low
logsource: {product: hygie, service: journal}
detection:
  one:
    action: status:read
  condition: one
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    rules = tmp_path_factory.mktemp("rules")
    (rules / "soc.yml").write_text(SOC)
    (rules / "bad.yml").write_text(SOC.replace("status:read", "x").replace("one:", "one|base64:"))
    (rules / "broken.yml").write_text("{")
    with attacked(rules=rules) as made:
        yield made


def waiting(made: Installation, title: str) -> list[dict[str, Any]]:
    return [one for one in made.hygie("finding", "list") if one["title"].startswith(title)]


def noticed(made: Installation, title: str, *, count: int = 1) -> dict[str, Any]:
    made.wait_for(lambda: any(one["count"] >= count for one in waiting(made, title)), seconds=NOTICED_S)
    (found,) = waiting(made, title)
    return found


def test_what_is_done_is_noticed_and_names_its_entry(made: Installation) -> None:
    made.hygie("raise", "INT-2026-0009", "--reason", "disk", "--emergency")
    found = noticed(made, "Somebody raised his rights")
    assert (found["level"], found["state"]) == ("medium", "open")
    shown = made.hygie("finding", "show", found["id"])
    assert shown["threat"] == "T-53"
    assert [one["kind"] for one in shown["acts"]] == ["opened"]
    (evidence,) = shown["evidence"]
    (entry,) = entries(made, action="approval:ask")
    assert entry.detail["emergency"] == "yes"
    assert evidence["source"] == "journal"
    told = entries(made, action="finding:open")
    assert found["id"] in {one.detail["finding"] for one in told}
    made.hygie("raise", "INT-2026-0010", "--reason", "disk", "--emergency")
    assert noticed(made, "Somebody raised his rights", count=2)["id"] == found["id"]


def test_the_soc_s_own_rules_speak_and_bad_ones_leave_them(made: Installation) -> None:
    made.run("--json", "status")
    assert noticed(made, "The SOC wants to know")["level"] == "low"
    log = (DataFolder.at(made.data).logs / "watch.log").read_text()
    assert "HYG-1W0 bad.yml" in log
    assert "HYG-1W0 broken.yml" in log


def test_a_finding_is_handled_and_becomes_an_incident(made: Installation) -> None:
    lead = made.hygie("register", "add", "person", "name=Anne Martin", *PERSON)["key"]
    id_ = noticed(made, "Somebody raised his rights")["id"]
    made.hygie("finding", "acknowledge", id_)
    made.hygie("finding", "acknowledge", id_, exit_code=10)  # once is enough
    made.hygie("finding", "note", id_, "vu avec Paul : disque changé")
    key = made.hygie("finding", "incident", id_, "--kind", "human", "--lead", lead)["incident"]
    (record,) = made.hygie("register", "show", "incident", key)
    fields = record["fields"]
    assert (fields["severity"], fields["source"], fields["health_data"]) == ("moderate", "monitoring", "unknown")
    assert "sha256:" in fields["evidence"]
    assert id_ in fields["description"]
    shown = made.hygie("finding", "show", id_)
    assert (shown["state"], shown["incident"]) == ("incident", key)
    assert [one["kind"] for one in shown["acts"]] == ["opened", "acknowledged", "noted", "incident"]
    made.hygie("finding", "close", id_, "--why", "x", exit_code=10)
    made.hygie("finding", "close", id_, "--why", "traité par l'incident")
    assert waiting(made, "Somebody raised his rights") == []
    acts = [one.detail["act"] for one in entries(made, action="finding:handle", outcome="done")]
    assert acts == ["acknowledged", "noted", "incident", "closed"]
    made.hygie("finding", "show", "0" * 16, exit_code=30)


def test_a_watch_that_is_killed_goes_on_and_counts_once(made: Installation) -> None:
    before = noticed(made, "The SOC wants to know")["count"]
    (pid,) = [pid for pid, name in hygie_processes(DataFolder.at(made.data)).items() if name == "watch"]
    os.kill(pid, signal.SIGKILL)
    made.run("--json", "status")
    noticed(made, "The SOC wants to know", count=before + 1)
    time.sleep(2)
    assert noticed(made, "The SOC wants to know")["count"] == before + 1


def test_rules_of_a_folder_are_tried_on_their_samples(made: Installation, tmp_path: Path) -> None:
    (tmp_path / "soc.yml").write_text(SOC + "hygie:\n  samples:\n    positive:\n      - {action: other}\n")
    assert "should speak" in str(made.hygie("finding", "rules", str(tmp_path), exit_code=10))
    (tmp_path / "soc.yml").write_text(SOC)
    titles = {one["title"] for one in made.hygie("finding", "rules", str(tmp_path))}
    assert {"The SOC wants to know of every status", "One account is used from two countries within an hour"} <= titles
