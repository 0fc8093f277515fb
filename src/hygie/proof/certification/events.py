"""Events of a cycle: what happened, on which day, in the file of one certification."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum

from hygie.proof.certification.certificate import check_term
from hygie.proof.certification.delays import Delays, own_delays
from hygie.proof.certification.reading import TEXT_CHARS_MAX, Reader
from hygie.proof.model import Text


class EventKind(StrEnum):
    """What happened. Audits are dated at the end of their on-site part."""

    APPLICATION = "application"
    STAGE1 = "stage1"
    STAGE2 = "stage2"
    CORRECTIONS_DUE = "corrections_due"
    CORRECTIONS_VERIFIED = "corrections_verified"
    DECISION = "decision"
    SURVEILLANCE1 = "surveillance1"
    SURVEILLANCE2 = "surveillance2"
    RENEWAL_AUDIT = "renewal_audit"
    SUSPENSION = "suspension"
    LIFT = "lift"
    WITHDRAWAL = "withdrawal"
    EXPIRY = "expiry"
    SUBPROCESSOR_SUSPENDED = "subprocessor_suspended"
    SUBPROCESSOR_LOST = "subprocessor_lost"
    IMPORT = "import"


EVENT_WORDS: dict[EventKind, Text] = {
    EventKind.APPLICATION: Text("demande de certification", "application"),
    EventKind.STAGE1: Text("audit d'étape 1", "stage 1 audit"),
    EventKind.STAGE2: Text("audit d'étape 2", "stage 2 audit"),
    EventKind.CORRECTIONS_DUE: Text("corrections demandées", "corrections asked for"),
    EventKind.CORRECTIONS_VERIFIED: Text("corrections vérifiées", "corrections verified"),
    EventKind.DECISION: Text("décision de l'organisme", "decision of the body"),
    EventKind.SURVEILLANCE1: Text("audit de surveillance 1", "surveillance audit 1"),
    EventKind.SURVEILLANCE2: Text("audit de surveillance 2", "surveillance audit 2"),
    EventKind.RENEWAL_AUDIT: Text("audit de renouvellement", "renewal audit"),
    EventKind.SUSPENSION: Text("suspension", "suspension"),
    EventKind.LIFT: Text("levée de la suspension", "lift of the suspension"),
    EventKind.WITHDRAWAL: Text("retrait", "withdrawal"),
    EventKind.EXPIRY: Text("expiration", "expiry"),
    EventKind.SUBPROCESSOR_SUSPENDED: Text("certificat d'un sous-traitant suspendu", "sub-contractor suspended"),
    EventKind.SUBPROCESSOR_LOST: Text("certificat d'un sous-traitant perdu", "sub-contractor's certificate lost"),
    EventKind.IMPORT: Text("reprise en cours de cycle", "import in mid-cycle"),
}


class Outcome(StrEnum):
    """What the body decided."""

    GRANTED = "granted"
    REFUSED = "refused"


AUDITS = (
    EventKind.STAGE1,
    EventKind.STAGE2,
    EventKind.SURVEILLANCE1,
    EventKind.SURVEILLANCE2,
    EventKind.RENEWAL_AUDIT,
)
_TERM = {"certificate", "issued_on", "expires_on"}
_AUDIT = {"started_on", "report"}
_ALL = {"id", "cycle", "kind", "on", "reason"}
# These may name the certificate of their cycle; they need not, since it has one at a time.
_OF_A_CERTIFICATE = {EventKind.SUSPENSION, EventKind.LIFT, EventKind.WITHDRAWAL, EventKind.EXPIRY}
# What each kind must say, and what it may beside what all may.
_MUST: dict[EventKind, set[str]] = {
    EventKind.STAGE2: {"report"},
    EventKind.SURVEILLANCE1: {"report"},
    EventKind.SURVEILLANCE2: {"report"},
    EventKind.RENEWAL_AUDIT: {"report"},
    EventKind.CORRECTIONS_DUE: {"audit", "findings"},
    EventKind.CORRECTIONS_VERIFIED: {"audit"},
    EventKind.DECISION: {"outcome"},
    EventKind.SUSPENSION: {"reason"},
    EventKind.WITHDRAWAL: {"reason"},
    EventKind.SUBPROCESSOR_SUSPENDED: {"actor", "activities"},
    EventKind.SUBPROCESSOR_LOST: {"actor", "activities"},
    EventKind.IMPORT: {*_TERM, "decided_on", "audited_on", "report"},
}
_MAY: dict[EventKind, set[str]] = {
    EventKind.STAGE1: _AUDIT,
    EventKind.STAGE2: _AUDIT,
    EventKind.SURVEILLANCE1: _AUDIT,
    EventKind.SURVEILLANCE2: _AUDIT,
    EventKind.RENEWAL_AUDIT: _AUDIT,
    EventKind.DECISION: {*_TERM, "renews", "next_cycle"},
    EventKind.IMPORT: {"surveillance1_on", "surveillance2_on", "suspended_on", "findings"},
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one cycle. on: its civil date.

    started_on, report: of an audit (``report`` is the reference of a document, not its text). audit: the event whose
    corrections these are. findings: identifiers of findings. outcome, certificate, issued_on, expires_on: of a
    decision. renews: the cycle that a decision continues, when it opens a cycle; next_cycle: the one that it opens,
    when it ends one. actor, activities: of a sub-contractor's loss. decided_on, audited_on (end of the last audit),
    surveillance1_on, surveillance2_on, suspended_on: of an import in mid-cycle.
    """

    id: str
    cycle: str
    kind: EventKind
    on: date
    started_on: date | None = None
    report: str | None = None
    audit: str | None = None
    findings: tuple[str, ...] = ()
    outcome: Outcome | None = None
    certificate: str | None = None
    issued_on: date | None = None
    expires_on: date | None = None
    renews: str | None = None
    next_cycle: str | None = None
    reason: str | None = None
    actor: str | None = None
    activities: tuple[int, ...] = ()
    decided_on: date | None = None
    audited_on: date | None = None
    surveillance1_on: date | None = None
    surveillance2_on: date | None = None
    suspended_on: date | None = None


def parse_event(body: object, record: str = "event", *, delays: Delays | None = None) -> Event:
    """An event from a plain dict, refused whole if one field is wrong. delays: those of this version if none.

    Raises: RecordRefusedError: unknown, missing or malformed field; a field that this kind of event does not have;
    an audit that ends before it starts; expiry before issue, issue before decision, surveillance before decision.
    """
    read = Reader(record, body)
    event = Event(
        id=read.identifier("id"),
        cycle=read.identifier("cycle"),
        kind=read.choice("kind", EventKind),
        on=read.day("on"),
        started_on=read.optional(read.day, "started_on"),
        report=read.optional(read.text, "report"),
        audit=read.optional(read.identifier, "audit"),
        findings=read.names("findings"),
        outcome=read.optional(lambda field: read.choice(field, Outcome), "outcome"),
        certificate=read.optional(read.identifier, "certificate"),
        issued_on=read.optional(read.day, "issued_on"),
        expires_on=read.optional(read.day, "expires_on"),
        renews=read.optional(read.identifier, "renews"),
        next_cycle=read.optional(read.identifier, "next_cycle"),
        reason=read.optional(lambda field: read.text(field, chars_max=TEXT_CHARS_MAX), "reason"),
        actor=read.optional(read.identifier, "actor"),
        activities=read.activities("activities", required=False),
        decided_on=read.optional(read.day, "decided_on"),
        audited_on=read.optional(read.day, "audited_on"),
        surveillance1_on=read.optional(read.day, "surveillance1_on"),
        surveillance2_on=read.optional(read.day, "surveillance2_on"),
        suspended_on=read.optional(read.day, "suspended_on"),
    )
    read.done()
    _check_fields(event, read)
    _check_dates(event, read, delays or own_delays())
    return event


def _check_fields(event: Event, read: Reader) -> None:
    must = _MUST.get(event.kind, set())
    granted = event.kind is EventKind.DECISION and event.outcome is Outcome.GRANTED
    if granted:
        must = must | _TERM
    may = _ALL | must | _MAY.get(event.kind, set())
    if event.kind in _OF_A_CERTIFICATE:
        may = may | {"certificate"}
    if event.kind is EventKind.DECISION and not granted:
        may -= {*_TERM, "renews", "next_cycle"}
    for each in fields(Event):
        given = getattr(event, each.name) not in (None, ())
        if not given and each.name in must:
            raise read.refused(each.name, Text("il manque", "it is missing"))
        if given and each.name not in may:
            reason = Text("cet événement n'a pas ce champ", "this event does not have this field")
            raise read.refused(each.name, reason)
    if event.renews is not None and event.next_cycle is not None:
        raise read.refused(
            "next_cycle", Text("ouvre ou clôt un cycle, pas les deux", "opens or ends a cycle, not both")
        )
    if event.cycle in {event.renews, event.next_cycle}:
        raise read.refused("cycle", Text("il renvoie à lui-même", "it refers to itself"))


def _check_dates(event: Event, read: Reader, delays: Delays) -> None:
    read.after("on", event.on, "started_on", event.started_on)
    decided_on, decided = (event.decided_on, "decided_on") if event.decided_on else (event.on, "on")
    if event.issued_on is not None and event.expires_on is not None:
        read.after("issued_on", event.issued_on, decided, decided_on)
        renewal = event.kind is EventKind.IMPORT or event.renews is not None or event.next_cycle is not None
        check_term(read, event.issued_on, event.expires_on, delays, renewal=renewal)
    if event.kind is not EventKind.IMPORT:
        return
    read.after("on", event.on, "issued_on", event.issued_on)
    for field in ("surveillance1_on", "surveillance2_on", "suspended_on"):
        read.after(field, getattr(event, field), "decided_on", decided_on)
    read.after("surveillance2_on", event.surveillance2_on, "surveillance1_on", event.surveillance1_on)
    if event.surveillance2_on is not None and event.surveillance1_on is None:
        raise read.refused("surveillance1_on", Text("il manque", "it is missing"))
    for field in ("decided_on", "audited_on", "surveillance1_on", "surveillance2_on", "suspended_on"):
        read.after("on", event.on, field, getattr(event, field))
    if event.expires_on is not None and event.on > event.expires_on:
        raise read.refused("expires_on", Text("certificat déjà expiré à l'import", "already expired when imported"))
