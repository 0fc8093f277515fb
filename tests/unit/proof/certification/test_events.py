"""Events and findings: each kind says what it must and nothing else; dates in order; read back as they were."""

from __future__ import annotations

from typing import Any

import pytest

from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.certification.events import EventKind, parse_event
from hygie.proof.certification.findings import parse_finding
from tests.unit.proof.certification.samples import DELAYS, event_body, finding, finding_body, written

TERM = {"certificate": "hds-2027", "issued_on": "2027-01-15", "expires_on": "2030-01-14"}
AUDIT = {"report": "R-1", "started_on": "2027-01-04"}
IMPORT = TERM | {"decided_on": "2027-01-11", "audited_on": "2027-12-01", "report": "R-1"}
WHOLE: dict[str, dict[str, Any]] = {
    "application": {},
    "stage1": AUDIT,
    "stage2": AUDIT,
    "corrections_due": {"audit": "stage2", "findings": ["f1", "f2"]},
    "corrections_verified": {"audit": "stage2"},
    "decision": TERM | {"outcome": "granted", "renews": "c0"},
    "surveillance1": AUDIT,
    "surveillance2": AUDIT,
    "renewal_audit": AUDIT,
    "suspension": {"reason": "Corrections en retard", "certificate": "CER-0001"},
    "lift": {"reason": "Corrections vérifiées"},
    "withdrawal": {"reason": "Suspension non levée"},
    "expiry": {},
    "subprocessor_suspended": {"actor": "cloud", "activities": [1, 2]},
    "subprocessor_lost": {"actor": "cloud", "activities": [1, 2]},
    "import": IMPORT
    | {
        "surveillance1_on": "2027-11-01",
        "surveillance2_on": "2027-12-01",
        "suspended_on": "2027-12-24",
        "findings": ["f1"],
    },
}
OPTIONAL = {
    "certificate@suspension",
    "started_on",
    "renews",
    "surveillance2_on",
    "suspended_on",
    "reason@lift",
    "report@stage1",
}
ON = {"import": "2028-01-10"}


def body_of(kind: str) -> dict[str, Any]:
    return event_body(kind, ON.get(kind, "2027-01-11"), **WHOLE[kind])


def refusal(body: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(RecordRefusedError) as caught:
        parse_event(body)
    return str(caught.value.facts["field"]), caught.value.reason.en


def test_every_kind_has_a_sample() -> None:
    assert set(WHOLE) == set(EventKind)


@pytest.mark.parametrize("kind", list(EventKind))
def test_an_event_is_read_field_by_field(kind: str) -> None:
    assert written(parse_event(body_of(kind)), body_of(kind)) == body_of(kind)


@pytest.mark.parametrize("kind", list(EventKind))
def test_each_kind_must_say_what_makes_it(kind: str) -> None:
    for field in ("id", "cycle", "kind", "on", *WHOLE[kind]):
        body = {name: value for name, value in body_of(kind).items() if name != field}
        optional = field in OPTIONAL or f"{field}@{kind}" in OPTIONAL or (kind, field) == ("import", "findings")
        if optional or (kind, field) == ("import", "surveillance1_on"):
            continue
        assert refusal(body)[0] == field, (kind, field)


@pytest.mark.parametrize("kind", list(EventKind))
def test_no_kind_says_what_another_says(kind: str) -> None:
    foreign = {
        "actor": "cloud",
        "decided_on": "2027-01-01",
        "audit": "x",
        "outcome": "refused",
        "audited_on": "2027-01-01",
    }
    for field, value in foreign.items():
        if field not in WHOLE[kind]:
            found, reason = refusal(body_of(kind) | {field: value})
            assert (found, reason) == (field, "this event does not have this field"), (kind, field)


@pytest.mark.parametrize(
    ("kind", "changes", "field", "words"),
    [
        ("stage2", {"started_on": "2027-01-12"}, "on", "earlier than started_on"),
        ("decision", {"issued_on": "2027-01-10"}, "issued_on", "earlier than on"),
        ("decision", {"expires_on": "2027-01-15"}, "expires_on", "not after issue"),
        ("decision", {"expires_on": "2031-01-16"}, "expires_on", "longer"),
        ("decision", {"outcome": "refused"}, "certificate", "does not have"),
        ("decision", {"next_cycle": "c2"}, "next_cycle", "opens or ends"),
        ("decision", {"renews": "c1"}, "cycle", "refers to itself"),
        ("import", {"surveillance1_on": "2027-01-10"}, "surveillance1_on", "earlier than decided_on"),
        ("import", {"surveillance2_on": "2027-10-01"}, "surveillance2_on", "earlier than surveillance1_on"),
        ("import", {"surveillance1_on": None}, "surveillance1_on", "missing"),
        ("import", {"audited_on": "2028-01-11"}, "on", "earlier than audited_on"),
        ("import", {"suspended_on": "2028-01-11"}, "on", "earlier than suspended_on"),
        ("import", {"decided_on": "2027-01-16"}, "issued_on", "earlier than decided_on"),
        ("import", {"expires_on": "2028-01-09"}, "expires_on", "already expired"),
        ("import", {"on": "2027-01-14", "issued_on": "2027-01-15"}, "on", "earlier than issued_on"),
        ("corrections_due", {"findings": []}, "findings", "missing"),
        ("corrections_due", {"findings": ["f1", "f1"]}, "findings", "twice"),
        ("corrections_due", {"findings": [1]}, "findings", "names"),
        ("subprocessor_lost", {"activities": [9]}, "activities", "1 to 6"),
    ],
)
def test_dates_out_of_order_are_refused(kind: str, changes: dict[str, Any], field: str, words: str) -> None:
    found, reason = refusal(body_of(kind) | changes)
    assert found == field
    assert words in reason


def test_a_finding_is_read_field_by_field() -> None:
    read, body = parse_finding(finding_body()), finding_body()
    actions = body.pop("actions")
    assert written(read, body) == body
    assert [written(one, ACTION) for one in read.actions] == actions
    bare = {name: value for name, value in body.items() if name not in {"closed_on", "closed_by"}}
    assert (parse_finding(bare).actions, parse_finding(bare).closed_on) == ((), None)


ACTION = finding_body()["actions"][0]


@pytest.mark.parametrize(
    ("changes", "record", "field", "words"),
    [
        ({"severity": "blocking"}, "finding", "severity", "major, minor, observation"),
        ({"requirements": []}, "finding", "requirements", "missing"),
        ({"closed_by": None}, "finding", "closed_by", "together"),
        ({"closed_on": None}, "finding", "closed_on", "together"),
        ({"closed_on": "2026-10-15"}, "finding", "closed_on", "earlier than raised_on"),
        ({"closed_on": "2026-11-30"}, "finding", "closed_on", "earlier than actions.verified_on"),
        ({"actions": []}, "finding", "closed_on", "without a corrective action"),
        ({"actions": [ACTION, ACTION]}, "finding", "actions", "twice"),
        ({"actions": [ACTION | {"verified_on": None}]}, "finding.actions[0]", "verified_on", "together"),
        ({"actions": [ACTION | {"verified_by": None}]}, "finding.actions[0]", "verified_by", "together"),
        ({"actions": [ACTION | {"verified_by": "rssi"}]}, "finding.actions[0]", "verified_by", "themselves"),
        ({"actions": [ACTION | {"done_on": None}]}, "finding.actions[0]", "done_on", "without being done"),
        ({"actions": [ACTION | {"done_on": "2026-12-02"}]}, "finding.actions[0]", "verified_on", "earlier"),
        ({"actions": [ACTION | {"due_on": "2026-10-15"}]}, "finding", "actions[0].due_on", "earlier than raised_on"),
        ({"actions": [ACTION, {"id": "a2"}]}, "finding.actions[1]", "title", "missing"),
        (
            {"actions": [{k: v for k, v in ACTION.items() if not k.startswith("verified")}]},
            "finding",
            "closed_on",
            "nobody verified",
        ),
    ],
)
def test_a_finding_that_cannot_be_is_refused(changes: dict[str, Any], record: str, field: str, words: str) -> None:
    with pytest.raises(RecordRefusedError) as caught:
        parse_finding(finding_body(**changes))
    assert (caught.value.facts["record"], caught.value.facts["field"]) == (record, field)
    assert words in caught.value.reason.en


@pytest.mark.parametrize(
    ("severity", "due"), [("major", "2027-01-16"), ("minor", "2027-01-16"), ("observation", "2027-10-16")]
)
def test_a_finding_has_the_clock_of_its_severity(severity: str, due: str) -> None:
    assert finding(severity=severity).due_on(DELAYS).isoformat() == due
