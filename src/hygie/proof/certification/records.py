"""Certificates, events and findings checked against one another, before the first of them is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from hygie.proof.certification.certificate import Certificate, CertificateState, check_chain
from hygie.proof.certification.cycle import HOLDING, State, fold
from hygie.proof.certification.delays import Delays
from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.certification.events import AUDITS, Event, EventKind
from hygie.proof.certification.findings import Finding
from hygie.proof.model import Text


def check_records(
    certificates: Sequence[Certificate], events: Sequence[Event], findings: Sequence[Finding], delays: Delays
) -> None:
    """Refuse records that contradict one another.

    Raises: RecordRefusedError, naming the record by its id: what ``check_chain`` refuses; an event or a finding twice;
    an event whose certificate is not there, has other dates, or an edition no longer audited; a cycle that continues
    one which does not name it, or the reverse; a finding of an audit that is not there, or dated otherwise; an action
    due after its finding; findings named by an event that are not there. TransitionRefusedError: a history that cannot
    have happened.
    """
    check_chain(certificates, delays)
    _unique("event", [event.id for event in events])
    _unique("finding", [f"{each.cycle}/{each.id}" for each in findings])
    known = {each.id: each for each in certificates}
    for event in events:
        _check_certificate(event, known)
        _check_edition(event, known, events, delays)
        _check_continuation(event, events)
        _check_named(event, findings)
    for each in findings:
        _check_finding(each, events, delays)
    for cycle in {event.cycle for event in events}:
        fold(cycle, events, at=max(event.on for event in events if event.cycle == cycle), delays=delays)


def _unique(kind: str, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for record_id in ids:
        if record_id in seen:
            reason = Text("le même identifiant deux fois", "the same identifier twice")
            raise RecordRefusedError(record=f"{kind} {record_id}", field="id", reason=reason)
        seen.add(record_id)


def _refused(event: Event, field: str, reason: Text) -> RecordRefusedError:
    return RecordRefusedError(record=f"event {event.id}", field=field, reason=reason)


def _check_certificate(event: Event, known: dict[str, Certificate]) -> None:
    if event.certificate is None:
        return
    certificate = known.get(event.certificate)
    if certificate is None:
        raise _refused(event, "certificate", Text("certificat inconnu", "unknown certificate"))
    decided_on = event.decided_on or event.on
    if event.issued_on is None:
        return  # a suspension, a lift, a withdrawal, an expiry: the fold knows whose
    for field, said, written in (
        ("issued_on", event.issued_on, certificate.issued_on),
        ("expires_on", event.expires_on, certificate.expires_on),
        ("decided_on" if event.decided_on else "on", decided_on, certificate.decided_on),
    ):
        if said != written:
            raise _refused(event, field, Text("autre date que le certificat", "not the certificate's date"))


def _check_edition(event: Event, known: dict[str, Certificate], events: Sequence[Event], delays: Delays) -> None:
    if event.kind is not EventKind.DECISION or event.certificate is None:
        return
    certificate = known[event.certificate]
    edition = delays.edition(certificate.scheme, certificate.edition)
    audited = [
        each.on
        for each in events
        if each.kind in {EventKind.STAGE2, EventKind.RENEWAL_AUDIT}
        and each.cycle in {event.cycle, event.renews}
        and each.on <= event.on
    ]
    last_on = None if edition is None else edition.audits_until
    if audited and last_on is not None and max(audited) > last_on:
        reason = Text("édition qui n'était plus auditée", "an edition that was no longer audited")
        raise _refused(event, "certificate", reason)


def _check_continuation(event: Event, events: Sequence[Event]) -> None:
    if event.renews is not None:
        told = (e.cycle == event.renews and e.next_cycle == event.cycle and e.on == event.on for e in events)
        if not any(told):
            reason = Text("ce cycle ne nomme pas celui-ci", "that cycle does not name this one")
            raise _refused(event, "renews", reason)
    if event.next_cycle is not None:
        told = (
            e.cycle == event.next_cycle and e.renews == event.cycle and e.certificate == event.certificate
            for e in events
        )
        if not any(told):
            reason = Text("ce cycle ne nomme pas celui-ci", "that cycle does not name this one")
            raise _refused(event, "next_cycle", reason)


def _check_named(event: Event, findings: Sequence[Finding]) -> None:
    there = {each.id for each in findings if each.cycle == event.cycle}
    if not set(event.findings) <= there:
        raise _refused(event, "findings", Text("constat inconnu", "unknown finding"))


def _check_finding(finding: Finding, events: Sequence[Event], delays: Delays) -> None:
    def refused(field: str, reason: Text) -> RecordRefusedError:
        return RecordRefusedError(record=f"finding {finding.id}", field=field, reason=reason)

    audit = next((each for each in events if (each.cycle, each.id) == (finding.cycle, finding.audit)), None)
    if audit is None or audit.kind not in {*AUDITS, EventKind.IMPORT}:
        raise refused("audit", Text("aucun tel audit dans ce cycle", "no such audit in this cycle"))
    if audit.kind is not EventKind.IMPORT and finding.raised_on != audit.on:
        raise refused("raised_on", Text("autre date que la fin de l'audit", "not the end of the audit"))
    if audit.audited_on is not None and finding.raised_on > audit.audited_on:
        raise refused("raised_on", Text("postérieur au dernier audit repris", "after the last imported audit"))
    due_on = finding.due_on(delays)
    for number, action in enumerate(finding.actions):
        if action.due_on > due_on:
            reason = Text("échéance après celle du constat", "due after its finding")
            raise refused(f"actions[{number}].due_on", reason)


def state_for(certificate: Certificate, events: Sequence[Event], delays: Delays, *, at: date) -> Certificate:
    """The certificate as its own cycle's events leave it on a day; as recorded when no cycle speaks of it.

    The register's record and the cycle cannot disagree on a screen: where there is a cycle, it decides.
    """
    cycles = {event.cycle for event in events if event.certificate == certificate.id and event.next_cycle is None}
    for cycle in sorted(cycles):
        snapshot = fold(cycle, events, at=at, delays=delays)
        if snapshot.certificate != certificate.id:
            continue
        if snapshot.state is State.SUSPENDED and snapshot.suspensions:
            return replace(certificate, state=CertificateState.SUSPENDED, state_on=snapshot.suspensions[-1].on)
        if snapshot.state is State.WITHDRAWN and snapshot.since is not None:
            return replace(certificate, state=CertificateState.WITHDRAWN, state_on=snapshot.since)
        if snapshot.state in HOLDING | {State.RENEWED, State.EXPIRED}:
            return replace(certificate, state=CertificateState.VALID, state_on=None)
    return certificate
