"""How the certification is shown to people and given to machines: cycles, certificates, dates, checklists of audits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from hygie.base.language import say
from hygie.cli.console import Console
from hygie.proof.certification.agenda import Agenda
from hygie.proof.certification.calendar import Entry, Status
from hygie.proof.certification.certificate import Certificate, standing
from hygie.proof.certification.cycle import STATE_WORDS
from hygie.proof.certification.delays import own_delays
from hygie.proof.certification.events import EVENT_WORDS, EventKind
from hygie.proof.certification.prepare import Checklist, Presence
from hygie.proof.certification.programme import PLANNED_WORDS, Programme
from hygie.proof.certification.records import state_for
from hygie.proof.model import Text
from hygie.registers.chain import RecordVersion


def show(out: Console, agenda: Agenda, at: date) -> None:
    """Each cycle, then each certificate, on a day."""
    out.line(say(fr=f"Certification au {at}", en=f"Certification on {at}"), style="bold")
    out.table(
        [say(fr="cycle", en="cycle"), say(fr="état", en="state"), say(fr="depuis le", en="since"),
         say(fr="pourquoi", en="why"), say(fr="certificat", en="certificate"), say(fr="expire le", en="expires on"),
         say(fr="audits tenus", en="audits held")],
        [
            [one.cycle, STATE_WORDS[one.state].said(), one.since or "", one.why.said(), one.certificate or "",
             one.expires_on or "", ", ".join(f"{EVENT_WORDS[audit.kind].said()} ({audit.on})" for audit in one.audits)]
            for one in agenda.cycles
        ],
    )  # fmt: skip
    if not agenda.cycles:
        out.line(say(fr="Aucun cycle : rien n'est certifié d'après les registres.", en="No cycle is recorded."))
    out.line()
    out.table(
        [say(fr="certificat", en="certificate"), say(fr="référentiel", en="scheme"), say(fr="titulaire", en="holder"),
         say(fr="activités", en="activities"), say(fr="expire le", en="expires on"), say(fr="vaut", en="holds"),
         say(fr="pourquoi non", en="why not")],
        [
            [one.id, f"{one.scheme.value} {one.edition}", one.holder, " ".join(map(str, one.activities)),
             one.expires_on, say(fr="oui", en="yes") if worth.valid else say(fr="NON", en="NO"),
             "; ".join(reason.said() for reason in worth.reasons)]
            for one, worth in _standing(agenda, at)
        ],
    )  # fmt: skip
    if agenda.books.pending:
        named = ", ".join(agenda.books.pending)
        out.warn(say(fr=f"Constats qu'aucun audit ne nomme : {named}", en=f"Findings that no audit names: {named}"))


def plain(agenda: Agenda, at: date) -> dict[str, Any]:
    """The same for machines."""
    return {
        "at": at.isoformat(),
        "cycles": [
            {
                "cycle": one.cycle,
                "state": one.state.value,
                "since": _iso(one.since),
                "why": list(one.why),
                "certificate": one.certificate,
                "decided_on": _iso(one.decided_on),
                "issued_on": _iso(one.issued_on),
                "expires_on": _iso(one.expires_on),
                "next_cycle": one.next_cycle,
                "audits": [{"kind": audit.kind.value, "on": audit.on.isoformat()} for audit in one.audits],
            }
            for one in agenda.cycles
        ],
        "certificates": [
            {
                "id": one.id,
                "scheme": one.scheme.value,
                "edition": one.edition,
                "holder": one.holder,
                "activities": list(one.activities),
                "expires_on": one.expires_on.isoformat(),
                "valid": worth.valid,
                "reasons": [list(reason) for reason in worth.reasons],
            }
            for one, worth in _standing(agenda, at)
        ],
        "pending_findings": list(agenda.books.pending),
    }


def show_dates(out: Console, entries: Sequence[Entry]) -> None:
    """The calendar."""
    words = {
        Status.LATE: say(fr="EN RETARD", en="LATE"),
        Status.WARNED: say(fr="alerte donnée", en="warned"),
        Status.AHEAD: say(fr="à venir", en="ahead"),
        Status.DONE: say(fr="fait", en="done"),
    }
    out.table(
        [say(fr="au plus tard le", en="due on"), say(fr="jours", en="days"), say(fr="quoi", en="what"),
         say(fr="sujet", en="subject"), say(fr="agir le", en="act on"), "", say(fr="source", en="source")],
        [
            [one.deadline.due_on, one.days_left, one.deadline.title.said(), one.deadline.subject, one.act_on,
             words[one.status], one.deadline.source.said()]
            for one in entries
        ],
    )  # fmt: skip
    if not entries:
        out.line(say(fr="Aucune échéance d'ici là.", en="No date until then."))


def plain_dates(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [
        {
            "id": one.deadline.id,
            "kind": one.deadline.kind.value,
            "subject": one.deadline.subject,
            "title": list(one.deadline.title),
            "due_on": one.deadline.due_on.isoformat(),
            "act_on": one.act_on.isoformat(),
            "days_left": one.days_left,
            "status": one.status.value,
            "next_alert_on": _iso(one.next_alert_on),
            "source": list(one.deadline.source),
            "requirements": list(one.deadline.requirements),
        }
        for one in entries
    ]


def show_checklist(out: Console, found: Checklist) -> None:
    """What an audit looks at, and what it would find today."""
    words = {
        Presence.PRESENT: say(fr="présent", en="present"),
        Presence.MISSING: say(fr="MANQUE", en="MISSING"),
        Presence.LATE: say(fr="EN RETARD", en="LATE"),
    }
    title = EVENT_WORDS[found.audit].said()
    out.line(
        say(
            fr=f"Ce que regarde l'{title}, depuis le {found.since}, au {found.at}"
            if title[0] in "aeiouyé" else f"Ce que regarde : {title}, depuis le {found.since}, au {found.at}",
            en=f"What the {title} looks at, since {found.since}, on {found.at}",
        ),
        style="bold",
    )  # fmt: skip
    out.table(
        ["", say(fr="quoi", en="what"), say(fr="pourquoi", en="why"), say(fr="registre", en="register"),
         say(fr="fiches", en="records"), say(fr="exigences", en="requirements")],
        [
            [words[one.presence], one.title.said(), one.why.said(), one.register, " ".join(one.records),
             " ".join(one.requirements)]
            for one in found.items
        ],
    )  # fmt: skip


def plain_checklist(found: Checklist) -> dict[str, Any]:
    """The same for machines."""
    return {
        "audit": found.audit.value,
        "since": found.since.isoformat(),
        "at": found.at.isoformat(),
        "items": [
            {
                "id": one.id,
                "title": list(one.title),
                "presence": one.presence.value,
                "why": list(one.why),
                "register": one.register,
                "records": list(one.records),
                "requirements": list(one.requirements),
            }
            for one in found.items
        ],
    }


def show_programme(out: Console, found: Programme, gaps: Sequence[Text]) -> None:
    """The audits of a cycle, by date, then what the programme lacks."""
    out.line(say(fr=f"Programme d'audit du cycle {found.cycle}", en=f"Audit programme of cycle {found.cycle}"),
             style="bold")  # fmt: skip
    out.table(
        [say(fr="le", en="on"), say(fr="audit", en="audit"), say(fr="par", en="by"),
         say(fr="auprès de", en="of whom"), say(fr="exigences", en="requirements")],
        [
            [one.planned_on, PLANNED_WORDS[one.kind].said(), one.auditor, one.audited, " ".join(one.requirements)]
            for one in found.audits
        ],
    )  # fmt: skip
    if not gaps:
        out.line(say(fr="Il ne manque rien.", en="It lacks nothing."))
    for gap in gaps:
        out.warn(gap.said())


def plain_programme(found: Programme, gaps: Sequence[Text]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "cycle": found.cycle,
        "audits": [
            {
                "kind": one.kind.value,
                "on": one.planned_on.isoformat(),
                "auditor": one.auditor,
                "audited": one.audited,
                "requirements": list(one.requirements),
            }
            for one in found.audits
        ],
        "gaps": [list(gap) for gap in gaps],
    }


def show_recorded(out: Console, kind: EventKind, written: Sequence[RecordVersion]) -> None:
    """The event that was recorded, and the tasks that it launched."""
    events = [one for one in written if one.register == "certification-event"]
    tasks = sorted((one for one in written if one.register == "action"), key=lambda one: str(one.fields["due_on"]))
    for one in events:
        out.line(f"{one.key} : {EVENT_WORDS[kind].said()}, {one.fields['cycle']}, {one.fields['on']}")
    out.table(
        [say(fr="action", en="action"), say(fr="échéance", en="due"), say(fr="quoi", en="what"),
         say(fr="répond", en="answers"), say(fr="à", en="given to")],
        [
            [one.key, one.fields["due_on"], one.fields["title"], one.fields.get("role", ""),
             one.fields.get("owner", "")]
            for one in tasks
        ],
        title=say(fr="Tâches lancées", en="Tasks launched"),
    )  # fmt: skip


def _standing(agenda: Agenda, at: date) -> list[tuple[Certificate, Any]]:
    delays = own_delays()
    known = [state_for(one, agenda.books.events, delays, at=at) for one in agenda.books.certificates]
    return [(one, standing(one, at, known, delays)) for one in known]


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
