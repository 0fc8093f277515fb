"""The audit programme: independent auditors, dates within their clocks, every requirement looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hygie.proof.certification.cycle import fold
from hygie.proof.certification.programme import PlannedAudit, PlannedKind, Programme, programme_gaps
from tests.unit.proof.certification.samples import DELAYS, day, event, initial

APPLY = {"EXI-01", "EXI-05", "EXI-16"}


def audit(kind: str, on: str, auditor: str = "Organisme Exemple") -> PlannedAudit:
    return PlannedAudit(PlannedKind(kind), day(on), auditor, "RSSI", tuple(sorted(APPLY)))


def plan(*more: PlannedAudit, without: str = "") -> Programme:
    audits = [
        audit("surveillance1", "2027-12-02"),
        audit("surveillance2", "2028-11-30"),
        audit("renewal_audit", "2029-09-10"),
        *(audit("internal_conformity", f"{year}-10-05", auditor="Qualité") for year in (2027, 2028, 2029)),
        *(audit("internal_traces", f"{year}-06-10", auditor="Qualité") for year in (2027, 2028, 2029)),
    ]
    kept = [each for each in audits if f"{each.kind}@{each.planned_on}" != without]
    return Programme("p1", "c1", (*kept, *more))


def gaps(programme: Programme, at: str = "2027-01-11", *more: Any) -> list[str]:
    snapshot = fold("c1", [*initial(), *more], at=day(at), delays=DELAYS)
    found = programme_gaps(programme, snapshot, APPLY, DELAYS)
    assert all(each.fr and each.en for each in found)
    return [each.en for each in found]


def test_a_whole_programme_lacks_nothing() -> None:
    assert gaps(plan()) == []
    assert gaps(plan(audit("surveillance1", "2028-01-11"), without="surveillance1@2027-12-02")) == []


@pytest.mark.parametrize(
    ("programme", "expected"),
    [
        (plan(without="surveillance1@2027-12-02"), ["surveillance audit 1: no date, due 2028-01-11"]),
        (
            plan(audit("surveillance1", "2028-01-12"), without="surveillance1@2027-12-02"),
            ["surveillance audit 1: planned on 2028-01-12, after its due date 2028-01-11"],
        ),
        (
            plan(audit("surveillance1", "2027-01-11"), without="surveillance1@2027-12-02"),
            ["surveillance audit 1: planned on 2027-01-11, before the decision"],
        ),
        (
            plan(without="internal_traces@2028-06-10"),
            ["internal audit of traces: none from 2027-06-10 to 2028-06-10"],
        ),
        (
            plan(without="internal_conformity@2029-10-05"),
            ["internal audit of conformity: none from 2028-10-05 to 2029-10-05"],
        ),
    ],
)
def test_what_it_lacks_is_named(programme: Programme, expected: list[str]) -> None:
    assert gaps(programme) == expected


def test_a_requirement_that_no_internal_audit_looks_at_is_named() -> None:
    audits = [
        replace(each, requirements=("EXI-01", "EXI-16")) if each.kind is PlannedKind.INTERNAL_CONFORMITY else each
        for each in plan().audits
    ]
    assert gaps(Programme("p1", "c1", tuple(audits))) == ["no internal audit looks at EXI-05"]


def test_an_audit_already_held_needs_no_plan() -> None:
    held = event("surveillance1", "2027-12-02")
    assert gaps(plan(without="surveillance1@2027-12-02"), "2027-12-02", held) == []


def test_a_candidate_has_nothing_to_plan() -> None:
    assert gaps(plan(), "2026-06-02") == ["no certificate: nothing to plan"]
