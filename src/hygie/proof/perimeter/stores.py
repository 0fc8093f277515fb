"""What runs beside what the registers declare: each store observed, and the record that lists it; each asset declared,
and the observation that it is connected to. Pure.

An asset is connected when its field ``source`` (or its technical identifier) is the name of something observed:
``site:paris``, ``database:hygie``, ``backup``, ``kms``… A site of the register is by ``platform_site``; one without it
(a backup site, a room of keys) by the assets that stand in it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hygie.proof.certification.from_registers import Newest
from hygie.proof.facts import StoreFacts
from hygie.registers.chain import RecordVersion

IN_SERVICE = {"asset": "in-service", "site": "active"}


@dataclass(frozen=True, slots=True)
class Beside:
    """One thing, as observed and as declared. observed: its name in the platform, where: path, address or empty;
    declared: register and key of the record that lists it; health: it holds health data, by either side."""

    name: str
    kind: str
    where: str
    health: bool
    observed: bool
    declared: str
    title: str

    @property
    def unlisted(self) -> bool:
        """A store of health data that no record lists."""
        return self.observed and self.health and not self.declared

    @property
    def unconnected(self) -> bool:
        """A declared store of health data that nothing observes."""
        return bool(self.declared) and self.health and not self.observed


def side_by_side(of: Newest, seen: Sequence[StoreFacts]) -> list[Beside]:
    """Everything observed or declared in service, observed first. Args: of: newest records of a register."""
    standing: dict[str, list[str]] = {}
    for record in of("asset"):
        if record.state == IN_SERVICE["asset"]:
            standing.setdefault(str(record.fields.get("site")), []).extend(names_of(record))
    declared = [
        (name, record)
        for register, state in IN_SERVICE.items()
        for record in of(register)
        if record.state == state
        for name in names_of(record) or (standing.get(record.key, []) if register == "site" else [])
    ]
    listed: dict[str, list[RecordVersion | None]] = {}
    for name, record in declared:  # a site, and what stands in it, may be seen by the same store
        listed.setdefault(name, []).append(record)
    rows = [_observed(store, record) for store in seen for record in listed.get(store.name, [None])]
    shown, names = {row.declared for row in rows}, {store.name for store in seen}
    for register, state in IN_SERVICE.items():
        rows += [
            _declared(record, names)
            for record in of(register)
            if record.state == state and f"{register} {record.key}" not in shown
        ]
    return rows


def names_of(record: RecordVersion) -> list[str]:
    """The names under which an asset or a site of the register may be observed."""
    if record.register == "site":
        site = record.fields.get("platform_site")
        return [f"site:{site}"] if site else []
    return [str(record.fields[name]) for name in ("source", "identifier") if record.fields.get(name)]


def _observed(store: StoreFacts, record: RecordVersion | None) -> Beside:
    return Beside(
        name=store.name,
        kind=store.kind,
        where=store.where,
        health=store.health or bool(record and record.fields.get("health_data")),
        observed=True,
        declared=f"{record.register} {record.key}" if record else "",
        title=str(record.fields["name"]) if record else "",
    )


def _declared(record: RecordVersion, seen: Collection[str]) -> Beside:
    """A record that no row shows: nothing observes it, or what does stands beside another record."""
    names = names_of(record)
    connected = next((name for name in names if name in seen), "")
    return Beside(
        name=connected or next(iter(names), ""),
        kind=str(record.fields["kind"]),
        where="",
        health=bool(record.fields.get("health_data")),
        observed=bool(connected),
        declared=f"{record.register} {record.key}",
        title=str(record.fields["name"]),
    )
