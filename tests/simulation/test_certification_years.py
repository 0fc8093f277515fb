"""Three whole years and more on a simulated clock: every warning on its day, once, none missing, none early.

Several cycles that start on different days are stepped day by day, and hour by hour around each change of hour and the
leap day. The due dates below were worked out by hand on a paper calendar, not by the code under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from hygie.base.civil import paris_date
from hygie.proof.certification.agenda import agenda_on
from hygie.proof.certification.calendar import Status, entries, untold
from hygie.proof.certification.clocks import Deadline, cycle_deadlines, finding_deadlines
from hygie.proof.certification.cycle import fold
from hygie.proof.certification.delays import own_delays
from hygie.proof.certification.events import Event, parse_event
from hygie.proof.certification.findings import Finding, parse_finding
from hygie.proof.certification.from_registers import ACTION, EVENT
from hygie.proof.certification.tasks import Task, launched, own_tasks
from hygie.registers.chain import RecordVersion

DELAYS = own_delays()
LEADS = (180, 90, 30)
FIRST, LAST = date(2026, 11, 1), date(2031, 3, 31)
# The days on which Paris changes its hour (last Sundays of March and October), and the leap day.
HOUR_CHANGES = [
    "2027-03-28",
    "2027-10-31",
    "2028-03-26",
    "2028-10-29",
    "2029-03-25",
    "2029-10-28",
    "2030-03-31",
    "2030-10-27",
    "2031-03-30",
]
LEAP_DAY = "2028-02-29"


def event(cycle: str, kind: str, on: str, **fields: Any) -> Event:
    body = {"id": f"{cycle}-{kind}-{on}", "cycle": cycle, "kind": kind, "on": on} | fields
    if kind in {"stage2", "surveillance1", "surveillance2", "renewal_audit"}:
        body.setdefault("report", "R")
    return parse_event(body)


def granted(cycle: str, on: str, issued_on: str, expires_on: str, **fields: Any) -> Event:
    term = {"certificate": f"hds-{cycle}", "issued_on": issued_on, "expires_on": expires_on}
    return event(cycle, "decision", on, **{"outcome": "granted"} | term | fields)


EVENTS = [
    # a: applies, has three months to correct over the end of February, then a full cycle renewed in time
    event("a", "application", "2026-11-02"),
    event("a", "stage1", "2026-11-16"),
    event("a", "stage2", "2026-11-30"),
    event("a", "corrections_due", "2026-12-04", audit="a-stage2-2026-11-30", findings=["f1"]),
    event("a", "corrections_verified", "2027-02-28", audit="a-stage2-2026-11-30"),
    granted("a", "2027-03-30", "2027-04-01", "2030-03-31"),
    event("a", "surveillance1", "2028-03-30"),
    event("a", "surveillance2", "2029-04-02"),
    event("a", "renewal_audit", "2029-12-14"),
    granted("a", "2030-02-04", "2030-02-05", "2033-03-31", certificate="hds-a2", next_cycle="a2"),
    granted("a2", "2030-02-04", "2030-02-05", "2033-03-31", renews="a"),
    # b: renewed on the day before the platform starts to look; early first surveillance, then nothing, then expired
    granted("b", "2026-11-30", "2026-12-01", "2029-11-30", renews="b0"),
    event("b", "surveillance1", "2027-11-15"),
    event("b", "expiry", "2029-12-03"),
    # c: decided on 24 June, suspended for a missed surveillance, lifted, then withdrawn
    granted("c", "2027-06-24", "2027-06-24", "2030-06-23", renews="c0"),
    event("c", "suspension", "2028-08-31", reason="surveillance manquée"),
    event("c", "surveillance1", "2028-10-12"),
    event("c", "lift", "2028-11-06"),
    event("c", "withdrawal", "2029-03-25", reason="retrait"),
    # d: imported in mid-cycle, forty days before its second surveillance, with an open non-conformity
    event(
        "d",
        "import",
        "2027-10-22",
        certificate="hds-d",
        decided_on="2025-12-01",
        issued_on="2025-12-01",
        expires_on="2028-11-30",
        audited_on="2026-11-26",
        surveillance1_on="2026-11-26",
        report="R",
        findings=["d1"],
    ),
    event("d", "corrections_verified", "2027-10-31", audit="d-import-2027-10-22"),
    event("d", "surveillance2", "2027-11-29"),
    # e: decided on the leap day; corrections of its first surveillance lapse; runs to the end of the simulation
    granted("e", "2028-02-29", "2028-02-29", "2031-02-28", renews="e0"),
    event("e", "surveillance1", "2029-02-27"),
    event("e", "corrections_due", "2029-03-05", audit="e-surveillance1-2029-02-27", findings=["e1"]),
    event("e", "corrections_verified", "2029-06-11", audit="e-surveillance1-2029-02-27"),
    # g: stage 2 on 30 November, corrections never verified: to be redone from 1 March of a leap year
    event("g", "application", "2027-09-01"),
    event("g", "stage1", "2027-10-04"),
    event("g", "stage2", "2027-11-30"),
    event("g", "corrections_due", "2027-12-01", audit="g-stage2-2027-11-30", findings=["g1"]),
]
FINDING = {"severity": "major", "statement": "x", "requirements": ["EXI-05"]}
FINDINGS = [
    (
        "2026-11-30",
        parse_finding(
            FINDING
            | {"id": "f1", "cycle": "a", "audit": "a-stage2-2026-11-30", "raised_on": "2026-11-30"}
            | {"actions": [{"id": "p", "title": "x", "owner": "rssi", "due_on": "2027-01-29"}]}
        ),
    ),
]


@dataclass(frozen=True)
class Expected:
    """A clock as a person writes it down: since when it runs, its last day, the day it was over."""

    name: str
    opened: str
    due: str
    closed: str | None = None


EXPECTED = [
    Expected("a/corrections/a-stage2-2026-11-30", "2026-12-04", "2027-02-28", "2027-02-28"),
    Expected("a/finding/f1", "2026-11-30", "2027-02-28"),
    Expected("a/finding/f1/action/p", "2026-11-30", "2027-01-29"),
    Expected("a/surveillance-1", "2027-03-30", "2028-03-30", "2028-03-30"),
    Expected("a/surveillance-2", "2027-03-30", "2029-03-30", "2029-04-02"),
    Expected("a/renewal-audit", "2027-03-30", "2029-12-31", "2029-12-14"),
    Expected("a/expiry", "2027-03-30", "2030-03-31", "2030-02-04"),
    Expected("a2/surveillance-1", "2030-02-04", "2031-02-04"),
    Expected("a2/surveillance-2", "2030-02-04", "2032-02-04"),
    Expected("a2/renewal-audit", "2030-02-04", "2032-12-31"),
    Expected("a2/expiry", "2030-02-04", "2033-03-31"),
    Expected("b/surveillance-1", "2026-11-30", "2027-11-30", "2027-11-15"),
    Expected("b/surveillance-2", "2026-11-30", "2028-11-30", "2029-12-01"),
    Expected("b/renewal-audit", "2026-11-30", "2029-08-30", "2029-12-01"),
    Expected("b/expiry", "2026-11-30", "2029-11-30", "2029-12-03"),
    Expected("c/surveillance-1", "2027-06-24", "2028-06-24", "2028-10-12"),
    Expected("c/surveillance-2", "2027-06-24", "2029-06-24", "2029-03-25"),
    Expected("c/renewal-audit", "2027-06-24", "2030-03-23", "2029-03-25"),
    Expected("c/expiry", "2027-06-24", "2030-06-23", "2029-03-25"),
    Expected("c/suspension/2028-08-31", "2028-08-31", "2029-02-28", "2028-11-06"),
    Expected("d/corrections/d-import-2027-10-22", "2027-10-22", "2027-02-26", "2027-10-31"),
    Expected("d/surveillance-2", "2027-10-22", "2027-12-01", "2027-11-29"),
    Expected("d/renewal-audit", "2027-10-22", "2028-08-30", "2028-12-01"),
    Expected("d/expiry", "2027-10-22", "2028-11-30"),
    Expected("e/surveillance-1", "2028-02-29", "2029-02-28", "2029-02-27"),
    Expected("e/surveillance-2", "2028-02-29", "2030-02-28", "2031-03-01"),
    Expected("e/renewal-audit", "2028-02-29", "2030-11-28", "2031-03-01"),
    Expected("e/expiry", "2028-02-29", "2031-02-28"),
    Expected("e/corrections/e-surveillance1-2029-02-27", "2029-03-05", "2029-05-27", "2029-06-11"),
    Expected("g/corrections/g-stage2-2027-11-30", "2027-12-01", "2028-02-29", "2028-03-01"),
]


def expected_days(clock: Expected) -> list[date]:
    """The days of the warnings of one clock, by the rule in one sentence: each lead, not before the opening."""
    opened, due = date.fromisoformat(clock.opened), date.fromisoformat(clock.due)
    closed = date.fromisoformat(clock.closed) if clock.closed else date.max
    days = {max(opened, due - timedelta(days=lead)) for lead in LEADS} if opened <= due else set()
    days = {day for day in days if day < closed}
    late = max(opened, due + timedelta(days=1))
    return sorted(days | ({late} if late <= closed else set()))


def known_on(today: date) -> list[Deadline]:
    """Every clock, from what has been recorded by that day."""
    cycles = sorted({event.cycle for event in EVENTS})
    found: list[Deadline] = []
    for cycle in cycles:
        found += cycle_deadlines(fold(cycle, EVENTS, at=today, delays=DELAYS), DELAYS)
    seen: list[Finding] = [each for since, each in FINDINGS if date.fromisoformat(since) <= today]
    return [*found, *finding_deadlines(seen, DELAYS)]


def instants() -> Iterator[int]:
    """Each day at noon in Paris, and every hour of the days around a change of hour and the leap day."""
    slow = {
        date.fromisoformat(day) + timedelta(days=offset) for day in [*HOUR_CHANGES, LEAP_DAY] for offset in (-1, 0, 1)
    }
    at = datetime(FIRST.year, FIRST.month, FIRST.day, 11, tzinfo=UTC)
    while at.date() <= LAST:
        if at.date() in slow:
            midnight = at.replace(hour=0)
            yield from (int((midnight + timedelta(hours=hour)).timestamp() * 1000) for hour in range(24))
        else:
            yield int(at.timestamp() * 1000)
        at += timedelta(days=1)


@pytest.fixture(scope="module")
def told() -> dict[str, tuple[str, date, int]]:
    """The whole run: alert id → the deadline, the civil day and the instant at which it came out."""
    found: dict[str, tuple[str, date, int]] = {}
    known: dict[date, list[Deadline]] = {}
    for at_ms in instants():
        today = paris_date(at_ms)
        if today not in known:
            known = {today: known_on(today)}
        for alert in untold(known[today], LEADS, at=today, told=found):
            assert alert.id not in found, "told twice"
            assert alert.on == today, f"{alert.id} told on {today}"
            found[alert.id] = (alert.deadline.id, today, at_ms)
    return found


def test_the_clock_steps_over_three_whole_years_without_going_back_and_misses_no_day() -> None:
    stepped = list(instants())
    days = [paris_date(at_ms) for at_ms in stepped]
    assert all(before < after for before, after in pairwise(stepped))
    assert all(after - before <= timedelta(days=1) for before, after in pairwise(days))
    assert (days[-1] - days[0]).days > 3 * 365 + 1
    assert date(2028, 2, 29) in days


def test_every_warning_is_found_on_its_day_once_none_missing_none_early(told: dict[str, tuple[str, date, int]]) -> None:
    found: dict[str, list[date]] = {}
    for name, on, _ in told.values():
        found.setdefault(name, []).append(on)
    wanted = {clock.name: days for clock in EXPECTED if (days := [day for day in expected_days(clock) if day <= LAST])}
    assert {name: sorted(days) for name, days in found.items()} == wanted


def test_some_warnings_fall_on_the_days_that_trap_clocks(told: dict[str, tuple[str, date, int]]) -> None:
    days = {on.isoformat() for _, on, _ in told.values()}
    assert {"2027-10-31", "2028-03-26", LEAP_DAY} <= days


def test_around_a_change_of_hour_a_warning_comes_out_in_the_first_hour_of_the_day_in_paris(
    told: dict[str, tuple[str, date, int]],
) -> None:
    trapped = [(on, at_ms) for _, on, at_ms in told.values() if on.isoformat() in {*HOUR_CHANGES, LEAP_DAY}]
    assert trapped
    for on, at_ms in trapped:
        before = paris_date(at_ms - 3_600_000)
        assert before == on - timedelta(days=1), f"{on}: told at {datetime.fromtimestamp(at_ms / 1000, UTC)}"


def action_of(number: int, task: Task, today: date) -> RecordVersion:
    """The action that a task is in the register, as it is on a day: everyone does theirs in time but the lawyers."""
    done = task.due_on <= today and task.owner.en != "legal"
    fields: dict[str, object] = {
        "title": task.title.fr,
        "plan": f"{task.title.en}. Cycle {task.cycle}",
        "origin": EVENT,
        "origin_key": task.id,
        "due_on": task.due_on.isoformat(),
    }
    if done:
        fields["done_on"] = task.due_on.isoformat()
    state = "done" if done else "open"
    return RecordVersion(number, ACTION, f"ACT-{number:04}", 1, 0, "local:rssi", "", "", state, "", fields)


def test_every_task_that_an_event_launches_is_on_the_calendar_and_late_from_the_day_after() -> None:
    rules = own_tasks()
    tasks = [
        task
        for event in EVENTS
        for task in launched(event, fold(event.cycle, EVENTS, at=event.on, delays=DELAYS), rules, DELAYS)
    ]
    assert len({task.id for task in tasks}) == len(tasks) > 60
    late_since: dict[int, date] = {}
    days = {task.due_on + timedelta(days=offset) for task in tasks for offset in (0, 1)}
    for today in sorted(day for day in days if day <= LAST):
        opened = [(number, task) for number, task in enumerate(tasks) if task.opened_on <= today]
        held = [action_of(number, task, today) for number, task in opened]
        agenda = agenda_on(lambda register, held=held: held if register == ACTION else (), today)
        shown = {each.deadline.id: each for each in entries(agenda.deadlines, LEADS, at=today)}
        assert len(shown) == len(opened)
        for number, task in opened:
            entry = shown[f"action/ACT-{number:04}"]
            assert (entry.deadline.due_on, entry.deadline.subject) == (task.due_on, task.cycle)
            if entry.status is Status.LATE:
                late_since.setdefault(number, today)
            elif task.due_on <= today and task.owner.en != "legal":
                assert entry.status is Status.DONE
    lawyers = {number: task.due_on for number, task in enumerate(tasks) if task.owner.en == "legal"}
    assert late_since == {number: due + timedelta(days=1) for number, due in lawyers.items() if due < LAST}
