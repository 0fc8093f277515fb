"""The demonstration's records of an imaginary host, written by the real engine on a real PostgreSQL, and ways to spoil
them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hygie.database.cluster import Dsns
from hygie.demo.books import CLIENTS, WRITTEN_ON, change_of, rows_on
from hygie.evaluation import take_snapshot
from hygie.proof.controls.conditions import Snapshot
from hygie.registers.engine import Registers
from hygie.registers.orm import bound
from hygie.registers.rules import Change
from hygie.registers.schema import shipped_schemas
from tests.unit.registers.stage import Hand, Sealing

DATA = Path(__file__).parents[1] / "data" / "registers"
NOW_MS = int(datetime(WRITTEN_ON.year, WRITTEN_ON.month, WRITTEN_ON.day, 9, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000
AUTHOR = "local:anne"


class UndoneError(Exception):
    """Leaves a transaction so that nothing of it stays."""


@dataclass
class Recorded:
    """Registers of the shipped schemas on a fresh database, at the date of the good records."""

    registers: Registers
    clock: Hand = field(default_factory=Hand)

    def write(self, changes: Sequence[Change]) -> None:
        """Through the real door."""
        self.registers.write(changes)

    def snapshot(self, *, days: float = 0, tenants: Sequence[str] = CLIENTS) -> Snapshot:
        """What the registers hold. Args: days: how long after the good records one looks."""
        return take_snapshot(self.registers, NOW_MS + int(days * DAY_MS), tenants)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What is written within is not there after."""
        from django.db import transaction

        try:
            with transaction.atomic():
                yield
                raise UndoneError
        except UndoneError:
            return

    def change(self, register: str, row: dict[str, Any]) -> Change:
        """A change from a table of the data."""
        return change_of(self.registers, register, row)

    def good(self) -> list[Change]:
        """Every good record."""
        return [self.change(register, row) for register, rows in rows_on(WRITTEN_ON).items() for row in rows]


def sabotages() -> dict[str, dict[str, Any]]:
    """How each check on registers is turned red, by its id."""
    return dict(tomllib.loads((DATA / "sabotage.toml").read_text()))


@contextmanager
def recorded(dsns: Dsns) -> Iterator[Recorded]:
    """Registers bound to an empty database."""
    clock = Hand()
    clock.ms = NOW_MS
    with bound(dsns.console):
        yield Recorded(Registers(Sealing(), clock, AUTHOR, shipped_schemas()), clock)
