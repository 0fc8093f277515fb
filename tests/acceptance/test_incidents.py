"""Incidents of a running installation: clocks, notices, evidence, what closing takes, who is on duty."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.conftest import Installation
from tests.attack.installation import attacked

NOTICED_S = 30.0
PERSON = ("employer=Hygie", "function=RSSI", "starts_on=2026-01-05")


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked() as made:
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
