"""The perimeter of one running installation: what may go live, what stands beside what was declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from hygie.app import House
from hygie.base.civil import paris_date
from hygie.gate.recorded import GoLive
from hygie.probes.gather import gather
from hygie.proof.facts import StoresFacts
from hygie.proof.model import Observed
from hygie.proof.perimeter.services import ServiceRow, production_blockers_of, services_on
from hygie.proof.perimeter.stores import Beside, side_by_side
from hygie.proving import ProofPlane, with_proof
from hygie.registers.chain import RecordVersion
from hygie.registers.engine import Asked, Registers


@dataclass(frozen=True, slots=True)
class Perimeter:
    """services: on the day ``on``; beside: what runs and what is declared, empty when the scan could not look: stores
    says why."""

    on: date
    services: Sequence[ServiceRow]
    beside: Sequence[Beside]
    stores: Observed[StoresFacts]


def go_live(house: House, operator: str) -> GoLive:
    """What allows production in one installation: every layer of a service that names the environment is certified
    today."""

    async def ask(tenant: str, name: str) -> Sequence[tuple[str, str]]:
        today = paris_date(house.clock.now_ms())

        def act(plane: ProofPlane) -> Sequence[tuple[str, str]]:
            return production_blockers_of(Known(plane.registers).of, tenant, name, today)

        return await with_proof(house, operator, act)

    return ask


async def look(house: House, operator: str, *, at_ms: int | None = None) -> Perimeter:
    """The perimeter, now or as it was known at an instant; what runs is looked at now.

    Args: at_ms: the day to judge; one to come is judged on what is known now. Raises: RecordRefusedError.
    """
    on = paris_date(at_ms if at_ms is not None else house.clock.now_ms())
    stores = (await gather(house, {"stores"})).stores
    seen = stores.value.stores if stores.value is not None else ()

    def act(plane: ProofPlane) -> Perimeter:
        known = Known(plane.registers, at_ms)
        return Perimeter(on, services_on(known.of, on), side_by_side(known.of, seen), stores)

    return await with_proof(house, operator, act)


class Known:
    """Registers as the perimeter's functions read them: newest versions, read once each."""

    def __init__(self, registers: Registers, at_ms: int | None = None) -> None:
        self._registers = registers
        self._at_ms = at_ms
        self._read: dict[str, list[RecordVersion]] = {}

    def of(self, register: str) -> list[RecordVersion]:
        """The newest version of each record, by key. Raises: RegisterNotFoundError."""
        if register not in self._read:
            self._read[register] = list(self._registers.current(Asked(register, at_ms=self._at_ms)))
        return self._read[register]
