"""What a declaration allows, and what makes it allow nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from hygie.deidentify.declaration import Declaration, Wanted, declared
from hygie.deidentify.errors import NotDeclaredError
from hygie.deidentify.rules import shipped_rules
from hygie.registers.chain import RecordVersion

FIELDS = {
    "source": "prod",
    "target": "recette",
    "types": ["Patient", "Observation"],
    "patients_max": 50,
    "k": 5,
    "requested_by": "dpo",
    "ends_on": "2026-12-31",
}
WANTED = Wanted("chu", "prod", "recette", "local:root", date(2026, 11, 28))
DAY_MS = int(datetime(2026, 11, 20, 9, tzinfo=UTC).timestamp() * 1000)
RECORD = RecordVersion(7, "data-copy", "CPY-0001", 2, DAY_MS, "local:anne", "paul", "chu", "approved", "", FIELDS, b"d")


def person(account: str, name: str, **fields: Any) -> RecordVersion:
    whole = {"name": name, "account": account} | fields
    return RecordVersion(1, "person", f"PER-{name[:4]}", 1, 0, "local:rh", "", "", "present", "", whole)


PEOPLE = [
    person("paul", "Paul Durand"),
    person("anne", "Anne Martin"),
    person("root", "Zoé Roux"),
    person("dpo", "Marc Faure"),
    person("gone", "Lise Petit", ends_on="2026-11-20"),
    person("", "Yves Sans"),
]


def ask(
    record: RecordVersion,
    wanted: Wanted = WANTED,
    *,
    before: str = "local:anne",
    people: Sequence[RecordVersion] = PEOPLE,
) -> Declaration:
    """Args: before: who wrote the version before it."""
    asked = replace(record, version=1, state="requested", approver="", author=before)
    return declared([asked, record], people, wanted, shipped_rules().plans)


def test_an_approved_declaration_in_force_allows_its_scope() -> None:
    found = ask(RECORD)
    assert (found.types, found.patients_max, found.k) == (("Observation", "Patient"), 50, 5)
    assert (found.officer, found.approver, found.key, found.digest) == ("dpo", "paul", "CPY-0001", b"d")
    assert ask(RECORD, replace(WANTED, today=date(2026, 12, 31))) == found


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "requested"}, "approval"),
        ({"state": "refused"}, "approval"),
        ({"state": "ended"}, "ended"),
        ({"approver": ""}, "approval"),
        ({"approver": "ANNE "}, "approval"),
        ({"approver": "Anne Martin"}, "approval"),
        ({"approver": "PER-Anne"}, "approval"),
        ({"approver": "dpo"}, "approval"),
        ({"approver": "Marc Faure"}, "approval"),
        ({"approver": "quelqu'un"}, "approval"),  # nobody of the register
        ({"approver": "None"}, "approval"),  # as what some have no account would read
        ({"approver": "gone"}, "approval"),  # left that very day
        ({"approver": "local:root"}, "operator"),
        ({"approver": "zoé roux"}, "operator"),
        ({"tenant": "other"}, "pair"),
    ],
)
def test_one_that_is_not_approved_by_somebody_else_allows_nothing(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotDeclaredError) as refused:
        ask(replace(RECORD, **changes))
    assert refused.value.facts["reason"] == reason
    assert refused.value.sentence("fr") != refused.value.sentence("en")


def test_who_wrote_what_another_wrote_down_as_approved_does_not_approve_it() -> None:
    with pytest.raises(NotDeclaredError):
        ask(RECORD, before="local:paul")
    twins = [*PEOPLE, person("anne", "Paul Durand")]
    with pytest.raises(NotDeclaredError):
        ask(replace(RECORD, approver="Paul Durand"), people=twins)  # one of the two of this name wrote it


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("source", "other", "pair"),
        ("target", "preprod", "pair"),
        ("ends_on", "2026-11-27", "ended"),
        ("ends_on", None, "ended"),
        ("types", ["Patient", "Binary"], "scope"),
        ("types", ["Observation"], "scope"),
        ("types", [], "scope"),
    ],
)
def test_one_of_another_pair_expired_or_without_rules_allows_nothing(field: str, value: Any, reason: str) -> None:
    with pytest.raises(NotDeclaredError) as refused:
        ask(replace(RECORD, fields=FIELDS | {field: value}))
    assert refused.value.facts["reason"] == reason
