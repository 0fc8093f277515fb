"""What is expected of a record, by when, and whether it was done in time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hygie.registers.chain import RecordVersion
from hygie.registers.clocks import Progress, expectations, falls_due
from hygie.registers.schema import Clock, shipped_schemas

SCHEMAS = shipped_schemas()


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def record(register: str, state: str = "", **fields: object) -> RecordVersion:
    state = state or SCHEMAS[register].initial.id
    return RecordVersion(1, register, "X-1", 1, at("2026-01-01"), "local:anne", "", "chu-x", state, "", fields)


def expected(found: RecordVersion, now: str) -> dict[str, tuple[str, Progress]]:
    return {one.clock: (one.due, one.progress) for one in expectations(SCHEMAS[found.register], found, at(now))}


def test_the_month_of_a_rights_request_runs_by_the_calendar_and_is_extended_by_two() -> None:
    asked = record("rights-request", received_on="2026-01-31", channel="controller", right="access")
    assert expected(asked, "2026-02-28T22:59:59") == {"answer": ("2026-02-28", Progress.RUNNING)}
    assert expected(asked, "2026-02-28T23:00:00")["answer"][1] is Progress.LATE  # midnight in Paris
    longer = record("rights-request", received_on="2026-01-31", channel="controller", extended=True)
    assert expected(longer, "2026-03-01") == {"extended-answer": ("2026-04-30", Progress.RUNNING)}
    file = record("rights-request", received_on="2026-01-31", channel="controller", medical_file="recent")
    assert expected(file, "2026-02-08")["medical-file"] == ("2026-02-08", Progress.RUNNING)
    direct = record("rights-request", received_on="2026-01-31", channel="person")
    assert expected(direct, "2026-02-03")["relay"] == ("2026-02-02", Progress.LATE)


def test_the_72_hours_of_a_breach_run_from_the_controllers_awareness_to_the_second() -> None:
    told = {"aware_at": "2026-03-28T08:00:00Z", "told_at": "2026-03-28T09:00:00Z", "risk": "some", "nis2": True}
    running = expected(record("violation", **told), "2026-03-28T10:00:00")
    assert running["controller"] == ("2026-03-29T08:00:00Z", Progress.KEPT)
    assert running["cnil"] == ("2026-03-31T09:00:00Z", Progress.RUNNING)
    assert running["nis2-warning"] == ("2026-03-29T09:00:00Z", Progress.RUNNING)
    assert "health" not in running
    assert "nis2-report" not in running
    late = record("violation", **told, cnil_filed_at="2026-03-31T09:00:01Z", nis2_notified_at="2026-03-31T09:00:00Z")
    done = expected(late, "2026-04-01")
    assert done["cnil"][1] is Progress.MISSED
    assert done["nis2-notice"][1] is Progress.KEPT
    assert done["nis2-report"] == ("2026-04-30T09:00:00Z", Progress.RUNNING)
    assert "cnil" not in expected(record("violation", **{**told, "risk": "none"}), "2026-03-30")


def test_a_closed_record_expects_nothing_but_says_what_was_kept() -> None:
    closed = record("rights-request", "executed", received_on="2026-01-05", answered_on="2026-02-05")
    assert expected(closed, "2026-06-01") == {"answer": ("2026-02-05", Progress.KEPT)}
    dismissed = record("violation", "dismissed", aware_at="2026-03-28T08:00:00Z", risk="none")
    assert expected(dismissed, "2026-06-01") == {}


def test_a_patch_is_due_by_its_severity_and_a_ticket_by_its_contract() -> None:
    patch = {"kind": "patch", "published_on": "2026-01-01"}
    assert expected(record("change", **patch, severity="critical"), "2026-01-08")["patch-critical"] == (
        "2026-01-08",
        Progress.RUNNING,
    )
    done = record("change", "done", **patch, severity="critical", done_at="2026-01-09T00:00:00Z")
    assert expected(done, "2026-01-10")["patch-critical"][1] is Progress.MISSED
    ticket = record("ticket", opened_at="2026-01-01T23:50:00Z", response_target_min=30)
    assert expected(ticket, "2026-01-02T00:20:01") == {"response": ("2026-01-02T00:20:00Z", Progress.LATE)}


def test_a_due_date_and_a_review_are_expected_of_an_open_record() -> None:
    action = record("action", due_on="2026-03-01")
    assert expected(action, "2026-03-01T12:00:00") == {"due": ("2026-03-01", Progress.RUNNING)}
    assert expected(action, "2026-03-02")["due"][1] is Progress.LATE
    assert expected(record("action", "verified", due_on="2026-03-01"), "2026-03-02") == {}
    assert expected(record("person"), "2026-06-01") == {"review": ("2027-01-01", Progress.RUNNING)}
    assert expected(record("person", "left"), "2026-06-01") == {}


@pytest.mark.parametrize(
    ("register", "field", "states"),
    [
        ("audit", "planned_on", {"planned"}),
        ("internal-audit", "planned_on", {"planned"}),
        ("management-review", "held_on", {"planned"}),
        ("habilitation-review", "due_on", {"pending"}),
        ("action", "due_on", {"open", "in-progress"}),
        ("finding", "due_on", {"open", "answered", "corrected"}),
        ("intervention", "ends_before", {"requested", "validated", "in-progress"}),
        ("contract", "ends_on", {"draft", "signed", "amended"}),
    ],
)
def test_what_was_done_is_not_late_while_the_rest_follows(register: str, field: str, states: set[str]) -> None:
    late = {
        state.id
        for state in SCHEMAS[register].states
        if expected(record(register, state.id, **{field: "2026-03-01"}), "2026-03-02").get("due")
    }
    assert late == states


def test_a_day_is_over_at_midnight_in_paris_in_winter_and_in_summer() -> None:
    for due, last, over in (
        ("2026-01-15", "2026-01-15T22:59:59", "2026-01-15T23:00:00"),
        ("2026-07-15", "2026-07-15T21:59:59", "2026-07-15T22:00:00"),
    ):
        action = record("action", due_on=due)
        assert expected(action, last)["due"] == (due, Progress.RUNNING)
        assert expected(action, over)["due"][1] is Progress.LATE
    patch = {"kind": "patch", "severity": "critical", "published_on": "2026-01-01"}
    for done_at, progress in (("2026-01-08T22:59:59Z", Progress.KEPT), ("2026-01-08T23:00:00Z", Progress.MISSED)):
        done = expected(record("change", "done", **patch, done_at=done_at), "2026-01-20")
        assert done["patch-critical"] == ("2026-01-08", progress)


def test_what_falls_due_within_days_is_counted_from_today_in_paris() -> None:
    (due,) = expectations(SCHEMAS["action"], record("action", due_on="2026-03-02"), at("2026-02-01"))
    assert not falls_due(due, at("2026-02-28T22:59:59"), 1)
    assert falls_due(due, at("2026-02-28T23:00:00"), 1)
    (ticket,) = expectations(
        SCHEMAS["ticket"], record("ticket", opened_at="2026-03-02T22:30:00Z", response_target_min=30), at("2026-03-01")
    )
    assert (ticket.due, falls_due(ticket, at("2026-03-01"), 1)) == ("2026-03-02T23:00:00Z", False)
    assert falls_due(ticket, at("2026-03-01"), 2)


@pytest.mark.parametrize(
    ("day", "runs"), [("2026-09-25", False), ("2026-09-26", True), ("2027-12-31", True), ("2028-01-01", False)]
)
def test_a_rule_applies_to_what_starts_while_it_is_in_force(day: str, runs: bool) -> None:
    from hygie.registers.clocks import due_of

    clock = Clock(
        id="c", fr="x", en="x", start="on", who="host", status="literal", source_fr="x", source_en="x", delay="P1D",
        valid_from="2026-09-26", valid_until="2027-12-31",
    )  # fmt: skip
    assert (due_of(clock, record("action", on=day)) is not None) is runs
