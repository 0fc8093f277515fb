"""Live values that a hosting contract quotes: dates, sites, contacts, levels, actors; from registers and settings.

Pure. A value that is recorded nowhere is a blank, which the contract shows as such: nothing is made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hygie.proof.documents.actors import actors, certificate_standing
from hygie.proof.documents.model import Inputs
from hygie.proof.documents.words import Words
from hygie.registers.chain import RecordVersion

_STANDING = ("draft", "signed", "amended")  # contracts of a client whose terms count, the one in force first
_RISKS = ("possible", "exposed")


@dataclass(frozen=True, slots=True)
class Bound:
    """One value. label: what it is; text: as the contract says it, empty when unknown; sources: keys of the records, or
    ``settings``, that it comes from."""

    label: str
    text: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """One client and what is recorded for it. contract: the one in force, else a draft, else None; services: open ones
    that name the client; certificate: the host's HDS certificate in force."""

    tenant: str
    contract: RecordVersion | None
    services: Sequence[RecordVersion]
    contacts: Sequence[RecordVersion]
    host: RecordVersion | None
    certificate: RecordVersion | None

    @property
    def suppliers(self) -> list[str]:
        """Keys of the sub-processors of its services, in order."""
        return list(dict.fromkeys(key for one in self.services for key in one.fields.get("suppliers", ())))

    @property
    def sites(self) -> list[str]:
        """Keys of the sites of its services, in order."""
        return list(dict.fromkeys(key for one in self.services for key in one.fields.get("sites", ())))

    def term(self, name: str) -> Any:
        """A term of its contract, None without one."""
        return None if self.contract is None else self.contract.fields.get(name)

    def contact(self, role: str) -> RecordVersion | None:
        """Who has a role for the client: the contact confirmed last."""
        found = [one for one in self.contacts if role in one.fields["roles"]]
        return max(found, key=lambda one: (str(one.fields["confirmed_on"]), one.key), default=None)

    def level(self, name: str) -> Any:
        """The level that all its services keep: the longest delay, the lowest availability; None when one says none."""
        values: list[Any] = [one.fields[name] for one in self.services if name in one.fields]
        if not values or len(values) < len(self.services):
            return None
        return min(values, key=float) if name == "availability" else max(values, key=float)


def client_of(inputs: Inputs, tenant: str, contract: str = "") -> Client:
    """What is recorded for a client. Args: contract: key of one of its contracts, else the one in force."""
    held = [one for one in inputs.records.get("contract", ()) if one.tenant == tenant]
    chosen = [one for one in held if one.key == contract] if contract else []
    standing = sorted(
        (one for one in held if one.state in _STANDING), key=lambda one: _STANDING.index(one.state), reverse=True
    )
    host = next(
        (one for one in inputs.records.get("supplier", ()) if one.fields["role"] == "host" and one.state == "approved"),
        None,
    )
    certificate = next(
        (
            one
            for one in inputs.records.get("certificate", ())
            if host is not None
            and one.fields["holder"] == host.key
            and one.fields["scheme"] == "hds"
            and certificate_standing(one, inputs)[0]
        ),
        None,
    )
    return Client(
        tenant,
        next(iter(chosen or standing), None),
        [
            one
            for one in inputs.records.get("service", ())
            if one.state == "open" and tenant in one.fields.get("tenants", ())
        ],
        [one for one in inputs.records.get("client-contact", ()) if one.tenant == tenant and one.state == "active"],
        host,
        certificate,
    )


def active_transfers(inputs: Inputs, client: Client) -> list[RecordVersion]:
    """Transfers in force of the host and of the sub-processors of a client's services."""
    concerned = {*client.suppliers, *([client.host.key] if client.host else [])}
    return [
        one
        for one in inputs.records.get("transfer", ())
        if one.state == "active" and one.fields["supplier"] in concerned and one.tenant in ("", client.tenant)
    ]


def risky_notes(inputs: Inputs, client: Client) -> list[RecordVersion]:
    """Approved notes that conclude to an exposure, of the same actors."""
    concerned = {*client.suppliers, *([client.host.key] if client.host else [])}
    return [
        one
        for one in inputs.records.get("foreign-law-note", ())
        if one.state == "approved" and one.fields["supplier"] in concerned and one.fields["conclusion"] in _RISKS
    ]


def bindings(inputs: Inputs, client: Client) -> Mapping[str, Bound]:
    """Each value by the name that the template quotes."""
    words = Words("fr")  # the contract is in French
    found = dict(_parties(client))
    found |= dict(_certificate(client, words))
    found |= dict(_levels(inputs, client, words))
    found |= dict(_people(client))
    found |= dict(_chain(inputs, client, words))
    found |= dict(_terms(inputs, client, words))
    found |= dict(_processing(inputs, client, words))
    return found


def _parties(client: Client) -> Iterator[tuple[str, Bound]]:
    host = client.host
    name = host.fields["name"] if host else ""
    siren = host.fields.get("siren", "") if host else ""
    yield "host", Bound("Hébergeur", f"{name}, SIREN {siren}" if siren else name, _keys(host))
    label = client.term("client") or next((one.fields["organisation"] for one in client.contacts), "")
    yield "client", Bound("Client", label, _keys(client.contract, *client.contacts[:1]) if label else ())


def _certificate(client: Client, words: Words) -> Iterator[tuple[str, Bound]]:
    record = client.certificate
    fields: Mapping[str, Any] = record.fields if record else {}
    activities = ", ".join(f"{one}°" for one in fields.get("activities", ()))
    for name, label, text in (
        ("certificate_number", "Numéro du certificat HDS", fields.get("number", "")),
        ("certificate_body", "Organisme certificateur", fields.get("body", "")),
        ("certificate_activities", "Activités certifiées", activities),
        ("certificate_scope", "Périmètre certifié", fields.get("scope", "")),
        ("certificate_issued", "Date de délivrance", words.day(fields.get("issued_on", ""))),
        ("certificate_expires", "Date d'expiration", words.day(fields.get("expires_on", ""))),
    ):
        yield name, Bound(label, text, _keys(record))


def _levels(inputs: Inputs, client: Client, words: Words) -> Iterator[tuple[str, Bound]]:
    services = _keys(*client.services)
    names = ", ".join(str(one.fields["name"]) for one in client.services)
    yield "services", Bound("Services", names, services)
    availability = client.level("availability")
    text = f"{str(availability).replace('.', ',')}\u00a0%" if availability is not None else ""
    yield "availability", Bound("Disponibilité", text, services)
    hours = ", ".join(
        dict.fromkeys(str(one.fields["support_hours"]) for one in client.services if "support_hours" in one.fields)
    )
    yield "support_hours", Bound("Heures de support", hours, services)
    for name, label in (("dmia", "DMIA"), ("pdma", "PDMA")):
        minutes = client.level(f"{name}_min")
        yield name, Bound(label, words.duration(60 * minutes) if minutes is not None else "", services)
    place = inputs.installation
    yield "platform_rto", Bound("Reprise promise par la plateforme", words.duration(place.rto_s), ("settings",))
    yield "platform_rpo", Bound("Perte promise par la plateforme", words.duration(place.rpo_s), ("settings",))


def _people(client: Client) -> Iterator[tuple[str, Bound]]:
    for name, role, label in (
        ("incident_contact", "incident", "Référent incidents"),
        ("appointing_contact", "appoint", "Qui désigne un professionnel de santé"),
    ):
        one = client.contact(role)
        text = ""
        if one is not None:
            reach = ", ".join(str(one.fields[field]) for field in ("email", "phone") if field in one.fields)
            text = f"{one.fields['name']}, {one.fields['function']} ({reach})"
        yield name, Bound(label, text, _keys(one))


def _chain(inputs: Inputs, client: Client, words: Words) -> Iterator[tuple[str, Bound]]:
    known = {one.key: one for one in inputs.records.get("site", ()) if one.state == "active"}
    sites = [known[key] for key in client.sites if key in known]
    said = words.semicolon.join(
        f"{one.fields['name']}, {one.fields['city']} ({words.country(one.fields['country'])}), "
        f"exploité par {one.fields['operator']}"
        for one in sites
    )
    yield "sites", Bound("Lieux d'hébergement", said, _keys(*sites))
    chain = [one for one in actors(inputs) if one.key in client.suppliers]
    told = words.semicolon.join(
        f"{one.name} (activités {', '.join(f'{number}°' for number in one.activities) or 'aucune'}, "
        f"certificat HDS, {one.certificate})"
        for one in chain
    )
    none = "aucun" if client.services else ""
    yield "suppliers", Bound("Sous-traitants", told or none, tuple(one.key for one in chain) or _keys(*client.services))
    transfers = active_transfers(inputs, client)
    basis = inputs.schemas["transfer"].field("basis")
    assert basis is not None
    moved = words.semicolon.join(
        f"{one.fields['title']}, {words.country(one.fields['country'])} ({words.value(basis, one.fields['basis'])}, "
        f"{one.fields['basis_reference']})"
        for one in transfers
    )
    yield "transfers", Bound("Transferts", moved or none, _keys(*transfers) or _keys(*client.services))
    rows = [one for one in actors(inputs) if one.key in client.suppliers or one.host]
    risks = words.semicolon.join(
        f"{one.name}{words.colon}{' '.join(one.foreign_text)}" for one in rows if one.foreign is not False
    )
    noted = _keys(*risky_notes(inputs, client)) or tuple(one.key for one in rows)
    yield "foreign_law", Bound("Lois extra-européennes", risks.rstrip(".") or ("aucune" if rows else ""), noted)


def _terms(inputs: Inputs, client: Client, words: Words) -> Iterator[tuple[str, Bound]]:
    """What the parties agree on: from the contract under way, else blank."""
    source = _keys(client.contract)
    for name, field, label in (
        ("integrity", "integrity", "Engagement d'intégrité"),
        ("confidentiality", "confidentiality", "Engagement de confidentialité"),
        ("auditability", "auditability", "Engagement d'auditabilité"),
        ("exit_formats", "exit_formats", "Formats de restitution"),
        ("exit_cost", "exit_cost", "Coût de la réversibilité"),
        ("insurance", "insurance", "Assurance ou séquestre"),
    ):
        text = str(client.term(field) or "")
        yield name, Bound(label, text.rstrip("."), source if text else ())
    for name, field, label, unit in (
        ("breach_notice", "breach_notice_hours", "Délai de signalement d'une violation", "heure"),
        ("objection", "objection_days", "Délai d'objection", "jour"),
        ("change_notice", "change_notice_days", "Préavis de changement", "jour"),
        ("exit_delay", "exit_days", "Délai de réversibilité", "jour"),
    ):
        count = client.term(field)
        yield name, Bound(label, f"{count} {unit}{'s' if count > 1 else ''}" if count else "", source if count else ())
    schema = inputs.schemas["contract"]
    measuring = schema.field("measuring")
    rhythm = words.value(measuring, client.term("measuring")).lower() if measuring else ""
    yield "measuring", Bound("Rythme de mesure", rhythm, source if rhythm else ())
    agreed = client.term("penalties")
    penalties = "aucune" if agreed == "no" else str(client.term("penalty_terms") or "").rstrip(".") if agreed else ""
    yield "penalties", Bound("Pénalités", penalties, source if penalties else ())


def _processing(inputs: Inputs, client: Client, words: Words) -> Iterator[tuple[str, Bound]]:
    """What is done with the data, from the register of processing (RGPD 30.2)."""
    schema = inputs.schemas["processing"]
    records = [
        one
        for one in inputs.records.get("processing", ())
        if one.tenant == client.tenant and not schema.state(one.state).closed
    ]
    for name, fields in (
        ("processing_categories", ("title", "categories")),
        ("processing_data", ("data",)),
        ("processing_people", ("people",)),
    ):
        known = [one for one in map(schema.field, fields) if one is not None]
        said = [words.value(field, one.fields.get(field.id)).rstrip(".") for one in records for field in known]
        text = words.semicolon.join(dict.fromkeys(filter(None, said)))
        yield name, Bound(known[-1].fr, text, _keys(*records) if text else ())
    dates = [words.day(str(client.term(name) or "")) for name in ("starts_on", "ends_on")]
    span = f"du {dates[0]} au {dates[1]}" if all(dates) else ""
    yield "duration", Bound("Durée", span, _keys(client.contract) if span else ())


def _keys(*records: RecordVersion | None) -> tuple[str, ...]:
    return tuple(f"{one.register} {one.key} v{one.version}" for one in records if one is not None)
