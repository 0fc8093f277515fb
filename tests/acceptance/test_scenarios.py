"""``hygie drill intrusion | ransomware | breach``: a real installation is attacked, and what answers is timed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hygie.base.channels import FileSettings
from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked, entries


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked(channels=(FileSettings(name="astreinte", path="astreinte.jsonl"),)) as made:
        yield made


def drill(made: Installation, kind: str, *words: str) -> dict[str, Any]:
    """The report of one that passed: its checks by name, its figures."""
    answer = made.hygie("drill", kind, *words)
    report = dict(answer["report"])
    print(kind, report["figures"], [(one["name"], one["detail"]) for one in report["checks"]])
    assert not (Path(answer["file"]).parent / "place").exists(), "nothing stays of the sandbox"
    return report


def test_an_intrusion_is_noticed_told_and_taken_in_charge(made: Installation) -> None:
    report = drill(made, "intrusion", "--channel", "astreinte")
    assert report["figures"]["attacks"] == 5
    assert {one["name"] for one in report["checks"]} >= {"invented tokens: noticed", "a right written by SQL: told"}
    told = [json.loads(line) for line in (made.data / "astreinte.jsonl").read_text().splitlines()]
    assert len(told) >= 5
    assert all(one["title_fr"].startswith("EXERCICE, rien ne s'est passé") for one in told)
    assert all(f"drills/{report['drill_id']}/place" in one["todo_fr"] for one in told)
    assert "Somebody raised his rights" not in json.dumps(made.hygie("finding", "list")), "all that was in the sandbox"
    (done,) = list(entries(made, action="drill:run", outcome="done"))
    assert (done.detail["kind"], done.detail["passed"]) == ("intrusion", "true")


def test_after_a_ransomware_everything_is_read_as_before(made: Installation) -> None:
    checks = {one["name"]: one for one in drill(made, "ransomware")["checks"]}
    assert checks["records as before the attack"]["detail"] == "160 of 160 equal"
    assert checks["copies mended"]["passed"]
    assert checks["a site overwritten: noticed"]["passed"]


def test_a_breach_reaches_the_controller_with_its_facts(made: Installation) -> None:
    report = drill(made, "breach")
    checks = {one["name"]: one for one in report["checks"]}
    assert checks["notice made of facts"]["passed"], "all the patients that were read are counted"
    assert report["figures"]["controller_told_s"] < 120
    french = made.run("drill", "breach", "--channel", "nobody", language="fr")
    assert french.returncode == 30
