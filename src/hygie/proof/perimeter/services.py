"""Services on a day: each activity, who performs it, under which certificate, until when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from hygie.proof.certification.certificate import Certificate
from hygie.proof.certification.coverage import Coverage, covered
from hygie.proof.certification.delays import own_delays
from hygie.proof.certification.from_registers import Newest, read_books, service_of
from hygie.proof.certification.records import state_for
from hygie.proof.certification.scoping import Held, Role, own_words, roles_held
from hygie.proof.model import Text
from hygie.registers.chain import RecordVersion

OFFERED = ("draft", "open", "suspended")


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One activity of a service. actor: empty when nobody is named; until: last day of the certificate."""

    activity: int
    actor: str
    actor_name: str
    certificate: str
    until: date | None
    covered: bool
    reasons: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service on a day. roles: the familiar roles, and how much of each its activities make up."""

    key: str
    name: str
    state: str
    production: bool
    environments: tuple[str, ...]
    covered: bool
    reasons: tuple[Text, ...]
    layers: tuple[LayerRow, ...]
    roles: tuple[tuple[Role, Held], ...]


def certificates_on(of: Newest, at: date) -> tuple[Certificate, ...]:
    """The certificates as their cycles leave them on a day. Raises: RecordRefusedError."""
    delays = own_delays()
    books = read_books(of, delays)
    return tuple(state_for(one, books.events, delays, at=at) for one in books.certificates)


def services_on(of: Newest, at: date) -> list[ServiceRow]:
    """Every service that is not closed. Args: of: newest versions of the records of a register.

    Raises: RecordRefusedError: a record that cannot be read, by its key.
    """
    certificates, delays = certificates_on(of, at), own_delays()
    names = {one.key: str(one.fields["name"]) for one in of("supplier")}
    ends = {one.id: one.expires_on for one in certificates}
    return [
        _row(record, covered(service_of(record), certificates, delays, at=at), names, ends)
        for record in of("service")
        if record.state in OFFERED
    ]


def production_blockers_of(of: Newest, tenant: str, environment: str, at: date) -> list[Text]:
    """Why an environment may not be in production on a day; nothing when it may.

    It takes an open service of production that names it (or its client), and each such service is covered.
    Raises: RecordRefusedError.
    """
    place = f"{tenant}/{environment}"
    serving = [row for row in services_on(of, at) if row.production and row.state == "open"]
    named = {record.key for record in of("service") if _serves(record, tenant, place)}
    chosen = [row for row in serving if row.key in named]
    if not chosen:
        return [
            Text(
                f"aucun service de production ouvert ne cite {place} au registre service",
                f"no open production service names {place} in the register service",
            )
        ]
    return [
        Text(f"service {row.key}, {reason.fr}", f"service {row.key}, {reason.en}")
        for row in chosen
        for reason in row.reasons
    ]


def serves(record: RecordVersion, tenant: str, environment: str) -> bool:
    """Whether a service's record names an environment, or its whole client when it names none of its environments."""
    return _serves(record, tenant, f"{tenant}/{environment}")


def _serves(record: RecordVersion, tenant: str, place: str) -> bool:
    environments = [str(one) for one in record.fields.get("environments", ())]
    if any(one.startswith(f"{tenant}/") for one in environments):
        return place in environments
    return tenant in record.fields.get("tenants", ())


def _row(record: RecordVersion, coverage: Coverage, names: dict[str, str], ends: dict[str, date]) -> ServiceRow:
    layers = tuple(
        LayerRow(
            activity=layer.activity,
            actor=layer.actor or "",
            actor_name=names.get(layer.actor or "", ""),
            certificate=layer.certificate or "",
            until=ends.get(layer.certificate or ""),
            covered=layer.covered,
            reasons=layer.reasons,
        )
        for layer in coverage.layers
    )
    return ServiceRow(
        key=record.key,
        name=str(record.fields["name"]),
        state=record.state,
        production=bool(record.fields.get("production")),
        environments=tuple(str(one) for one in record.fields.get("environments", ())),
        covered=coverage.covered,
        reasons=coverage.reasons,
        layers=layers,
        roles=roles_held(_activities(record), own_words()),
    )


def _activities(record: RecordVersion) -> Sequence[int]:
    return [int(one) for one in record.fields.get("activities", ())]
