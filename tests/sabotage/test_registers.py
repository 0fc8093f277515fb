"""Checks on registers, each seen green on the good records of a host and red on a sabotage of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from hygie.database.cluster import Dsns
from hygie.demo.books import CLIENTS
from hygie.proof.controls.conditions import Snapshot
from hygie.proof.controls.model import Condition, RegisterCheck
from hygie.proof.controls.read import shipped_controls
from hygie.proof.controls.rules import judge_records
from hygie.proof.model import Outcome
from hygie.registers.chain import RecordVersion
from hygie.registers.schema import shipped_schemas
from tests.sabotage.recorded import DAY_MS, Recorded, recorded, sabotages

CHECKS = shipped_controls().checks
SABOTAGES = sabotages()


@pytest.fixture(scope="module")
def good(new_database: Callable[[], Dsns]) -> Iterator[Recorded]:
    """The good records, written once by the real engine; a sabotage is undone."""
    with recorded(new_database()) as made:
        made.write(made.good())
        yield made


@pytest.fixture(scope="module")
def snapshot(good: Recorded) -> Snapshot:
    """The good records."""
    return good.snapshot()


def judged(check: RegisterCheck, snapshot: Snapshot, *, days: float = 0) -> Outcome:
    """Args: days: how long after the snapshot one looks."""
    return judge_records(check, replace(snapshot, now_ms=snapshot.now_ms + int(days * DAY_MS)), shipped_schemas())


@pytest.mark.parametrize("check", CHECKS, ids=lambda one: one.id)
def test_each_check_on_registers_is_seen_red(check: RegisterCheck, good: Recorded, snapshot: Snapshot) -> None:
    sabotage = SABOTAGES[check.id]
    assert judged(check, snapshot).verdict.value == "satisfied", judged(check, snapshot)
    days = sabotage.get("days", 0)
    if "change" not in sabotage:
        assert judged(check, snapshot, days=days - 1).verdict.value == "satisfied", "it was red the day before"
        found = judged(check, snapshot, days=days)
    else:
        with good.undone():
            good.write(
                [
                    good.change(one["register"], {name: value for name, value in one.items() if name != "register"})
                    for one in sabotage["change"]
                ]
            )
            found = judged(check, good.snapshot(), days=days)
    assert found.verdict.value == "unsatisfied", found
    assert found.remedy is not None
    assert "hygie " in found.remedy.fr
    assert found.why.fr != found.why.en


CONDITIONS = [
    (check, one)
    for check in CHECKS
    if check.rule in ("some", "every", "covers", "each")
    for one in check.must
    if not one.field.startswith("@") and "." not in one.field
]


@pytest.mark.parametrize(("check", "condition"), CONDITIONS, ids=lambda one: getattr(one, "id", "") or one.field)
def test_each_condition_counts(check: RegisterCheck, condition: Condition, snapshot: Snapshot) -> None:
    def without(record: RecordVersion) -> RecordVersion:
        return replace(record, fields={name: x for name, x in record.fields.items() if name != condition.field})

    spoiled = {**snapshot.records, check.register: [without(one) for one in snapshot.of(check.register)]}
    found = judge_records(check, Snapshot(spoiled, snapshot.now_ms, CLIENTS), shipped_schemas())
    assert found.verdict.value != "satisfied"


@pytest.mark.parametrize("check", CHECKS, ids=lambda one: one.id)
def test_no_check_on_registers_is_green_when_nothing_is_recorded(check: RegisterCheck) -> None:
    empty = Snapshot({}, 0, CLIENTS)
    # Where clients are hosted and nothing is recorded of one, that is red at once: the platform knows its clients.
    expected = {"unsatisfied"} if check.of == "tenants" else {"unknown", "not_applicable"}
    assert judged(check, empty).verdict.value in expected


def test_a_sabotage_leaves_nothing_behind(good: Recorded, snapshot: Snapshot) -> None:
    assert good.snapshot() == snapshot
