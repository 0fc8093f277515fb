"""A sound host of health data in its registers, written by the real engine: tests change one thing of it.

Keys are short names: ``PER-anne`` (security officer), ``PER-paul`` (operator), ``HOST``, ``DC`` (a datacentre that is
certified for 1° and 2°), ``SVC``, ``SIT-paris``… Today is 15 March 2027.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hygie.database.cluster import Dsns
from hygie.proof.certification.writing import hooks
from hygie.registers.chain import RecordVersion
from hygie.registers.engine import Asked, Registers
from hygie.registers.orm import bound
from hygie.registers.rules import Change
from hygie.registers.schema import shipped_schemas
from tests.unit.registers.filled import completed
from tests.unit.registers.stage import Hand, Sealing

NOW = datetime(2027, 3, 15, 10, tzinfo=UTC)
TODAY = NOW.date()
TENANT = "chu"
PAGE = b"une page"
PAGE_SHA256 = hashlib.sha256(PAGE).hexdigest()
CERTIFICATE = {
    "edition": "2.0", "holder": "HOST", "decided_on": "2026-01-11", "issued_on": "2026-01-15",
    "expires_on": "2029-01-14", "activities": [3, 4, 5, 6], "depends_on": "ISO-host", "scheme": "hds",
    "checked_on": "2027-01-05",
}  # fmt: skip
ISO = CERTIFICATE | {"scheme": "iso27001", "edition": "2022", "activities": None, "depends_on": None}


def day(days: int) -> str:
    """The date so many days from today."""
    return (TODAY + timedelta(days=days)).isoformat()


def change(register: str, key: str = "", state: str = "", *, tenant: str = "", **fields: Any) -> Change:
    """A new record, filled from its schema, with these fields. A reference that it must hold is given by the caller."""
    schema = shipped_schemas()[register]
    whole = completed(schema, state or schema.initial.id, fields)
    dangling = [
        one.id for one in schema.fields
        if one.type in ("reference", "references") and one.id not in fields and one.id in whole
    ]  # fmt: skip
    for name in dangling:
        whole[name] = None if name not in _PEOPLE else "PER-anne"
    whole = {name: _kept(value) for name, value in whole.items()}
    given = tenant or (TENANT if schema.tenant == "required" else "")
    return Change(register, whole, key, state, given, approver="claire.petit")


def _kept(value: object) -> object:
    """A file that is kept, where the filling of schemas names one that is not."""
    if isinstance(value, list):
        return [_kept(one) for one in value]
    return PAGE_SHA256 if value == "ab" * 32 else value


_PEOPLE = {"owner", "lead", "handler", "requester", "done_by", "operator", "custodian", "chair", "crisis_lead",
           "reviewer", "verified_by", "seen_by"}  # fmt: skip


def host() -> list[Change]:
    """The records of a host that has been certified for a year, with one client."""
    actors = {f"actor_{number}": "DC" if number < 3 else "HOST" for number in range(1, 7)}
    return [
        change("person", "PER-anne", name="Anne Martin", starts_on="2020-01-06", account="anne",
               duties=["rssi", "dpo", "direction", "quality", "hr", "legal", "purchasing", "support", "operator"]),
        change("person", "PER-paul", name="Paul Durand", starts_on="2021-01-04", account="paul", duties=["operator"]),
        change("supplier", "HOST", "approved", name="Hébergeur", role="host", country="FR", hds="yes",
               outside_eea=False, foreign_law=False, activities=[3, 4, 5, 6], critical=False,
               last_review_on=day(-20), next_review_on=day(160)),
        change("supplier", "DC", "approved", name="Centre", role="processor", country="FR", hds="yes",
               outside_eea=False, foreign_law=False, activities=[1, 2], critical=False,
               last_review_on=day(-20), next_review_on=day(160)),
        change("certificate", "ISO-host", "valid", **ISO),
        change("certificate", "ISO-dc", "valid", **(ISO | {"holder": "DC"})),
        change("certificate", "HDS-host", "valid", **CERTIFICATE),
        change("certificate", "HDS-dc", "valid",
               **(CERTIFICATE | {"holder": "DC", "activities": [1, 2], "depends_on": "ISO-dc"})),
        *[
            change("site", f"SIT-{name}", "active", name=name, kind="datacentre", health_data=True, country="FR",
                   city=name.title(), operator="Centre", supplier="DC", platform_site=name, activities=[1, 2],
                   review_on=day(200))
            for name in ("paris", "lyon", "lille")
        ],
        change("service", "SVC", "open", name="Hébergement FHIR", activities=[1, 2, 3, 4, 5, 6], **actors,
               production=True, tenants=[TENANT], environments=[f"{TENANT}/prod"], suppliers=["DC"],
               french_interface=True,
               sites=["SIT-paris", "SIT-lyon", "SIT-lille"], certificates=["HDS-host", "HDS-dc"],
               review_on=day(200)),
    ]  # fmt: skip


@dataclass
class World:
    """The registers of a host, and what its platform shows."""

    dsns: Dsns
    registers: Registers
    clock: Hand = field(default_factory=Hand)

    def write(self, *changes: Change) -> list[RecordVersion]:
        return self.registers.write(changes)

    def amend(self, register: str, key: str, state: str = "", **fields: Any) -> RecordVersion:
        """A new version of one record."""
        (written, *_) = self.registers.write([Change(register, fields, key, state, approver="claire.petit")])
        return written

    def of(self, register: str) -> list[RecordVersion]:
        return list(self.registers.current(Asked(register)))


@contextmanager
def standing(dsns: Dsns, records: Callable[[], list[Change]] = host) -> Iterator[World]:
    """A host in its registers, on a database."""
    clock = Hand()
    clock.ms = int(NOW.timestamp() * 1000)
    with bound(dsns.console):
        world = World(dsns, Registers(Sealing(), clock, "local:luc", hooks=hooks()), clock)
        world.registers.put_document("page.txt", "text/plain", PAGE)
        world.write(*records())
        yield world
