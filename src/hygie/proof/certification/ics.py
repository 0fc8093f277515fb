"""The calendar as an iCalendar file (RFC 5545) that calendar programs subscribe to or import.

All-day events on the due dates, with one alarm for each warning at 9 in the morning. Lines end in CRLF and are folded
at 75 octets; the UID of a deadline never changes, so that a program moves the event when its date moves.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta

from hygie.base.errors import Language
from hygie.proof.certification.calendar import AlertKind, alerts
from hygie.proof.certification.civil import working_day_before
from hygie.proof.certification.clocks import Deadline, in_order
from hygie.proof.model import Text

LINE_OCTETS_MAX = 75  # RFC 5545, 3.1
ALARM_HOUR = 9  # the start of a working day: an alarm at midnight is seen by nobody, or wakes somebody
UID_DOMAIN = "certification.hygie.invalid"  # reserved name (RFC 2606): a UID needs a right-hand side, not a machine

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_NAME = Text("Certification HDS", "HDS certification")


def export(deadlines: Iterable[Deadline], leads: Collection[int], *, stamped_at: datetime, language: Language) -> bytes:
    """The open deadlines as an iCalendar object, UTF-8.

    stamped_at: instant given to every DTSTAMP, with its zone. The same arguments give the same bytes.
    """
    stamp = stamped_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:-//Hygie//certification//{language.upper()}",
        "CALSCALE:GREGORIAN",
        f"X-WR-CALNAME:{escaped(_in(_NAME, language))}",
        "X-WR-TIMEZONE:Europe/Paris",
    ]
    for deadline in in_order(deadlines):
        if deadline.closed_on is None:
            lines += _event(deadline, leads, stamp, language)
    lines.append("END:VCALENDAR")
    return b"".join(folded(line) for line in lines)


def escaped(text: str) -> str:
    """A TEXT value: backslash, semicolon, comma and line break escaped, other control characters left out."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text)
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def folded(line: str) -> bytes:
    """One content line, ended by CRLF, folded at LINE_OCTETS_MAX octets between two characters."""
    parts: list[bytes] = []
    part = b""
    for character in line:
        raw = character.encode()
        if len(part) + len(raw) > LINE_OCTETS_MAX:
            parts.append(part)
            part = b" "
        part += raw
    return b"\r\n".join([*parts, part]) + b"\r\n"


def uid(deadline: Deadline) -> str:
    """The UID of a deadline: a digest of its identifier, whatever its date becomes."""
    return f"{hashlib.sha256(deadline.id.encode()).hexdigest()[:32]}@{UID_DOMAIN}"


def _event(deadline: Deadline, leads: Collection[int], stamp: str, language: Language) -> list[str]:
    title = f"{_in(deadline.title, language)} ({deadline.subject})"
    act_on = working_day_before(deadline.due_on)
    told = [
        Text(f"Source : {deadline.source.fr}.", f"Source: {deadline.source.en}."),
        Text(f"Exigences : {_listed(deadline)}.", f"Requirements: {_listed(deadline)}."),
    ]
    if act_on != deadline.due_on:
        day = act_on.isoformat()
        told.append(Text(f"Dernier jour ouvré : {day}.", f"Last working day: {day}."))
    lines = [
        "BEGIN:VEVENT",
        f"UID:{uid(deadline)}",
        f"DTSTAMP:{stamp}",
        f"DTSTART;VALUE=DATE:{_day(deadline.due_on)}",
        f"DTEND;VALUE=DATE:{_day(deadline.due_on + timedelta(days=1))}",
        f"SUMMARY:{escaped(title[0].upper() + title[1:])}",
        f"DESCRIPTION:{escaped(chr(10).join(_in(each, language) for each in told))}",
        f"CATEGORIES:{escaped(deadline.kind.value)}",
        "TRANSP:TRANSPARENT",
    ]
    for alert in alerts(deadline, leads):
        if alert.kind is AlertKind.WARNING:
            lines += [
                "BEGIN:VALARM",
                "ACTION:DISPLAY",
                f"DESCRIPTION:{escaped(_left(title, alert.days_left, language))}",
                f"TRIGGER:{_trigger(alert.days_left)}",
                "END:VALARM",
            ]
    return [*lines, "END:VEVENT"]


def _trigger(days_left: int) -> str:
    """Nine in the morning that many days before: the event starts at midnight, so one day less, and hours back."""
    if days_left == 0:
        return f"PT{ALARM_HOUR}H"
    days = f"{days_left - 1}D" if days_left > 1 else ""
    return f"-P{days}T{24 - ALARM_HOUR}H"


def _left(title: str, days: int, language: Language) -> str:
    plural = "s" if days > 1 else ""
    return _in(Text(f"{title} : {days} jour{plural} restant{plural}", f"{title}: {days} day{plural} left"), language)


def _listed(deadline: Deadline) -> str:
    return ", ".join(deadline.requirements) or "-"


def _day(day: date) -> str:
    return day.strftime("%Y%m%d")


def _in(text: Text, language: Language) -> str:
    return text.fr if language == "fr" else text.en
