"""Incidents of a running installation: what is read of registers, findings and the journal, and what is written down.

What leaves (a notice, an archive of evidence) is journaled first; who was told and when is written in the register.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hygie.app import House
from hygie.backups.run import measure
from hygie.database.pool import Database
from hygie.proof.incidents.clocks import INCIDENT, VIOLATION, RunningClock, breaches, clocks_of, pressed
from hygie.proof.incidents.significance import Criterion, met
from hygie.proving import ProofPlane, with_proof
from hygie.registers.chain import RecordVersion
from hygie.registers.engine import Asked
from hygie.registers.schema import Schema, Schemas
from hygie.rota import keep_rota

KIND = "incident-clocks"  # of its measurements
CLOCKS_EVERY_S = 20.0  # a change of the rota reaches the watch within it
NAMES_MAX = 20


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident as people look at it. met: criteria of significance (NIS 2); in_scope: whether they bind the host,
    or may."""

    record: RecordVersion
    schema: Schema
    violations: Sequence[RecordVersion]
    clocks: Sequence[RunningClock]
    met: Sequence[Criterion]
    in_scope: bool


async def listed(house: House, author: str, *, every: bool = False) -> list[Incident]:
    """Incidents, the newest last. Args: every: closed ones too."""

    def act(plane: ProofPlane) -> list[Incident]:
        schemas = plane.registers.schemas
        violations = list(plane.registers.current(Asked(VIOLATION)))
        return [
            seen(house, schemas, record, violations)
            for record in plane.registers.current(Asked(INCIDENT))
            if every or not schemas[INCIDENT].state(record.state).closed
        ]

    found: list[Incident] = await with_proof(house, author, act)
    return found


async def one_incident(house: House, author: str, key: str) -> Incident:
    """One incident. Raises: RegisterNotFoundError."""

    def act(plane: ProofPlane) -> Incident:
        return read_incident(house, plane, key)

    return await with_proof(house, author, act)


def read_incident(house: House, plane: ProofPlane, key: str) -> Incident:
    """The same, of an open proof plane. Raises: RegisterNotFoundError."""
    violations = list(plane.registers.current(Asked(VIOLATION)))
    return seen(house, plane.registers.schemas, plane.registers.get(INCIDENT, key), violations)


def seen(house: House, schemas: Schemas, record: RecordVersion, violations: Sequence[RecordVersion]) -> Incident:
    """An incident with its breaches and its clocks, now."""
    return Incident(
        record,
        schemas[INCIDENT],
        breaches(record, violations),
        clocks_of(record, violations, schemas, house.clock.now_ms()),
        met(record),
        house.settings.nis2.in_scope,
    )


async def look_at_incidents(house: House, records: Database, author: str) -> None:
    """One turn of ``hygie work``: the clocks, and the rota. Raises: what the registers and the database raise."""
    await run_clocks(house, records, author)
    await keep_rota(house, records, author)


async def run_clocks(house: House, records: Database, author: str) -> bool:
    """Look once at the clocks of every open incident and breach, and record what presses. Returns whether nothing
    does."""
    now_ms = house.clock.now_ms()

    def act(plane: ProofPlane) -> dict[str, Any]:
        registers = plane.registers
        both = [one for name in (INCIDENT, VIOLATION) for one in registers.current(Asked(name))]
        found = pressed(both, registers.schemas, now_ms)
        counts = {"late": len(found.late), "near": len(found.near), "theirs": len(found.theirs)}
        return counts | {"names": [*found.late, *found.near, *found.theirs][:NAMES_MAX]}

    facts: dict[str, Any] = await with_proof(house, author, act)
    passed = not facts["names"]
    await measure(records, now_ms, KIND, passed=passed, facts=facts)
    return passed
