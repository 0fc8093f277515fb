"""Records that hold together, for the tests of the certification cycle: two certificates, a cycle, a finding."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from hygie.proof.certification.certificate import Certificate, parse_certificate
from hygie.proof.certification.delays import own_delays
from hygie.proof.certification.events import Event, EventKind, parse_event
from hygie.proof.certification.findings import Finding, parse_finding

DELAYS = own_delays()
K = EventKind


def iso_body(**changes: Any) -> dict[str, Any]:
    """An ISO 27001 certificate of the host."""
    return {
        "id": "iso-2027",
        "scheme": "iso27001",
        "edition": "2022",
        "holder": "host",
        "body": "Organisme Exemple",
        "accreditation_body": "COFRAC",
        "accreditation_country": "FR",
        "accreditation_reference": "4-0000",
        "number": "IS-1",
        "scope": "Hébergement de données",
        "decided_on": "2027-01-11",
        "issued_on": "2027-01-15",
        "expires_on": "2030-01-14",
        "state": "valid",
    } | changes


def hds_body(**changes: Any) -> dict[str, Any]:
    """An HDS certificate that hangs on it."""
    return (
        iso_body()
        | {
            "id": "hds-2027",
            "scheme": "hds",
            "edition": "2.0",
            "number": "HDS-1",
            "activities": [1, 2, 3, 4, 5, 6],
            "depends_on": "iso-2027",
        }
        | changes
    )


def iso(**changes: Any) -> Certificate:
    """The ISO 27001 certificate, parsed."""
    return parse_certificate(iso_body(**changes))


def hds(**changes: Any) -> Certificate:
    """The HDS certificate, parsed."""
    return parse_certificate(hds_body(**changes))


def event_body(kind: str, on: str, **fields: Any) -> dict[str, Any]:
    """An event of the cycle ``c1``, its identifier made of its kind and date."""
    return {"id": f"{kind}-{on}", "cycle": "c1", "kind": kind, "on": on} | fields


def event(kind: str, on: str, **fields: Any) -> Event:
    """An event, with what its kind must say."""
    body = event_body(kind, on, **fields)
    if kind in {"stage2", "surveillance1", "surveillance2", "renewal_audit"}:
        body.setdefault("report", "R-1")
    if kind in {"suspension", "withdrawal"}:
        body.setdefault("reason", "motif")
    if kind in {"subprocessor_lost", "subprocessor_suspended"}:
        body = {"actor": "cloud", "activities": [1, 2]} | body
    return parse_event(body)


def granted(on: str, certificate: str, issued_on: str, expires_on: str, **fields: Any) -> Event:
    """A decision that grants."""
    return event(
        "decision",
        on,
        outcome="granted",
        certificate=certificate,
        issued_on=issued_on,
        expires_on=expires_on,
        **fields,
    )


def initial() -> list[Event]:
    """From application to decision, with corrections verified in time."""
    return [
        event("application", "2026-06-01"),
        event("stage1", "2026-09-10"),
        event("stage2", "2026-10-16"),
        event("corrections_due", "2026-10-20", audit="stage2-2026-10-16", findings=["f1"]),
        event("corrections_verified", "2026-12-15", audit="stage2-2026-10-16"),
        granted("2027-01-11", "hds-2027", "2027-01-15", "2030-01-14"),
    ]


def finding_body(**changes: Any) -> dict[str, Any]:
    """A minor finding of stage 2, closed."""
    return {
        "id": "f1",
        "cycle": "c1",
        "audit": "stage2-2026-10-16",
        "severity": "minor",
        "raised_on": "2026-10-16",
        "statement": "La revue des habilitations d'un semestre manque.",
        "requirements": ["EXI-05"],
        "actions": [
            {
                "id": "a1",
                "title": "Tenir la revue",
                "owner": "rssi",
                "due_on": "2026-11-30",
                "done_on": "2026-11-20",
                "verified_on": "2026-12-01",
                "verified_by": "auditeur interne",
            }
        ],
        "closed_on": "2026-12-15",
        "closed_by": "Organisme Exemple",
    } | changes


def finding(**changes: Any) -> Finding:
    """The finding, parsed."""
    return parse_finding(finding_body(**changes))


def written(record: object, names: Iterable[str]) -> dict[str, Any]:
    """Fields of a record that was read, as a body writes them."""
    found = {name: getattr(record, name) for name in names}
    return {name: list(value) if isinstance(value, tuple) else str(value) for name, value in found.items()}


def day(text: str) -> date:
    """A date from ISO 8601."""
    return date.fromisoformat(text)
