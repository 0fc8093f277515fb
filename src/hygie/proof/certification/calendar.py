"""Every date of a certification on one calendar: what is late, what comes, and the warnings, each on its day and once.

All days are civil days of Europe/Paris (``base.civil.paris_date``): a deadline holds until midnight there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from hygie.proof.certification.civil import working_day_before
from hygie.proof.certification.clocks import Deadline, in_order


class AlertKind(StrEnum):
    """A date comes, or has passed."""

    WARNING = "warning"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Alert:
    """One warning of one deadline. id: the same each time it is computed; days_left: from its day to the due date."""

    id: str
    kind: AlertKind
    on: date
    days_left: int
    deadline: Deadline


class Status(StrEnum):
    """How a deadline stands on a day."""

    LATE = "late"
    WARNED = "warned"
    AHEAD = "ahead"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Entry:
    """A deadline on the calendar. act_on: the last working day in time; next_alert_on: the day of its next warning."""

    deadline: Deadline
    status: Status
    days_left: int
    act_on: date
    next_alert_on: date | None


def alerts(deadline: Deadline, leads: Collection[int]) -> tuple[Alert, ...]:
    """The warnings of one deadline, in order of days.

    One on each ``due_on`` minus a lead. Those whose day came before the clock opened are gathered into one on the
    opening day, unless another falls on it. One more the day after ``due_on``, when nothing closed it in time. What
    was closed on or before the day of a warning is not warned of.
    """
    days = {lead: deadline.due_on - timedelta(days=lead) for lead in leads}
    on_time = {lead: day for lead, day in days.items() if day >= deadline.opened_on}
    missed = [lead for lead in days if lead not in on_time]
    if missed and deadline.opened_on <= deadline.due_on and deadline.opened_on not in on_time.values():
        on_time[min(missed)] = deadline.opened_on
    closed_on = deadline.closed_on or date.max
    found = [_alert(deadline, AlertKind.WARNING, str(lead), day) for lead, day in on_time.items() if day < closed_on]
    if closed_on > deadline.due_on:
        late_on = max(deadline.due_on + timedelta(days=1), deadline.opened_on)
        if late_on <= closed_on:
            found.append(_alert(deadline, AlertKind.LATE, "late", late_on))
    return tuple(sorted(found, key=lambda alert: alert.on))


def _alert(deadline: Deadline, kind: AlertKind, name: str, on: date) -> Alert:
    # the due date is part of the name: a clock that moves warns anew
    alert_id = f"{deadline.id}/{deadline.due_on.isoformat()}/{name}"
    return Alert(alert_id, kind, on, (deadline.due_on - on).days, deadline)


def untold(
    deadlines: Iterable[Deadline], leads: Collection[int], *, at: date, told: Collection[str]
) -> tuple[Alert, ...]:
    """The warnings whose day has come and that nobody was told of, oldest first.

    told: identifiers of alerts already given. Asked once a day or a hundred times, each alert comes out once; after
    days without asking, those of the missed days come out together.
    """
    found = [alert for each in deadlines for alert in alerts(each, leads) if alert.on <= at and alert.id not in told]
    return tuple(sorted(found, key=lambda alert: (alert.on, alert.id)))


def entries(deadlines: Iterable[Deadline], leads: Collection[int], *, at: date) -> tuple[Entry, ...]:
    """The calendar on a day, by due date. days_left is negative once late."""
    return tuple(_entry(each, leads, at) for each in in_order(deadlines))


def _entry(deadline: Deadline, leads: Collection[int], at: date) -> Entry:
    own = alerts(deadline, leads)
    closed = deadline.closed_on is not None and deadline.closed_on <= at
    if closed:
        status = Status.DONE
    elif at > deadline.due_on:
        status = Status.LATE
    elif any(alert.on <= at for alert in own):
        status = Status.WARNED
    else:
        status = Status.AHEAD
    return Entry(
        deadline=deadline,
        status=status,
        days_left=(deadline.due_on - at).days,
        act_on=working_day_before(deadline.due_on),
        next_alert_on=None if closed else next((alert.on for alert in own if alert.on > at), None),
    )
