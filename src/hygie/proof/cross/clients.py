"""Clients that the platform hosts against contracts, contacts, matrices, processing entries and questionnaires."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hygie.availability.clients import TELLING_MINUTES, held_to
from hygie.availability.minutes import Tally, newest_periods
from hygie.availability.terms import terms_of
from hygie.proof.certification.from_registers import actor_field
from hygie.proof.cross.model import Found, Judge, Look
from hygie.proof.perimeter.services import serves
from hygie.registers.chain import RecordVersion

IN_FORCE = ("signed", "amended")
MINUTE_S = 60


def tenant_contract(look: Look) -> Found:
    """Each client hosted has a contract in force."""
    return _each_tenant(look, "contract", lambda found: any(one.state in IN_FORCE for one in found))


def tenant_contact(look: Look) -> Found:
    """Each client hosted has a contact who appoints a professional, and one for incidents."""

    def reached(found: Sequence[RecordVersion]) -> bool:
        roles = {role for one in found if one.state == "active" for role in one.fields["roles"]}
        return {"appoint", "incident"} <= roles

    return _each_tenant(look, "client-contact", reached)


def tenant_matrix(look: Look) -> Found:
    """Each client hosted has accepted a matrix of responsibilities."""
    return _each_tenant(look, "responsibility-matrix", lambda found: any(one.state == "accepted" for one in found))


def tenant_processing(look: Look) -> Found:
    """Each client hosted has its entry in the records of processing (RGPD 30.2)."""
    return _each_tenant(look, "processing", lambda found: any(one.state == "active" for one in found))


def tenant_scoping(look: Look) -> Found:
    """Each client hosted has answered the scoping questionnaire, and it concludes."""

    def concludes(found: Sequence[RecordVersion]) -> bool:
        return any(one.state == "answered" and one.fields.get("concerned") in ("yes", "no") for one in found)

    return _each_tenant(look, "scoping", concludes)


def contract_hosted(look: Look) -> Found:
    """Each contract in force is of a client that the platform hosts."""
    contracts = look.of("contract", *IN_FORCE)
    return Found([one.key for one in contracts if one.tenant not in look.tenants], len(contracts))


def contract_certificate(look: Look) -> Found:
    """The certificate's dates that a contract quotes are those of the register."""
    contracts, known = look.of("contract", *IN_FORCE), look.keyed("certificate")

    def quoted_right(contract: RecordVersion) -> bool:
        certificate = known.get(str(contract.fields.get("certificate")))
        return certificate is not None and (
            contract.fields.get("certificate_issued_on"),
            contract.fields.get("certificate_renewal_on"),
        ) == (certificate.fields["issued_on"], certificate.fields["expires_on"])

    return Found([one.key for one in contracts if not quoted_right(one)], len(contracts))


def contract_sites(look: Look) -> Found:
    """The places that a contract quotes are those where the platform puts the data."""
    contracts, sites = look.of("contract", *IN_FORCE), look.keyed("site")
    placed = {one.name for one in look.context.settings.sites}

    def quoted(contract: RecordVersion) -> set[str]:
        named = (sites.get(str(key)) for key in contract.fields.get("sites", ()))
        return {str(one.fields["platform_site"]) for one in named if one and one.fields.get("platform_site")}

    return Found([one.key for one in contracts if quoted(one) != placed], len(contracts))


def contract_suppliers(look: Look) -> Found:
    """A contract quotes every sub-processor of the services it is for."""
    contracts, services = look.of("contract", *IN_FORCE), look.keyed("service")
    processors = {one.key for one in look.of("supplier") if one.fields["role"] == "processor"}

    def chain(contract: RecordVersion) -> set[str]:
        named = [services[key] for key in contract.fields.get("services", ()) if key in services]
        actors = {str(one.fields.get(actor_field(number))) for one in named for number in range(1, 7)}
        return (actors | {str(key) for one in named for key in one.fields.get("suppliers", ())}) & processors

    wrong = [one.key for one in contracts if not chain(one) <= set(one.fields.get("suppliers", ()))]
    return Found(wrong, len(contracts))


def contract_availability(look: Look) -> Found:
    """The minutes of each client, in its contract's period and the one before, are within what the contract lets."""
    contracts, measured = look.of("contract", *IN_FORCE), look.facts.availability.value
    assert measured is not None
    clients = {one.client.tenant: one.client for one in measured}
    wrong, unclear = [], []
    for one in contracts:
        terms, kept = terms_of(one.key, one.fields), clients.get(one.tenant)
        rows = held_to(kept, terms, newest_periods(look.today, terms.rhythm)) if kept else []
        rows = [row for row in rows if row.is_telling]
        if any(row.account.left < 0 for row in rows):
            wrong.append(one.key)
        elif sum(_counts(row.tally) for row in rows) < TELLING_MINUTES:
            unclear.append(one.key)
    return Found(wrong, len(contracts), [] if wrong else unclear)


def contract_recovery(look: Look) -> Found:
    """The last measured restore is within the longest outage (DMIA) of each contract."""
    return _measured(look, "dmia_min", "rto_s")


def contract_loss(look: Look) -> Found:
    """The last measured loss, and what backups promise, are within the largest loss (PDMA) of each contract."""
    promised = look.context.settings.backups.rpo_minutes
    found = _measured(look, "pdma_min", "rpo_s")
    short = [one.key for one in look.of("contract", *IN_FORCE) if promised > int(one.fields.get("pdma_min", 0))]
    wrong = sorted({*found.wrong, *short})
    return Found(wrong, found.checked or len(short), [] if wrong else found.unclear)


def production_served(look: Look) -> Found:
    """Each environment of production is of an open production service of the register."""
    places = [one for one in look.facts.places.value or () if (one.kind, one.state) == ("production", "open")]
    services = [one for one in look.of("service", "open") if one.fields.get("production")]
    wrong = [
        f"{one.tenant}/{one.environment}"
        for one in places
        if not any(serves(service, one.tenant, one.environment) for service in services)
    ]
    return Found(wrong, len(places))


def _counts(sums: Tally) -> int:
    return sums.up + sums.down


def _measured(look: Look, promise: str, figure: str) -> Found:
    contracts = look.of("contract", *IN_FORCE)
    drills = [one for one in look.facts.drills.value or () if one.kind == "restore"]
    measured = getattr(drills[-1], figure) if drills else None
    if measured is None:
        return Found(unclear=[one.key for one in contracts])
    wrong = [one.key for one in contracts if measured > int(one.fields.get(promise, 0)) * MINUTE_S]
    return Found(wrong, len(contracts))


def _each_tenant(look: Look, register: str, holds: Callable[[Sequence[RecordVersion]], bool]) -> Found:
    records = look.of(register)
    wrong = [name for name in look.tenants if not holds([one for one in records if one.tenant == name])]
    return Found(sorted(wrong), len(look.tenants))


JUDGES: Mapping[str, Judge] = {
    "cross.tenant-contract": tenant_contract,
    "cross.tenant-contact": tenant_contact,
    "cross.tenant-matrix": tenant_matrix,
    "cross.tenant-processing": tenant_processing,
    "cross.tenant-scoping": tenant_scoping,
    "cross.contract-hosted": contract_hosted,
    "cross.contract-certificate": contract_certificate,
    "cross.contract-sites": contract_sites,
    "cross.contract-suppliers": contract_suppliers,
    "cross.contract-availability": contract_availability,
    "cross.contract-recovery": contract_recovery,
    "cross.contract-loss": contract_loss,
    "cross.production-served": production_served,
}
