"""A de-identified copy, assembled: the declaration from its register, the two environments, the rooms that do it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hygie.app import House
from hygie.base.actions import Action
from hygie.base.civil import paris_date
from hygie.base.errors import HygieError
from hygie.custody import Custody
from hygie.deidentify.declaration import REGISTER, Declaration, Wanted, declared
from hygie.deidentify.errors import NotDeclaredError
from hygie.deidentify.rules import shipped_rules
from hygie.deidentify.run import CopyAsk, CopyRooms
from hygie.gate.administration import Administration
from hygie.gate.instructed import InstructedGate
from hygie.hosting import open_hosting
from hygie.proving import ProofPlane, with_proof
from hygie.registers.engine import Asked
from hygie.registers.errors import RegisterNotFoundError, RegisterTamperedError


@asynccontextmanager
async def copy_rooms(custody: Custody, operator: str) -> AsyncIterator[CopyRooms]:
    """What a copy works with."""
    async with open_hosting(custody.house) as hosting:
        yield CopyRooms(hosting.vault, _gate(custody, operator), custody.operator, custody.house.clock)


def _gate(custody: Custody, operator: str) -> InstructedGate:
    house = custody.house
    return InstructedGate(custody.owner, kms=house.kms, journal=custody.journal, clock=house.clock, operator=operator)


async def ask_copy(
    custody: Custody, acts: Administration, wanted: tuple[str, str, str], key: str, *, operator: str, cells: int
) -> CopyAsk:
    """What a declaration allows, between two environments.

    Args: wanted: client, environment of production, environment for tests; key: of the record; cells: how many
    people must have a code for it to leave, the declared k at least.
    Raises: NotFoundError: no such environment; NotDeclaredError: journaled before.
    """
    tenant, source_name, target_name = wanted
    source = await acts.environment(tenant, source_name)
    target = await acts.environment(tenant, target_name)
    today = paris_date(custody.house.clock.now_ms())
    try:
        declaration = await _declaration(custody.house, key, Wanted(tenant, source_name, target_name, operator, today))
    except HygieError as error:
        await _gate(custody, operator).refuse(error, "", Action.OBJECT_COPY, target.place)
    return CopyAsk(source, target, declaration, max(cells, declaration.k))


async def _declaration(house: House, key: str, wanted: Wanted) -> Declaration:
    """The declaration under a number, from a register whose chain holds. Raises: NotDeclaredError."""

    def read(plane: ProofPlane) -> Declaration:
        registers = plane.registers
        try:
            registers.verify(registers.holes())
            history = registers.history(REGISTER, key)
        except RegisterTamperedError as error:
            raise NotDeclaredError(key=key, reason="altered") from error
        except RegisterNotFoundError as error:
            raise NotDeclaredError(key=key, reason="unknown") from error
        people = list(registers.current(Asked("person")))
        return declared(history, people, wanted, shipped_rules().plans)

    return await with_proof(house, wanted.operator, read)
