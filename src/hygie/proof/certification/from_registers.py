"""What registers hold, as the certification room reads it: certificates, events, findings, services, questionnaires.

What a register says otherwise than the room is settled here: a certificate that was replaced is read by its dates; one
whose suspension was lifted has none; a finding is of the audit that its event names; an action that was dropped is no
action; events that were voided did not happen. Schemes other than HDS and ISO 27001 carry no activity and are left out.
Pure. A record that cannot be read is refused by its register and key, with the field and the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from hygie.proof.certification.certificate import Certificate, parse_certificate
from hygie.proof.certification.coverage import Service, parse_service
from hygie.proof.certification.cycle import Snapshot
from hygie.proof.certification.delays import Delays, Scheme, own_delays
from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.certification.events import Event, EventKind, parse_event
from hygie.proof.certification.findings import Finding, parse_finding
from hygie.proof.certification.programme import PlannedAudit, PlannedKind, Programme
from hygie.proof.certification.reading import ACTIVITIES
from hygie.proof.certification.scoping import Answers, parse_answers
from hygie.proof.model import Text
from hygie.registers.chain import RecordVersion

CERTIFICATE, EVENT, FINDING, ACTION = "certificate", "certification-event", "finding", "action"
SERVICE, SCOPING = "service", "scoping"
AUDIT, INTERNAL_AUDIT = "audit", "internal-audit"
BOOKS = (CERTIFICATE, EVENT, FINDING, ACTION)
Newest = Callable[[str], Sequence[RecordVersion]]
_CERTIFICATE = (
    *("scheme", "edition", "holder", "body", "accreditation_body", "accreditation_country", "accreditation_reference"),
    *("number", "activities", "scope", "decided_on", "issued_on", "expires_on", "depends_on", "renews"),
)
_EVENT = (
    *("cycle", "kind", "on", "started_on", "report", "audit", "findings", "outcome", "certificate", "issued_on"),
    *("expires_on", "renews", "next_cycle", "reason", "actor", "activities", "decided_on", "audited_on"),
    *("surveillance1_on", "surveillance2_on", "suspended_on"),
)
_ANSWERS = (
    *("answered_on", "answered_by", "for_others", "data", "care_context", "short_loan", "archiving_only"),
    *("subcontracts", "certified_subcontractor", "stores_data", "remote_access_outside_eea", "foreign_law"),
    "client_specific_resources",
)

_INTERNAL = {
    "referential": PlannedKind.INTERNAL_CONFORMITY, "isms": PlannedKind.INTERNAL_CONFORMITY,
    "traces": PlannedKind.INTERNAL_TRACES,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Books:
    """The records of the cycle. pending: findings that no event names yet, as cycles are written step by step."""

    certificates: tuple[Certificate, ...]
    events: tuple[Event, ...]
    findings: tuple[Finding, ...]
    pending: tuple[str, ...]


def read_books(of: Newest, delays: Delays | None = None) -> Books:
    """The registers of the cycle. Args: of: newest versions of the records of a register.

    Raises: RecordRefusedError: names the first record that cannot be read, its field and why.
    """
    delays = delays or own_delays()
    events = [record for record in of(EVENT) if record.state != "void"]
    tied = _audits_of_findings(events)
    held = {record.key: record for record in of(ACTION)}
    findings: list[Finding] = []
    pending: list[str] = []
    for record in of(FINDING):
        if not record.fields.get("cycle"):
            continue  # of an internal audit: it is in no cycle
        audit = str(record.fields.get("event") or tied.get(record.key) or tied.get(_audit(record), ""))
        if audit:
            findings.append(finding_of(record, audit, held, delays))
        else:
            pending.append(record.key)
    return Books(
        tuple(certificate_of(one, delays) for one in of(CERTIFICATE) if one.fields.get("scheme") in set(Scheme)),
        tuple(event_of(record, delays) for record in sorted(events, key=lambda one: (len(one.key), one.key))),
        tuple(findings),
        tuple(pending),
    )


def certificate_of(record: RecordVersion, delays: Delays | None = None) -> Certificate:
    """A certificate. Raises: RecordRefusedError."""
    ended = record.state in ("suspended", "withdrawn")
    body = _taken(record, _CERTIFICATE) | {"state": record.state if ended else "valid"}
    if ended:
        body["state_on"] = record.fields.get("state_on")
    if record.fields.get("scheme") != Scheme.HDS:
        body.pop("depends_on", None)
        body.pop("activities", None)
    return parse_certificate(body, _named(record), delays=delays)


def event_of(record: RecordVersion, delays: Delays | None = None) -> Event:
    """An event of a cycle. Raises: RecordRefusedError."""
    return parse_event(_taken(record, _EVENT), _named(record), delays=delays)


def finding_of(
    record: RecordVersion, audit: str, actions: Mapping[str, RecordVersion], delays: Delays | None = None
) -> Finding:
    """A finding with its actions. Args: audit: the event that raised it; actions: the register of actions, by key.

    Raises: RecordRefusedError: also when its due date is later than the rule's.
    """
    body = _taken(record, ("cycle", "severity", "raised_on", "statement", "requirements")) | {"audit": audit}
    if record.state == "closed":
        body |= {name: record.fields.get(name) for name in ("closed_on", "closed_by")}
    named = [actions[key] for key in record.fields.get("actions", ()) if key in actions]
    body["actions"] = [_action(one) for one in named if one.state != "dropped"]
    finding = parse_finding(body, _named(record))
    due_on = finding.due_on(delays or own_delays()).isoformat()
    if str(record.fields.get("due_on", "")) > due_on:
        reason = Text(f"au plus tard le {due_on}", f"no later than {due_on}")
        raise RecordRefusedError(record=_named(record), field="due_on", reason=reason)
    return finding


def service_of(record: RecordVersion) -> Service:
    """A service: its activities, and who performs each. Raises: RecordRefusedError."""
    body = _taken(record, ("name", "activities")) | {"layers": _layers(record)}
    return parse_service({"activities": []} | body, _named(record))


def answers_of(record: RecordVersion) -> Answers:
    """A questionnaire. Raises: RecordRefusedError."""
    body = _taken(record, _ANSWERS)
    performed = record.fields.get("activities")
    if record.fields.get("no_activity") and not performed:
        performed = []
    return parse_answers(body | {"activities": performed, "layers": _layers(record)}, _named(record))


def programme_of(of: Newest, snapshot: Snapshot) -> Programme:
    """The audit programme of a cycle: audits of the body to come, internal audits to come and held.

    The next surveillance to come is the first one that the cycle has not held. A requirement is looked at when an
    internal audit names it, or one of its items.
    """
    surveillances = (PlannedKind.SURVEILLANCE1, PlannedKind.SURVEILLANCE2)
    to_come = iter(kind for kind in surveillances if snapshot.audit(EventKind(kind)) is None)
    found: list[PlannedAudit] = []
    for record in sorted(of(AUDIT), key=_audited_on):
        fields = record.fields
        if fields.get("cycle") != snapshot.cycle or record.state not in ("planned", "in-progress"):
            continue
        external = {"renewal": PlannedKind.RENEWAL_AUDIT}.get(str(fields["kind"]))
        if fields["kind"] == "surveillance":
            external = next(to_come, None)
        if external is not None:
            found.append(PlannedAudit(external, _audited_on(record), str(fields["body"]), "", ()))
    for record in of(INTERNAL_AUDIT):
        fields = record.fields
        internal = _INTERNAL.get(str(fields["kind"]))
        if internal is not None and record.state != "cancelled":
            looked_at = {str(name).partition(".")[0] for name in fields.get("requirements", ())}
            people = ", ".join(map(str, fields.get("audited", ())))
            planned = PlannedAudit(
                internal, _audited_on(record), str(fields["auditor"]), people, tuple(sorted(looked_at))
            )
            found.append(planned)
    return Programme(snapshot.cycle, snapshot.cycle, tuple(sorted(found, key=lambda one: one.planned_on)))


def _audited_on(record: RecordVersion) -> date:
    """The day on which an audit ended, or is to be held."""
    return date.fromisoformat(str(record.fields.get("ended_on") or record.fields["planned_on"]))


def in_the_chain(of: Newest, certificates: Iterable[Certificate]) -> list[Certificate]:
    """Certificates that somebody still relies on: not those of actors who have gone, whose end concerns nobody."""
    gone = {record.key for record in of("supplier") if record.state in ("ended", "refused")}
    return [one for one in certificates if one.holder not in gone]


def actor_field(activity: int) -> str:
    """The field of a service, or of a questionnaire, that names who performs an activity."""
    return f"actor_{activity}"


def _named(record: RecordVersion) -> str:
    return f"{record.register} {record.key}"


def _taken(record: RecordVersion, names: Iterable[str]) -> dict[str, Any]:
    return {"id": record.key} | {name: record.fields[name] for name in names if name in record.fields}


def _layers(record: RecordVersion) -> list[dict[str, object]]:
    found = ((activity, record.fields.get(actor_field(activity))) for activity in ACTIVITIES)
    return [{"activity": activity, "actor": actor} for activity, actor in found if actor]


def _action(record: RecordVersion) -> dict[str, object]:
    fields = record.fields
    body: dict[str, object] = {"id": record.key, "title": fields["title"], "due_on": fields["due_on"]}
    body["owner"] = fields.get("owner") or fields.get("role") or "-"
    if record.state in ("done", "verified"):
        body["done_on"] = fields.get("done_on")
    if record.state == "verified":
        body |= {name: fields.get(name) for name in ("verified_on", "verified_by")}
    return body


def _audit(record: RecordVersion) -> tuple[str, str]:
    return str(record.fields.get("cycle", "")), str(record.fields.get("audit", ""))


def _audits_of_findings(events: Iterable[RecordVersion]) -> dict[object, str]:
    """The audit of each finding: by its key, when an event names it; by cycle and record of the external audit."""
    found: dict[object, str] = {}
    for record in events:
        fields = record.fields
        if fields.get("audit_record"):
            found[str(fields["cycle"]), str(fields["audit_record"])] = record.key
        of_import = fields["kind"] == EventKind.IMPORT
        for key in fields.get("findings", ()):
            found.setdefault(str(key), record.key if of_import else str(fields.get("audit", "")))
    return found
