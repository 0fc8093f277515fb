"""Preparation of an audit: what is there, what is missing, what is late, from the registers and nothing else."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.proof.certification.cycle import fold
from hygie.proof.certification.errors import CertificationDataError, RecordRefusedError
from hygie.proof.certification.events import Event
from hygie.proof.certification.prepare import (
    NAMED_MAX,
    Checklist,
    Item,
    Presence,
    next_audit,
    own_asks,
    prepare,
    read_asks,
)
from tests.unit.proof.certification.samples import DELAYS, K, day, event, granted, initial

AT = "2027-12-01"
Registers = dict[str, list[dict[str, Any]]]


FINDING = {
    "id": "FND-0001",
    "state": "closed",
    "cycle": "c1",
    "severity": "minor",
    "raised_on": "2026-10-16",
    "due_on": "2027-01-16",
    "actions": ["ACT-0001"],
    "closed_on": "2026-12-15",
    "cause": "…",
}


def registers(**changes: list[dict[str, Any]]) -> Registers:
    """Registers of a host that is ready for its first surveillance, by the names and fields of its schemas."""
    return {
        "finding": [FINDING],
        "change": [
            {"id": "CHG-1", "state": "closed", "done_at": "2027-05-04T08:15:00Z"},
            {"id": "CHG-2", "state": "requested"},
            {"id": "CHG-3", "state": "done", "done_at": "2027-11-20T08:15:00Z"},
        ],
        "internal-audit": [
            {"id": "IAU-1", "kind": "isms", "ended_on": "2027-09-15", "state": "closed"},
            {"id": "IAU-2", "kind": "traces", "ended_on": "2027-10-01", "state": "reported"},
            {"id": "IAU-3", "kind": "traces", "state": "planned"},
        ],
        "management-review": [{"id": "MRV-1", "held_on": "2027-10-12", "state": "approved"}],
        "indicator-value": [{"id": "IVA-1", "measured_on": "2027-11-02", "state": "recorded"}],
        "risk": [{"id": "RSK-1", "assessed_on": "2027-06-30"}, {"id": "RSK-2", "state": "closed"}],
        "document-delivery": [
            {"id": "DDL-1", "kind": "soa", "recipient_kind": "certifier", "delivered_at": "2026-09-01T07:00:00Z"}
        ],
        "action": [
            {"id": "ACT-1", "due_on": "2028-02-01"},
            {"id": "ACT-2", "due_on": "2027-03-01", "verified_on": "2027-03-20"},
            {"id": "ACT-3", "due_on": "2027-03-01", "state": "dropped"},
        ],
        "incident": [],
        "complaint": [{"id": "CPL-1", "received_on": "2027-04-01", "answered_on": "2027-04-20"}],
        "ticket": [{"id": "TCK-1", "opened_at": "2027-04-01T09:00:00+02:00", "resolved_at": "2027-04-02T10:00:00Z"}],
        "mark-use": [{"id": "MRK-1", "checked_on": "2027-07-01"}],
        "supplier-change": [],
        "client-contact": [{"id": "CON-1", "confirmed_on": "2027-08-01"}, {"id": "CON-2", "state": "ended"}],
    } | {name.replace("_", "-"): rows for name, rows in changes.items()}


def checklist(given_registers: Registers, *, at: str = AT, events: list[Event] | None = None) -> Checklist:
    snapshot = fold("c1", initial() if events is None else events, at=day(at), delays=DELAYS)
    return prepare(given_registers, snapshot, own_asks(), DELAYS, audit=next_audit(snapshot))


def item(given_registers: Registers, name: str, **more: Any) -> Item:
    return next(each for each in checklist(given_registers, **more).items if each.id == name)


def test_a_host_that_is_ready_has_everything_present_in_the_order_of_the_audit() -> None:
    found = checklist(registers())
    assert found.audit is K.SURVEILLANCE1
    assert found.since == day("2026-10-16")
    assert {each.presence for each in found.items} == {Presence.PRESENT}
    assert [each.id for each in found.items[:3]] == ["earlier-findings", "changes", "internal-audit"]
    assert all(each.why.fr and each.why.en and each.requirements for each in found.items)


def test_a_register_that_nobody_gives_is_missing_and_not_empty() -> None:
    found = checklist({})
    assert {each.presence for each in found.items} == {Presence.MISSING}
    assert "not given" in found.items[0].why.en
    assert item(registers(incident=[]), "incidents").presence is Presence.PRESENT


def still_open(**changes: Any) -> list[dict[str, Any]]:
    return [FINDING | {"state": "open", "closed_on": None} | changes]


@pytest.mark.parametrize(
    ("name", "changes", "presence", "words"),
    [
        ("earlier-findings", {"finding": []}, Presence.PRESENT, "0 closed"),
        ("earlier-findings", {"finding": still_open()}, Presence.LATE, "1 finding past"),
        ("earlier-findings", {"finding": still_open(due_on=None)}, Presence.LATE, "1 finding past"),
        ("earlier-findings", {"finding": still_open(due_on="2027-12-01")}, Presence.PRESENT, "1 within"),
        (
            "earlier-findings",
            {"finding": still_open(due_on="2027-12-01", actions=None)},
            Presence.MISSING,
            "without an",
        ),
        ("earlier-findings", {"finding": still_open(cycle="c9")}, Presence.PRESENT, "0 closed, 0"),
        ("earlier-findings", {"finding": still_open(cycle=None)}, Presence.LATE, "1 finding past"),
        ("earlier-findings", {"finding": [FINDING | {"closed_on": "2027-12-02"}]}, Presence.LATE, "1 finding past"),
        (
            "changes",
            {"change": [{"id": "x", "done_at": "2027-05-04T08:00:00Z"}]},
            Presence.MISSING,
            "1 to be dealt with",
        ),
        # before the last audit: looked at by it when it was over, and again as long as it is not
        (
            "changes",
            {"change": [{"id": "x", "done_at": "2026-05-04T08:00:00Z", "state": "closed"}]},
            Presence.PRESENT,
            "none since",
        ),
        ("changes", {"change": [{"id": "x", "done_at": "2026-05-04T08:00:00Z"}]}, Presence.MISSING, "1 to be"),
        ("incidents", {"incident": [{"id": "x", "detected_at": "2026-05-04T08:00:00Z"}]}, Presence.MISSING, "1 to be"),
        ("complaints", {"complaint": [{"id": "x", "received_on": "2026-05-04"}]}, Presence.MISSING, "1 to be"),
        (
            "complaints",
            {"complaint": [{"id": "x", "received_on": "2026-05-04", "answered_on": "2026-06-04"}]},
            Presence.PRESENT,
            "none since",
        ),
        ("changes", {"change": [{"id": "x", "done_at": "2027-11-01T08:00:00Z"}]}, Presence.PRESENT, "1 since"),
        # 31 October at 23:30 UTC is already 1 November in Paris: thirty days old, and not one more
        ("changes", {"change": [{"id": "x", "done_at": "2027-10-31T23:30:00Z"}]}, Presence.PRESENT, "1 since"),
        ("changes", {"change": [{"id": "x", "done_at": "2027-10-31T22:30:00Z"}]}, Presence.MISSING, "1 to be"),
        ("internal-audit", {"internal_audit": []}, Presence.MISSING, "none"),
        (
            "internal-audit",
            {"internal_audit": [{"id": "x", "kind": "isms", "ended_on": "2027-09-15", "state": "cancelled"}]},
            Presence.MISSING,
            "none",
        ),
        (
            "trace-audit",
            {"internal_audit": [{"id": "x", "kind": "isms", "ended_on": "2027-09-15"}]},
            Presence.MISSING,
            "none",
        ),
        (
            "management-review",
            {"management_review": [{"id": "x", "held_on": "2026-11-30"}]},
            Presence.LATE,
            "12 months",
        ),
        (
            "management-review",
            {"management_review": [{"id": "x", "held_on": "2026-12-01"}]},
            Presence.PRESENT,
            "on 2026",
        ),
        ("management-review", {"management_review": [{"id": "x", "held_on": "2028-01-01"}]}, Presence.MISSING, "none"),
        (
            "management-review",
            {"management_review": [{"id": "x", "held_on": "2027-11-01", "state": "planned"}]},
            Presence.MISSING,
            "none",
        ),
        ("objectives", {"indicator_value": []}, Presence.MISSING, "none"),
        ("risk-assessment", {"risk": []}, Presence.MISSING, "none"),
        ("risk-assessment", {"risk": [{"id": "x"}]}, Presence.MISSING, "1 without a day"),
        ("risk-assessment", {"risk": [{"id": "x", "assessed_on": "2026-11-30"}]}, Presence.LATE, "older than 12"),
        (
            "contact-points",
            {"client_contact": [{"id": "x", "confirmed_on": "2027-05-31"}]},
            Presence.LATE,
            "older than 6",
        ),
        (
            "contact-points",
            {"client_contact": [{"id": "x", "confirmed_on": "2027-06-01"}]},
            Presence.PRESENT,
            "1 up to",
        ),
        ("open-actions", {"action": [{"id": "x", "due_on": "2027-11-30"}]}, Presence.LATE, "1 past"),
        ("open-actions", {"action": [{"id": "x", "due_on": "2027-12-01"}]}, Presence.PRESENT, "1 within"),
        ("open-actions", {"action": [{"id": "x"}]}, Presence.MISSING, "without a due date"),
        ("incidents", {"incident": [{"id": "x", "detected_at": "2027-05-04T08:00:00Z"}]}, Presence.MISSING, "1 to be"),
        (
            "incidents",
            {"incident": [{"id": "x", "detected_at": "2027-05-04T08:00:00Z", "state": "false-alarm"}]},
            Presence.PRESENT,
            "1 since",
        ),
        (
            "complaints",
            {"complaint": [{"id": "x", "received_on": "2027-04-01", "answered_on": "2027-12-02"}]},
            Presence.MISSING,
            "1 to be",
        ),
        (
            "support-tickets",
            {"ticket": [{"id": "x", "opened_at": "2027-11-20T08:00:00Z"}]},
            Presence.PRESENT,
            "1 since",
        ),
        ("statement-of-applicability", {"document_delivery": []}, Presence.MISSING, "none"),
        (
            "statement-of-applicability",
            {
                "document_delivery": [
                    {"id": "x", "kind": "soa", "recipient_kind": "client", "delivered_at": "2027-01-01"}
                ]
            },
            Presence.MISSING,
            "none",
        ),
        ("use-of-mark", {"mark_use": [{"id": "x", "checked_on": "2026-06-01"}]}, Presence.LATE, "older"),
    ],
)
def test_each_item_is_judged_by_its_rule(name: str, changes: Registers, presence: Presence, words: str) -> None:
    found = item(registers(**changes), name)
    assert found.presence is presence, found.why
    assert words in found.why.en


def test_an_internal_audit_before_the_last_audit_does_not_count_for_the_next() -> None:
    events = [*initial(), event("surveillance1", "2027-12-03")]
    found = item(registers(), "internal-audit", at="2028-06-01", events=events)
    assert (found.presence, found.records) == (Presence.MISSING, ("IAU-1",))
    assert found.why.en == "none since 2027-12-03 (last: 2027-09-15)"
    same_day = registers(internal_audit=[{"id": "x", "kind": "referential", "ended_on": "2027-12-03"}])
    assert item(same_day, "internal-audit", at="2028-06-01", events=events).presence is Presence.PRESENT


def test_what_an_audit_saw_open_is_listed_by_the_next_even_within_its_delay() -> None:
    events = [*initial(), event("surveillance1", "2027-12-03")]
    ticket = {"id": "x", "opened_at": "2027-11-28T08:00:00Z"}
    found = item(registers(ticket=[ticket]), "support-tickets", at="2027-12-10", events=events)
    assert (found.presence, found.records) == (Presence.PRESENT, ("x",))
    assert found.why.en == "1 since 2027-12-03 or still open"
    late = item(registers(ticket=[ticket]), "support-tickets", at="2028-06-01", events=events)
    assert (late.presence, late.records) == (Presence.MISSING, ("x",))


def test_the_first_surveillance_after_a_renewal_looks_since_the_renewal_audit() -> None:
    """The decision came months after the audit: what happened between them was looked at by nobody."""
    term = ("2029-12-03", "hds-2030", "2029-12-10", "2033-01-14")
    events = [
        *initial(),
        event("renewal_audit", "2029-09-28"),
        granted(*term, next_cycle="c2"),
        granted(*term, id="opening", cycle="c2", renews="c1"),
    ]
    at = day("2030-06-01")
    former, snapshot = (fold(cycle, events, at=at, delays=DELAYS) for cycle in ("c1", "c2"))
    books = registers(
        change=[{"id": "CHG-9", "done_at": "2029-10-15T08:00:00Z"}],
        finding=still_open(raised_on="2029-09-28", severity="observation", due_on="2030-05-01"),
    )
    found = prepare(books, snapshot, own_asks(), DELAYS, audit=K.SURVEILLANCE1, former=former)
    assert found.since == day("2029-09-28")
    items = {each.id: each for each in found.items}
    assert (items["changes"].presence, items["changes"].records) == (Presence.MISSING, ("CHG-9",))
    assert (items["earlier-findings"].presence, items["earlier-findings"].records) == (Presence.LATE, ("FND-0001",))
    alone = prepare(books, snapshot, own_asks(), DELAYS, audit=K.SURVEILLANCE1)
    assert alone.since == day("2029-12-03")


def test_the_next_audit_follows_the_cycle() -> None:
    events = [*initial(), event("surveillance1", "2027-12-03"), event("surveillance2", "2028-12-05")]
    expected = {
        "2026-06-02": K.STAGE1,  # a candidate has held no audit yet: stage 2 follows stage 1
        "2026-09-10": K.STAGE2,
        "2026-12-16": K.STAGE2,  # held, not decided: what it looks at is still what is prepared
        "2027-01-11": K.SURVEILLANCE1,
        "2027-12-03": K.SURVEILLANCE2,
        "2028-12-05": K.RENEWAL_AUDIT,
    }
    for when, audit in expected.items():
        assert next_audit(fold("c1", events, at=day(when), delays=DELAYS)) is audit
    candidate = checklist(registers(), at="2026-09-01")
    assert "complaints" not in {each.id for each in candidate.items}
    assert candidate.since == day("2025-09-01")


@pytest.mark.parametrize(
    ("changes", "record", "field"),
    [
        ({"change": [{"done_at": "2027-05-04T08:00:00Z"}]}, "change[0]", "id"),
        ({"change": [{"id": "x", "done_at": "2027-05-04T08:00:00"}]}, "change[0]", "done_at"),
        ({"change": [{"id": "x", "done_at": "2027-05-04T28:00:00Z"}]}, "change[0]", "done_at"),
        ({"change": [{"id": "x", "done_at": "9999-12-31T23:59:59Z"}]}, "change[0]", "done_at"),
        (
            {"risk": [{"id": "a", "assessed_on": "2027-11-02"}, {"id": "b", "assessed_on": "hier"}]},
            "risk[1]",
            "assessed_on",
        ),
        ({"mark_use": [[]]}, "mark-use[0]", "-"),
        ({"finding": [FINDING, FINDING | {"raised_on": None}]}, "finding[1]", "raised_on"),
        ({"finding": still_open(severity="huge")}, "finding[0]", "severity"),
    ],
)
def test_a_malformed_record_is_refused_with_its_place(changes: Registers, record: str, field: str) -> None:
    with pytest.raises(RecordRefusedError) as caught:
        checklist(registers(**changes))
    assert (caught.value.facts["record"], caught.value.facts["field"]) == (record, field)


def test_many_late_records_are_counted_and_some_named() -> None:
    found = item(registers(action=[{"id": f"a{n}", "due_on": "2027-01-01"} for n in range(50)]), "open-actions")
    assert found.why.en == "50 past its date"
    assert len(found.records) == NAMED_MAX


@given(offset=st.integers(0, 1094), held=st.integers(-800, 1500))
def test_nothing_dated_after_the_day_counts(offset: int, held: int) -> None:
    start = date(2027, 1, 11).toordinal()
    at, on = date.fromordinal(start + offset), date.fromordinal(start + held)
    found = item(
        registers(management_review=[{"id": "x", "held_on": on.isoformat()}]), "management-review", at=at.isoformat()
    )
    assert found.presence is not Presence.PRESENT or on <= at


def test_a_question_of_another_shape_is_refused() -> None:
    for text in ("item = 3", "[[item]]\nid='x'", "[[other]]\nid='x'", "item = ["):
        with pytest.raises(CertificationDataError):
            read_asks(text)
