"""Certificates, services, the mark and the files that records name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from hygie.proof.certification.certificate import standing
from hygie.proof.certification.clocks import certificate_deadlines, cycle_deadlines
from hygie.proof.certification.cycle import fold
from hygie.proof.certification.delays import own_delays
from hygie.proof.certification.from_registers import in_the_chain, read_books
from hygie.proof.certification.records import state_for
from hygie.proof.cross.model import Found, Judge, Look
from hygie.proof.perimeter.services import certificates_on, services_on

NEAR_DAYS = 90  # the last of three warnings but one: a renewal that is not decided by then is in danger
_DOCUMENTS = ("document", "documents")


def service_covered(look: Look) -> Found:
    """Each production service that is open is covered today, activity by activity."""
    rows = [one for one in services_on(look.of, look.today) if one.production and one.state == "open"]
    return Found([one.key for one in rows if not one.covered], len(rows))


def certificate_ends(look: Look) -> Found:
    """No certificate of the chain has ended, or ends within ninety days, without one that renews it."""
    near = look.today + timedelta(days=NEAR_DAYS)
    dated = certificate_deadlines(in_the_chain(look.of, certificates_on(look.of, look.today)), own_delays())
    return Found([one.subject for one in dated if one.closed_on is None and one.due_on < near], len(dated))


def cycle_on_time(look: Look) -> Found:
    """No date of a certification cycle has passed without what it asks for."""
    delays, books = own_delays(), read_books(look.of)
    wrong, checked = [], 0
    for cycle in sorted({event.cycle for event in books.events}):
        dated = cycle_deadlines(fold(cycle, books.events, at=look.today, delays=delays), delays)
        checked += len(dated)
        wrong += [one.id for one in dated if one.closed_on is None and one.due_on < look.today]
    return Found(wrong, checked)


def certificate_state(look: Look) -> Found:
    """The state of a certificate in its register is the one that its cycle gives it."""
    delays, books = own_delays(), read_books(look.of)
    wrong = [
        one.id
        for one in books.certificates
        if state_for(one, books.events, delays, at=look.today).state is not one.state
    ]
    return Found(wrong, len(books.certificates))


def mark_valid(look: Look) -> Found:
    """The mark and mentions of a certificate are used only while it is valid."""
    certificates = certificates_on(look.of, look.today)
    valid = {one.id for one in certificates if standing(one, look.today, certificates, own_delays()).valid}
    uses = look.of("mark-use", "approved")
    return Found([one.key for one in uses if one.fields["certificate"] not in valid], len(uses))


def documents_kept(look: Look) -> Found:
    """Each file that a record names is kept."""
    wrong, checked = [], 0
    for register, schema in look.schemas.items():
        names = [one.id for one in schema.fields if one.type in _DOCUMENTS]
        for record in look.of(register) if names else ():
            values = [record.fields[name] for name in names if name in record.fields]
            digests = [one for value in values for one in (value if isinstance(value, list) else [value])]
            checked += len(digests)
            if any(one not in look.documents for one in digests):
                wrong.append(f"{register} {record.key}")
    return Found(wrong, checked)


JUDGES: Mapping[str, Judge] = {
    "cross.service-covered": service_covered,
    "cross.certificate-ends": certificate_ends,
    "cross.cycle-on-time": cycle_on_time,
    "cross.certificate-state": certificate_state,
    "cross.mark-valid": mark_valid,
    "cross.documents-kept": documents_kept,
}
