"""One copy from end to end: permits, intents in both environments, reading, deciding, writing, outcomes.

Nothing is read before both intents are durable; nothing is written before everything was read, de-identified and found
alike enough.  What links the two sides is in this process's memory and ends with it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random, SystemRandom

from hygie.base.clock import Clock
from hygie.base.permit import Permit
from hygie.deidentify.cells import CellCount
from hygie.deidentify.declaration import Declaration
from hygie.deidentify.errors import CopyTooLargeError
from hygie.deidentify.people import LEVELS, Level, choose_level, dress
from hygie.deidentify.rules import Rules, shipped_rules
from hygie.deidentify.scrub import Held, Scrubber
from hygie.fhir.interactions import new_object
from hygie.fhir.structures import parse
from hygie.gate.instructed import InstructedGate
from hygie.gate.local import LocalOperator
from hygie.gate.recorded import Environment
from hygie.vault.exporting import CopyScope, ExportedVersion
from hygie.vault.model import NewObject, WriteRequest
from hygie.vault.vault import Vault

PURPOSE = "TEST-COPY"
COPY_BYTES_MAX = 512 * 1024 * 1024  # de-identified JSON held in memory: some 700,000 resources
WRITE_OBJECTS = 500  # in one transaction; two at once keep the writer busy
WRITES_AT_ONCE = 2
COMMON_COMPARTMENT = 0
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class CopyRooms:
    """What a copy works with. gate: of the operator, who has no right of his own; draw: numbers nobody can foresee."""

    vault: Vault
    gate: InstructedGate
    operator: LocalOperator
    clock: Clock
    rules: Rules = field(default_factory=shipped_rules)
    draw: Random = field(default_factory=SystemRandom)


@dataclass(frozen=True, slots=True)
class CopyAsk:
    """What is asked. cells: how many people must have a code for it to leave."""

    source: Environment
    target: Environment
    declaration: Declaration
    cells: int


@dataclass(slots=True)
class CopyReport:
    """What a copy did. resources: written, by type; left_out: taken, but not valid without what was dropped; missing:
    versions that no site gave back; alike: patients in the smallest group of the result; codes: of the source."""

    declaration: str
    patients: int = 0
    resources: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    missing: int = 0
    alike: int = 0
    level: Level = LEVELS[-1]
    codes: CellCount = field(default_factory=lambda: CellCount(0, 0, 0))

    def detail(self) -> dict[str, str]:
        """What both outcomes say of it: counts."""
        return {
            "patients": str(self.patients),
            "left_out": str(self.left_out),
            "missing": str(self.missing),
            "alike": str(self.alike),
            "codes_dropped": str(self.codes.dropped),
            "codes_generalised": str(self.codes.generalised),
        }


async def copy_deidentified(rooms: CopyRooms, ask: CopyAsk, progress: Progress) -> CopyReport:
    """Copy, de-identified, what a declaration allows. Args: progress: told how many more resources were written.

    Raises: RefusedError: not such environments, or an officer who is not entitled in both (journaled);
    TooFewAlikeError, CopyTooLargeError: nothing was written; UnavailableError: what was written stays, under names that
    nothing links to their source: destroy the environment, or copy again.
    """
    declaration, source, target = ask.declaration, ask.source, ask.target
    reading, writing = await rooms.gate.admit_copy(declaration.officer, source.place, target.place, purpose=PURPOSE)
    said = {
        "declaration": declaration.key,
        "version": str(declaration.version),
        "digest": declaration.digest.hex(),
        "ordered_by": declaration.officer,
        "approver": declaration.approver,
        "k": str(declaration.k),
        "cells": str(ask.cells),
    }
    into = said | {"from": source.place.environment_id.hex()}
    out = said | {"into": target.place.environment_id.hex()}
    async with rooms.operator.acting(reading, detail=out) as left, rooms.operator.acting(writing, detail=into) as came:
        copy = _Copy(rooms, ask, CopyReport(declaration.key))
        held = await copy.read(reading)
        kept = copy.decide(held)
        await copy.write(writing, kept, progress)
        left.count = came.count = sum(copy.report.resources.values())
        left.detail |= copy.report.detail()
        came.detail |= copy.report.detail()
    return copy.report


class _Copy:
    """One copy's memory and its steps."""

    def __init__(self, rooms: CopyRooms, ask: CopyAsk, report: CopyReport) -> None:
        self._rooms = rooms
        self._ask = ask
        self.report = report
        self._today = datetime.fromtimestamp(rooms.clock.now_ms() / 1000, UTC).date()
        self._scrubber = Scrubber(rooms.rules, rooms.draw, self._today)

    async def read(self, permit: Permit) -> list[Held]:
        """Choose patients at random, take what may leave of each."""
        vault, declaration = self._rooms.vault, self._ask.declaration
        bound, patients, common = await vault.copy_bound(permit)
        chosen = self._rooms.draw.sample(patients, min(len(patients), declaration.patients_max))
        held: list[Held] = []
        size = 0
        scope = CopyScope(declaration.types, [*common, *chosen])
        async for batch in vault.export_scope(permit, bound, scope):
            for one in self._taken(batch):
                size += len(one.body)
                held.append(one)
            if size > COPY_BYTES_MAX:
                raise CopyTooLargeError(limit_mib=COPY_BYTES_MAX // 2**20)
        return held

    def _taken(self, batch: Sequence[ExportedVersion]) -> Iterator[Held]:
        for one in batch:
            stored = one.stored
            if stored is None:
                self.report.missing += not one.erased
                continue
            if stored.deleted:
                continue
            common = one.kind == COMMON_COMPARTMENT
            holder = one.object_id if common else one.compartment
            taken = self._scrubber.take(stored.type, stored.id, stored.body, holder, of_patient=not common)
            if taken is not None:
                yield taken

    def decide(self, held: list[Held]) -> list[Held]:
        """Rare codes, how coarsely people are shown, what holds together. Raises: TooFewAlikeError."""
        scrubber, report = self._scrubber, self.report
        people = [one for one in scrubber.people.values() if one.known]
        report.patients = len(people)
        report.level, report.alike = choose_level(people, self._ask.declaration.k, self._today)
        dress(people, report.level, self._rooms.draw, self._today)
        kept = scrubber.settle_all(held, self._ask.cells)
        report.codes = scrubber.cells.count()
        report.left_out = len(held) - len(kept)
        self._rooms.draw.shuffle(kept)  # the order of the source says nothing any more
        return kept

    async def write(self, permit: Permit, kept: list[Held], progress: Progress) -> None:
        """Normal writes, in the order of a shuffle."""
        counts: Counter[str] = Counter()
        waiting: set[asyncio.Task[int]] = set()
        for begin in range(0, len(kept), WRITE_OBJECTS):
            objects = [self._object(one) for one in kept[begin : begin + WRITE_OBJECTS]]
            counts.update(one.type for one in objects)
            waiting.add(asyncio.create_task(self._store(permit, objects)))
            if len(waiting) >= WRITES_AT_ONCE:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    progress(await task)
        for number in await asyncio.gather(*waiting):
            progress(number)
        self.report.resources = dict(sorted(counts.items()))

    async def _store(self, permit: Permit, objects: list[NewObject]) -> int:
        return len(await self._rooms.vault.write(permit, WriteRequest(objects, weight=len(objects))))

    def _object(self, held: Held) -> NewObject:
        """Held to the definitions once more, as any write is."""
        settled = self._scrubber.settle(held)
        assert settled is not None
        return new_object(parse(settled, expected=held.type), held.id, "", new=True)
