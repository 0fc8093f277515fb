"""The audit programme: independent auditors, dates within their clocks, every requirement looked at."""

from __future__ import annotations

from typing import Any

import pytest

from hygie.proof.certification.cycle import fold
from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.certification.programme import dump_programme, parse_programme, programme_gaps
from tests.unit.proof.certification.samples import DELAYS, day, event, initial

APPLY = {"EXI-01", "EXI-05", "EXI-16"}


def audit(kind: str, on: str, **changes: Any) -> dict[str, Any]:
    who = {"auditor": "Organisme Exemple", "audited": "RSSI"}
    return {"kind": kind, "planned_on": on, "requirements": sorted(APPLY)} | who | changes


def body(*changes: dict[str, Any], without: str = "") -> dict[str, Any]:
    audits = [
        audit("surveillance1", "2027-12-02"),
        audit("surveillance2", "2028-11-30"),
        audit("renewal_audit", "2029-09-10"),
        *(audit("internal_conformity", f"{year}-10-05", auditor="Qualité") for year in (2027, 2028, 2029)),
        *(audit("internal_traces", f"{year}-06-10", auditor="Qualité") for year in (2027, 2028, 2029)),
    ]
    kept = [each for each in audits if f"{each['kind']}@{each['planned_on']}" != without]
    return {"id": "p1", "cycle": "c1", "audits": [*kept, *changes]}


def gaps(programme: dict[str, Any], at: str = "2027-01-11", *more: Any) -> list[str]:
    snapshot = fold("c1", [*initial(), *more], at=day(at), delays=DELAYS)
    found = programme_gaps(parse_programme(programme), snapshot, APPLY, DELAYS)
    assert all(each.fr and each.en for each in found)
    return [each.en for each in found]


def test_a_whole_programme_lacks_nothing_and_is_read_back_as_it_was() -> None:
    assert gaps(body()) == []
    assert gaps(body(audit("surveillance1", "2028-01-11"), without="surveillance1@2027-12-02")) == []
    assert dump_programme(parse_programme(body())) == body()
    bare = {"id": "p1", "cycle": "c1"}
    assert dump_programme(parse_programme(bare)) == bare


@pytest.mark.parametrize(
    ("programme", "expected"),
    [
        (body(without="surveillance1@2027-12-02"), ["surveillance audit 1: no date, due 2028-01-11"]),
        (
            body(audit("surveillance1", "2028-01-12"), without="surveillance1@2027-12-02"),
            ["surveillance audit 1: planned on 2028-01-12, after its due date 2028-01-11"],
        ),
        (
            body(audit("surveillance1", "2027-01-11"), without="surveillance1@2027-12-02"),
            ["surveillance audit 1: planned on 2027-01-11, before the decision"],
        ),
        (
            body(without="internal_traces@2028-06-10"),
            ["internal audit of traces: none from 2027-06-10 to 2028-06-10"],
        ),
        (
            body(without="internal_conformity@2029-10-05"),
            ["internal audit of conformity: none from 2028-10-05 to 2029-10-05"],
        ),
    ],
)
def test_what_it_lacks_is_named(programme: dict[str, Any], expected: list[str]) -> None:
    assert gaps(programme) == expected


def test_a_requirement_that_no_internal_audit_looks_at_is_named() -> None:
    partial = body()
    for each in partial["audits"]:
        if each["kind"] == "internal_conformity":
            each["requirements"] = ["EXI-01", "EXI-16"]
    assert gaps(partial) == ["no internal audit looks at EXI-05"]


def test_an_audit_already_held_needs_no_plan() -> None:
    held = event("surveillance1", "2027-12-02")
    assert gaps(body(without="surveillance1@2027-12-02"), "2027-12-02", held) == []


def test_a_candidate_has_nothing_to_plan() -> None:
    assert gaps(body(), "2026-06-02") == ["no certificate: nothing to plan"]


@pytest.mark.parametrize(
    ("change", "record", "field"),
    [
        (audit("internal_traces", "2028-01-01", auditor="RSSI"), "programme.audits[9]", "auditor"),
        (audit("surveillance1", "2027-12-03"), "programme", "audits"),
        (audit("party", "2027-12-03"), "programme.audits[9]", "kind"),
        (audit("internal_traces", "2027-12-03", requirements=[]), "programme.audits[9]", "requirements"),
        (audit("internal_traces", "2027-12-03", mood=1), "programme.audits[9]", "mood"),
    ],
)
def test_a_programme_that_cannot_be_is_refused(change: dict[str, Any], record: str, field: str) -> None:
    with pytest.raises(RecordRefusedError) as caught:
        parse_programme(body(change))
    assert (caught.value.facts["record"], caught.value.facts["field"]) == (record, field)
