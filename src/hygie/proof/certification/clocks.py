"""The dates that matter: what runs, since when, until when, by which text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from hygie.proof.certification.certificate import Certificate, CertificateState
from hygie.proof.certification.cycle import Audit, Snapshot, State
from hygie.proof.certification.delays import Delays
from hygie.proof.certification.events import EventKind
from hygie.proof.certification.findings import Finding
from hygie.proof.model import Text


class DeadlineKind(StrEnum):
    """What must be over by the date."""

    CORRECTIONS = "corrections"
    SURVEILLANCE1 = "surveillance_1"
    SURVEILLANCE2 = "surveillance_2"
    RENEWAL_AUDIT = "renewal_audit"
    EXPIRY = "expiry"
    SUSPENSION = "suspension"
    EDITION = "edition"
    CERTIFICATE = "certificate"
    FINDING = "finding"
    ACTION = "action"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Deadline:
    """One date. opened_on: first day on which it runs; due_on: last day in time; closed_on: done, or moot.

    subject: the cycle or the certificate it is about; source: the text it comes from; requirements: identifiers of
    what it serves.
    """

    id: str
    kind: DeadlineKind
    subject: str
    title: Text
    opened_on: date
    due_on: date
    closed_on: date | None
    source: Text
    requirements: tuple[str, ...]


_TITLES = {
    EventKind.STAGE2: Text("corrections de l'étape 2 vérifiées", "stage 2 corrections verified"),
    EventKind.SURVEILLANCE1: Text("corrections de la surveillance 1 vérifiées", "surveillance 1 corrections verified"),
    EventKind.SURVEILLANCE2: Text("corrections de la surveillance 2 vérifiées", "surveillance 2 corrections verified"),
    EventKind.RENEWAL_AUDIT: Text("corrections du renouvellement vérifiées", "renewal corrections verified"),
    EventKind.IMPORT: Text("corrections reprises à l'import vérifiées", "imported corrections verified"),
}


def cycle_deadlines(snapshot: Snapshot, delays: Delays) -> tuple[Deadline, ...]:
    """The clocks of one cycle, as known on the day of the snapshot, by due date.

    Raises: DelayAbsentError: a rule is in force no more on the day that starts its clock.
    """
    found = [*_corrections(snapshot, delays), *_suspensions(snapshot, delays)]
    if snapshot.decided_on is not None and snapshot.issued_on is not None and snapshot.expires_on is not None:
        opened_on = snapshot.imported_on or snapshot.decided_on  # the day the platform knows these dates
        found += [
            *_surveillances(snapshot, snapshot.decided_on, opened_on, delays),
            *_end_of_term(snapshot, snapshot.expires_on, opened_on, delays),
        ]
    return in_order(found)


def in_order(deadlines: Iterable[Deadline]) -> tuple[Deadline, ...]:
    """By due date, then by identifier."""
    return tuple(sorted(deadlines, key=lambda each: (each.due_on, each.id)))


def _corrections(snapshot: Snapshot, delays: Delays) -> list[Deadline]:
    return [
        Deadline(
            id=f"{snapshot.cycle}/corrections/{each.audit.event}",
            kind=DeadlineKind.CORRECTIONS,
            subject=snapshot.cycle,
            title=_TITLES[each.audit.kind],
            opened_on=each.opened_on,
            due_on=each.due_on,
            closed_on=each.ended_on,
            source=delays.rule("corrections", each.audit.on).source,
            requirements=("EXI-01",),
        )
        for each in snapshot.corrections
    ]


def _suspensions(snapshot: Snapshot, delays: Delays) -> list[Deadline]:
    return [
        Deadline(
            id=f"{snapshot.cycle}/suspension/{each.on.isoformat()}",
            kind=DeadlineKind.SUSPENSION,
            subject=snapshot.cycle,
            title=Text("suspension levée", "suspension lifted"),
            opened_on=max(each.on, snapshot.imported_on or each.on),
            due_on=delays.due("suspension", each.on),
            closed_on=each.ended_on,
            source=delays.rule("suspension", each.on).source,
            requirements=("EXI-01", "EXI-11"),
        )
        for each in snapshot.suspensions
    ]


def _surveillances(snapshot: Snapshot, decided_on: date, opened_on: date, delays: Delays) -> list[Deadline]:
    first, second = snapshot.audit(EventKind.SURVEILLANCE1), snapshot.audit(EventKind.SURVEILLANCE2)
    one = delays.rule("surveillance_1", decided_on)
    two = delays.rule("surveillance_2", decided_on)
    due_on, second_opened_on, source = two.due(decided_on), opened_on, two.source
    if first is not None:  # a first audit held in an early calendar year brings the second one forward
        gap = delays.rule("surveillance_gap", first.on)
        if gap.due(first.on) < due_on:
            due_on, source = gap.due(first.on), gap.source
            second_opened_on = max(opened_on, first.on)
    return [
        Deadline(
            id=f"{snapshot.cycle}/surveillance-1",
            kind=DeadlineKind.SURVEILLANCE1,
            subject=snapshot.cycle,
            title=Text("audit de surveillance 1", "surveillance audit 1"),
            opened_on=opened_on,
            due_on=one.due(decided_on),
            closed_on=_held_or_ended(snapshot, first),
            source=one.source,
            requirements=("EXI-01", "EXI-15", "EXI-16"),
        ),
        Deadline(
            id=f"{snapshot.cycle}/surveillance-2",
            kind=DeadlineKind.SURVEILLANCE2,
            subject=snapshot.cycle,
            title=Text("audit de surveillance 2", "surveillance audit 2"),
            opened_on=second_opened_on,
            due_on=due_on,
            closed_on=_held_or_ended(snapshot, second),
            source=source,
            requirements=("EXI-01", "EXI-15", "EXI-16"),
        ),
    ]


def _end_of_term(snapshot: Snapshot, expires_on: date, opened_on: date, delays: Delays) -> list[Deadline]:
    renewal = delays.rule("renewal_audit", expires_on)
    # what ended otherwise than by time is over; what expired stays late until somebody takes note of it
    closed_on = snapshot.expiry_noted_on if snapshot.state is State.EXPIRED else snapshot.ended_on
    return [
        Deadline(
            id=f"{snapshot.cycle}/renewal-audit",
            kind=DeadlineKind.RENEWAL_AUDIT,
            subject=snapshot.cycle,
            title=Text("audit de renouvellement", "renewal audit"),
            opened_on=opened_on,
            due_on=renewal.due(expires_on),
            closed_on=_held_or_ended(snapshot, snapshot.audit(EventKind.RENEWAL_AUDIT)),
            source=renewal.source,
            requirements=("EXI-01", "EXI-16"),
        ),
        Deadline(
            id=f"{snapshot.cycle}/expiry",
            kind=DeadlineKind.EXPIRY,
            subject=snapshot.cycle,
            title=Text("certificat renouvelé avant son expiration", "certificate renewed before it expires"),
            opened_on=opened_on,
            due_on=expires_on,
            closed_on=closed_on,
            source=Text("date portée au certificat", "date on the certificate"),
            requirements=("EXI-01", "EXI-12", "EXI-17"),
        ),
    ]


def _held_or_ended(snapshot: Snapshot, audit: Audit | None) -> date | None:
    return snapshot.ended_on if audit is None else audit.on  # before the opening when it was held before an import


def certificate_deadlines(certificates: Iterable[Certificate], delays: Delays) -> tuple[Deadline, ...]:
    """The end of each certificate of the chain, and of its edition when that comes first.

    Closed by a certificate that renews it, on the day of its issue; or by its withdrawal.
    """
    known = list(certificates)
    found: list[Deadline] = []
    for each in known:
        renewed = min((later.issued_on for later in known if later.renews == each.id), default=None)
        withdrawn = each.state_on if each.state is CertificateState.WITHDRAWN else None
        closed_on = min((day for day in (renewed, withdrawn) if day is not None), default=None)
        edition = delays.edition(each.scheme, each.edition)
        found.append(
            Deadline(
                id=f"certificate/{each.id}/expiry",
                kind=DeadlineKind.CERTIFICATE,
                subject=each.id,
                title=Text("certificat renouvelé", "certificate renewed"),
                opened_on=each.issued_on,
                due_on=each.expires_on,
                closed_on=closed_on,
                source=Text("date portée au certificat", "date on the certificate"),
                requirements=("EXI-12", "EXI-14"),
            )
        )
        if edition is not None and edition.valid_until is not None and edition.valid_until < each.expires_on:
            found.append(
                Deadline(
                    id=f"certificate/{each.id}/edition",
                    kind=DeadlineKind.EDITION,
                    subject=each.id,
                    title=Text("certificat porté à l'édition en vigueur", "certificate moved to the current edition"),
                    opened_on=each.issued_on,
                    due_on=edition.valid_until,
                    closed_on=closed_on,
                    source=edition.source,
                    requirements=("EXI-01", "EXI-12"),
                )
            )
    return in_order(found)


def finding_deadlines(findings: Iterable[Finding], delays: Delays) -> tuple[Deadline, ...]:
    """The clock of each finding and of each of its actions. An action counts as done the day it was carried out."""
    found: list[Deadline] = []
    for each in findings:
        requirements = each.requirements
        found.append(
            Deadline(
                id=f"{each.cycle}/finding/{each.id}",
                kind=DeadlineKind.FINDING,
                subject=each.cycle,
                title=Text(f"constat {each.id} corrigé et vérifié", f"finding {each.id} corrected and verified"),
                opened_on=each.raised_on,
                due_on=each.due_on(delays),
                closed_on=each.closed_on,
                source=delays.rule(f"finding_{each.severity}", each.raised_on).source,
                requirements=requirements,
            )
        )
        found += [
            Deadline(
                id=f"{each.cycle}/finding/{each.id}/action/{action.id}",
                kind=DeadlineKind.ACTION,
                subject=each.cycle,
                title=Text(f"action corrective {action.id} faite", f"corrective action {action.id} done"),
                opened_on=each.raised_on,
                due_on=action.due_on,
                closed_on=action.done_on,
                source=Text("date fixée par son responsable", "date set by its owner"),
                requirements=requirements,
            )
            for action in each.actions
        ]
    return in_order(found)
