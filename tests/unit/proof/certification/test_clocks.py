"""Clocks and tasks: every date of a cycle, from what, until when, closed by what."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from hygie.proof.certification.clocks import Deadline, certificate_deadlines, cycle_deadlines, finding_deadlines
from hygie.proof.certification.cycle import expiry_event, fold
from hygie.proof.certification.events import Event, EventKind
from hygie.proof.certification.tasks import launched, own_tasks
from tests.unit.proof.certification.samples import (
    DELAYS,
    K,
    day,
    event,
    finding,
    finding_body,
    granted,
    hds,
    initial,
    iso,
)


def deadline(events: list[Event], when: str, name: str) -> tuple[str, str, str | None]:
    snapshot = fold("c1", events, at=day(when), delays=DELAYS)
    found = {each.id: each for each in cycle_deadlines(snapshot, DELAYS)}[f"c1/{name}"]
    return said(found)


def said(found: Deadline) -> tuple[str, str, str | None]:
    closed = None if found.closed_on is None else found.closed_on.isoformat()
    return found.opened_on.isoformat(), found.due_on.isoformat(), closed


def test_a_decision_opens_the_clocks_of_three_years() -> None:
    events = initial()
    assert deadline(events, "2027-01-11", "surveillance-1") == ("2027-01-11", "2028-01-11", None)
    assert deadline(events, "2027-01-11", "surveillance-2") == ("2027-01-11", "2029-01-11", None)
    assert deadline(events, "2027-01-11", "renewal-audit") == ("2027-01-11", "2029-10-14", None)
    assert deadline(events, "2027-01-11", "expiry") == ("2027-01-11", "2030-01-14", None)
    corrections = deadline(events, "2027-01-11", "corrections/stage2-2026-10-16")
    assert corrections == ("2026-10-20", "2027-01-16", "2026-12-15")


def test_before_a_decision_only_corrections_run() -> None:
    for when in ("2026-06-02", "2026-09-11", "2026-10-17"):
        assert cycle_deadlines(fold("c1", initial(), at=day(when), delays=DELAYS), DELAYS) == ()
    snapshot = fold("c1", initial(), at=day("2026-10-21"), delays=DELAYS)
    assert [each.id for each in cycle_deadlines(snapshot, DELAYS)] == ["c1/corrections/stage2-2026-10-16"]


def test_an_audit_closes_its_clock_and_an_early_one_brings_the_next_forward() -> None:
    held = [*initial(), event("surveillance1", "2028-01-05")]
    assert deadline(held, "2028-01-05", "surveillance-1")[2] == "2028-01-05"
    assert deadline(held, "2028-01-05", "surveillance-2") == ("2027-01-11", "2029-01-11", None)
    early = [*initial(), event("surveillance1", "2027-11-30")]
    # held in 2027: a calendar year without surveillance would follow if the second waited for January 2029
    assert deadline(early, "2027-11-30", "surveillance-2") == ("2027-11-30", "2028-12-31", None)
    assert deadline(early, "2027-11-29", "surveillance-2") == ("2027-01-11", "2029-01-11", None)


def test_the_end_of_a_cycle_closes_what_runs_but_expiry_waits_to_be_noted() -> None:
    stopped = [*initial(), event("suspension", "2027-09-01"), event("withdrawal", "2027-12-01")]
    for name in ("surveillance-1", "surveillance-2", "renewal-audit", "expiry", "suspension/2027-09-01"):
        assert deadline(stopped, "2028-01-01", name)[2] == "2027-12-01"
    assert deadline(initial(), "2030-02-01", "surveillance-1")[2] == "2030-01-15"
    assert deadline(initial(), "2030-02-01", "expiry")[2] is None
    noted = [*initial(), event("expiry", "2030-01-20")]
    assert deadline(noted, "2030-02-01", "expiry")[2] == "2030-01-20"


def test_a_suspension_has_six_months() -> None:
    events = [*initial(), event("suspension", "2027-08-31")]
    assert deadline(events, "2027-09-01", "suspension/2027-08-31") == ("2027-08-31", "2028-02-29", None)


def test_each_certificate_of_the_chain_and_its_edition_are_on_the_calendar() -> None:
    old = hds(
        id="cloud",
        holder="cloud",
        edition="1.1",
        decided_on="2024-01-11",
        issued_on="2024-01-15",
        expires_on="2027-01-14",
    )
    following = hds(
        id="hds-2030", renews="hds-2027", issued_on="2029-12-10", decided_on="2029-12-03", expires_on="2032-12-09"
    )
    gone = iso(id="gone", state="withdrawn", state_on="2027-06-01")
    last_of_edition = hds(
        id="same", edition="1.1", decided_on="2024-01-11", issued_on="2024-01-15", expires_on="2026-05-15"
    )
    assert [each.id for each in certificate_deadlines([last_of_edition], DELAYS)] == ["certificate/same/expiry"]
    found = {each.id: said(each) for each in certificate_deadlines([old, hds(), following, gone], DELAYS)}
    assert found == {
        "certificate/cloud/edition": ("2024-01-15", "2026-05-15", None),
        "certificate/cloud/expiry": ("2024-01-15", "2027-01-14", None),
        "certificate/hds-2027/expiry": ("2027-01-15", "2030-01-14", "2029-12-10"),
        "certificate/hds-2030/expiry": ("2029-12-10", "2032-12-09", None),
        "certificate/gone/expiry": ("2027-01-15", "2030-01-14", "2027-06-01"),
    }


def test_findings_and_their_actions_have_their_own_clocks() -> None:
    found = {each.id: said(each) for each in finding_deadlines([finding()], DELAYS)}
    assert found == {
        "c1/finding/f1": ("2026-10-16", "2027-01-16", "2026-12-15"),
        "c1/finding/f1/action/a1": ("2026-10-16", "2026-11-30", "2026-11-20"),
    }


def tasks_of(events: list[Event], last: Event) -> dict[str, date]:
    snapshot = fold("c1", [*events, last], at=last.on, delays=DELAYS)
    return {task.id.rpartition("/")[2]: task.due_on for task in launched(last, snapshot, own_tasks(), DELAYS)}


def test_a_suspension_tells_clients_readies_the_contact_list_and_arms_exits() -> None:
    found = tasks_of(initial(), event("suspension", "2027-09-01"))
    assert found["contact-list"] == day("2027-09-01")
    assert found["tell-clients-loss"] == day("2027-09-01")
    assert found["block-production"] == day("2027-09-01")
    assert found["arm-exits"] == day("2027-09-06")
    assert "start-exits" not in found


def test_an_expiry_that_nobody_records_launches_its_tasks_too() -> None:
    snapshot = fold("c1", initial(), at=day("2030-01-15"), delays=DELAYS)
    lapse = expiry_event(snapshot)
    assert lapse is not None
    names = {task.id.rpartition("/")[2] for task in launched(lapse, snapshot, own_tasks(), DELAYS)}
    assert {"tell-clients-loss", "contact-list", "block-production", "arm-exits", "start-exits"} <= names


def test_a_sub_contractor_s_loss_starts_its_procedure() -> None:
    lost = tasks_of(initial(), event("subprocessor_lost", "2027-09-01"))
    assert {"subprocessor-procedure", "subprocessor-coverage", "subprocessor-clients", "subprocessor-exit"} <= set(lost)
    suspended = tasks_of(initial(), event("subprocessor_suspended", "2027-09-01"))
    assert set(lost) - set(suspended) == {"subprocessor-exit"}


def test_a_decision_updates_contracts_and_books_the_first_surveillance() -> None:
    found = tasks_of(initial()[:-1], initial()[-1])
    assert found["contract-dates"] == day("2027-02-10")
    assert found["book-surveillance-1"] == day("2027-09-13")  # 120 days before 2028-01-11
    assert "refusal-review" not in found
    refused = tasks_of(initial()[:-1], event("decision", "2027-01-11", outcome="refused"))
    assert set(refused) == {"refusal-review"}


def test_a_task_whose_day_has_passed_is_due_at_once_and_one_without_clock_is_left_out() -> None:
    fields: dict[str, Any] = {
        "certificate": "hds-2027",
        "decided_on": "2027-01-11",
        "issued_on": "2027-01-15",
        "expires_on": "2030-01-14",
        "audited_on": "2027-12-20",
        "report": "R-9",
        "surveillance1_on": "2027-12-20",
    }
    found = tasks_of([], event("import", "2028-11-01", **fields))
    assert found["book-surveillance-2"] == day("2028-11-01")  # would have been due in September
    assert "book-surveillance-1" not in found


def test_every_kind_of_event_that_changes_something_launches_a_task() -> None:
    silent = {kind for kind in EventKind if not any(kind in rule.on for rule in own_tasks().rules)}
    assert silent == {K.CORRECTIONS_VERIFIED}


def test_a_task_has_a_title_an_owner_and_what_it_serves() -> None:
    last = event("suspension", "2027-09-01")
    snapshot = fold("c1", [*initial(), last], at=last.on, delays=DELAYS)
    tasks = launched(last, snapshot, own_tasks(), DELAYS)
    assert tasks
    assert all(task.title.fr and task.title.en and task.owner.fr and task.requirements for task in tasks)


@pytest.mark.parametrize("severity", ["major", "minor", "observation"])
def test_a_finding_s_source_is_that_of_its_severity(severity: str) -> None:
    one = finding_deadlines([finding(**finding_body(severity=severity))], DELAYS)[-1]
    assert one.source == DELAYS.rule(f"finding_{severity}", day("2026-10-16")).source


def test_a_renewed_cycle_s_clocks_are_closed_by_the_decision() -> None:
    events = [
        *initial(),
        event("surveillance1", "2028-01-05"),
        event("surveillance2", "2029-01-08"),
        event("renewal_audit", "2029-09-28"),
        granted("2029-12-03", "hds-2030", "2029-12-10", "2033-01-14", next_cycle="c2"),
    ]
    assert deadline(events, "2029-12-03", "expiry")[2] == "2029-12-03"
    assert deadline(events, "2029-12-03", "renewal-audit")[2] == "2029-09-28"
    assert deadline(events, "2031-12-03", "expiry")[2] == "2029-12-03"
