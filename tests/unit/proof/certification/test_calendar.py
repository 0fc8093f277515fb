"""The calendar: each warning on its day and once; what is late; the same in an iCalendar file."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.errors import Language
from hygie.proof.certification.calendar import AlertKind, Status, alerts, entries, untold
from hygie.proof.certification.clocks import Deadline, DeadlineKind
from hygie.proof.certification.ics import LINE_OCTETS_MAX, export, folded
from hygie.proof.model import Text
from tests.unit.proof.certification.samples import DELAYS, day

LEADS = DELAYS.leads
STAMPED = datetime(2027, 1, 11, 8, 30, tzinfo=UTC)


def clock(
    opened: str, due: str, closed: str | None = None, *, title: Text | None = None, name: str = "c1/x"
) -> Deadline:
    return Deadline(
        id=name,
        kind=DeadlineKind.SURVEILLANCE1,
        subject="c1",
        title=title or Text("audit de surveillance 1", "surveillance audit 1"),
        opened_on=day(opened),
        due_on=day(due),
        closed_on=day(closed) if closed else None,
        source=Text("une norme", "a standard"),
        requirements=("EXI-01", "EXI-16"),
    )


def days_of(deadline: Deadline) -> list[tuple[str, str]]:
    return [(alert.kind.value, alert.on.isoformat()) for alert in alerts(deadline, LEADS)]


def test_the_leads_are_180_90_and_30_days() -> None:
    assert LEADS == (180, 90, 30)


@pytest.mark.parametrize(
    ("deadline", "expected"),
    [
        (
            clock("2027-01-11", "2028-01-11"),
            [("warning", "2027-07-15"), ("warning", "2027-10-13"), ("warning", "2027-12-12"), ("late", "2028-01-12")],
        ),
        # a clock of three months: the warning of 180 days is given when it opens
        (
            clock("2026-10-20", "2027-01-16"),
            [("warning", "2026-10-20"), ("warning", "2026-12-17"), ("late", "2027-01-17")],
        ),
        # opens on the very day of a warning: one, not two
        (clock("2027-12-12", "2028-01-11"), [("warning", "2027-12-12"), ("late", "2028-01-12")]),
        # known only once late
        (clock("2028-03-01", "2028-01-11"), [("late", "2028-03-01")]),
        # closed on the day of a warning: nothing to warn of
        (clock("2027-01-11", "2028-01-11", "2027-10-13"), [("warning", "2027-07-15")]),
        # closed on the last day: never late; on the next: late
        (clock("2027-12-20", "2028-01-11", "2028-01-11"), [("warning", "2027-12-20")]),
        (clock("2027-12-20", "2028-01-11", "2028-01-12"), [("warning", "2027-12-20"), ("late", "2028-01-12")]),
    ],
)
def test_warnings_fall_on_their_days(deadline: Deadline, expected: list[tuple[str, str]]) -> None:
    assert days_of(deadline) == expected


def test_a_date_that_moves_warns_anew_and_one_that_does_not_keeps_its_names() -> None:
    first = {alert.id for alert in alerts(clock("2027-01-11", "2029-01-11"), LEADS)}
    moved = {alert.id for alert in alerts(clock("2027-11-30", "2028-12-31"), LEADS)}
    closed = {alert.id for alert in alerts(clock("2027-01-11", "2029-01-11", "2028-12-30"), LEADS)}
    assert first.isdisjoint(moved)
    assert closed < first


@given(
    opened=st.dates(date(2026, 1, 1), date(2030, 1, 1)),
    term=st.integers(-30, 1200),
    closing=st.none() | st.integers(0, 1300),
    leads=st.sets(st.integers(0, 400), min_size=1, max_size=5),
    started=st.integers(0, 40),
)
def test_stepping_day_by_day_finds_each_warning_on_its_day_and_once(
    opened: date, term: int, closing: int | None, leads: set[int], started: int
) -> None:
    due = opened + timedelta(days=term)
    closed = None if closing is None else opened + timedelta(days=closing)
    deadline = clock(opened.isoformat(), due.isoformat(), closed and closed.isoformat())
    told: dict[str, date] = {}
    for offset in range(-started, 1400):
        today = opened + timedelta(days=offset)
        as_known = deadline if closed and today >= closed else clock(opened.isoformat(), due.isoformat())
        visible = [as_known] if today >= opened else []
        for alert in untold(visible, leads, at=today, told=told):
            assert alert.id not in told
            assert alert.on == today
            assert alert.days_left == (due - today).days
            told[alert.id] = today
    # computed apart: a day for each lead, never before the opening, none once closed, one more when late
    expected = {max(opened, due - timedelta(days=lead)) for lead in leads} if opened <= due else set()
    expected = {each for each in expected if closed is None or each < closed}
    if closed is None or closed > due:
        late = max(opened, due + timedelta(days=1))
        expected |= {late} if closed is None or late <= closed else set()
    assert sorted(told.values()) == sorted(expected)


def test_a_gathered_warning_bears_the_name_of_the_nearest_lead_it_stands_for() -> None:
    first = alerts(clock("2027-12-20", "2028-01-11"), LEADS)[0]
    assert (first.id, first.days_left) == ("c1/x/2028-01-11/30", 22)


def test_days_without_asking_give_the_missed_warnings_together() -> None:
    deadline = clock("2027-01-11", "2028-01-11")
    found = untold([deadline], LEADS, at=day("2028-02-01"), told=set())
    assert [(alert.kind, alert.days_left) for alert in found] == [
        (AlertKind.WARNING, 180),
        (AlertKind.WARNING, 90),
        (AlertKind.WARNING, 30),
        (AlertKind.LATE, -1),
    ]
    assert untold([deadline], LEADS, at=day("2028-02-01"), told={alert.id for alert in found}) == ()


@pytest.mark.parametrize(
    ("at", "status", "left", "following"),
    [
        ("2027-01-11", Status.AHEAD, 365, "2027-07-15"),
        ("2027-07-15", Status.WARNED, 180, "2027-10-13"),
        ("2028-01-11", Status.WARNED, 0, "2028-01-12"),
        ("2028-01-12", Status.LATE, -1, None),
    ],
)
def test_an_entry_says_how_a_date_stands(at: str, status: Status, left: int, following: str | None) -> None:
    entry = entries([clock("2027-01-11", "2028-01-11")], LEADS, at=day(at))[0]
    assert (entry.status, entry.days_left) == (status, left)
    assert entry.next_alert_on == (day(following) if following else None)


def test_entries_come_by_date_and_show_the_last_working_day() -> None:
    one, two = clock("2027-01-01", "2027-05-16", name="a"), clock("2027-01-01", "2027-03-01", "2027-02-01", name="b")
    found = entries([one, two], LEADS, at=day("2027-03-02"))
    assert [entry.deadline.id for entry in found] == ["b", "a"]
    assert [entry.status for entry in found] == [Status.DONE, Status.WARNED]
    assert found[1].act_on == day("2027-05-14")  # a Sunday, then back to Friday


def unfolded(raw: bytes) -> list[str]:
    assert raw.endswith(b"\r\n")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    lines = raw.split(b"\r\n")
    assert max(len(line) for line in lines) <= LINE_OCTETS_MAX
    for line in lines:
        line.decode("utf-8")  # no character is cut in two
    return raw.replace(b"\r\n ", b"").decode().split("\r\n")[:-1]


def test_an_icalendar_file_holds_the_open_dates_with_their_alarms() -> None:
    title = Text("audit ; étape, « 1 »\nou \\ 2", "audit; stage, 1")
    deadlines = [
        clock("2027-01-11", "2028-01-11", title=title),
        clock("2027-01-11", "2028-02-11", "2027-03-01", name="c"),
    ]
    lines = unfolded(export(deadlines, LEADS, stamped_at=STAMPED, language="fr"))
    assert lines[:2] == ["BEGIN:VCALENDAR", "VERSION:2.0"]
    assert lines[-1] == "END:VCALENDAR"
    assert lines.count("BEGIN:VEVENT") == 1
    assert "DTSTAMP:20270111T083000Z" in lines
    assert "DTSTART;VALUE=DATE:20280111" in lines
    assert "DTEND;VALUE=DATE:20280112" in lines
    assert r"SUMMARY:Audit \; étape\, « 1 »\nou \\ 2 (c1)" in lines
    triggers = [line for line in lines if line.startswith("TRIGGER")]
    assert triggers == ["TRIGGER:-P179DT15H", "TRIGGER:-P89DT15H", "TRIGGER:-P29DT15H"]


@given(lead=st.integers(0, 400))
def test_an_alarm_rings_at_nine_on_the_day_of_its_warning(lead: int) -> None:
    opened, due = date(2026, 1, 1), date(2028, 6, 1)
    lines = unfolded(export([clock(opened.isoformat(), due.isoformat())], {lead}, stamped_at=STAMPED, language="en"))
    trigger = next(line for line in lines if line.startswith("TRIGGER:")).removeprefix("TRIGGER:")
    sign, days, hours = re.fullmatch(r"(-?)P(?:(\d+)D)?T(\d+)H", trigger).groups()  # type: ignore[union-attr]
    shift = timedelta(days=int(days or 0), hours=int(hours)) * (-1 if sign else 1)
    assert datetime(2028, 6, 1) + shift == datetime(2028, 6, 1, 9) - timedelta(days=lead)  # noqa: DTZ001


def test_a_uid_stays_when_the_date_moves_and_differs_between_dates() -> None:
    def uids(*deadlines: Deadline) -> list[str]:
        lines = unfolded(export(deadlines, LEADS, stamped_at=STAMPED, language="fr"))
        return [line for line in lines if line.startswith("UID:")]

    first = uids(clock("2027-01-11", "2029-01-11"))
    assert uids(clock("2027-11-30", "2028-12-31")) == first
    assert len(set(uids(clock("2027-01-11", "2028-01-11"), clock("2027-01-11", "2028-01-11", name="c1/y")))) == 2


@given(text=st.text(max_size=400), language=st.sampled_from(["fr", "en"]))
def test_no_title_breaks_the_file(text: str, language: Language) -> None:
    text = "x" + text.encode("utf-8", "ignore").decode()
    raw = export(
        [clock("2027-01-11", "2028-01-11", title=Text(text, text))], LEADS, stamped_at=STAMPED, language=language
    )
    lines = unfolded(raw)
    assert sum(line.startswith("BEGIN:") for line in lines) == sum(line.startswith("END:") for line in lines) == 5
    names = {re.split("[:;]", line)[0] for line in lines}
    assert names <= {
        *("BEGIN", "END", "VERSION", "PRODID", "CALSCALE", "X-WR-CALNAME", "X-WR-TIMEZONE", "UID", "DTSTAMP"),
        *("DTSTART", "DTEND", "SUMMARY", "DESCRIPTION", "CATEGORIES", "TRANSP", "ACTION", "TRIGGER"),
    }


def test_a_line_of_75_octets_is_not_folded_and_one_more_is() -> None:
    assert folded("x" * 75) == b"x" * 75 + b"\r\n"
    assert folded("x" * 76) == b"x" * 75 + b"\r\n x\r\n"
    assert folded("x" * 74 + "é") == b"x" * 74 + b"\r\n " + "é".encode() + b"\r\n"
