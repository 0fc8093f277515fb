"""The good records of an imaginary host, written by the real engine on a real PostgreSQL, and ways to spoil them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hygie.database.cluster import Dsns
from hygie.evaluation import take_snapshot
from hygie.proof.controls.conditions import Snapshot
from hygie.registers.engine import Registers
from hygie.registers.orm import bound
from hygie.registers.rules import Change
from hygie.registers.schema import Field, shipped_schemas
from tests.unit.registers.stage import Hand, Sealing

DATA = Path(__file__).parents[1] / "data" / "registers"
NOW_MS = int(datetime(2026, 11, 27, 9, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000
CLIENTS = ("cabinet-exemple", "chu-exemple")
AUTHOR, APPROVER = "local:anne", "Emma Exemple"


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
        """A change from a table of the data: what begins with an underscore is not a field."""
        schema = self.registers.schemas[register]
        fields = {
            name: self._filed(schema.field(name), value) for name, value in row.items() if not name.startswith("_")
        }
        return Change(
            register,
            fields,
            key=row["_key"],
            state=row.get("_state", ""),
            tenant=row.get("_tenant", ""),
            approver=APPROVER,
        )

    def _filed(self, one: Field | None, value: Any) -> Any:
        """Documents are named by their file: each is kept, and cited by its digest."""
        if one is None or one.type not in ("document", "documents") or not value:
            return value
        names = value if isinstance(value, list) else [value]
        digests = [self.registers.put_document(name, "application/pdf", name.encode()) for name in names]
        return digests if isinstance(value, list) else digests[0]

    def good(self) -> list[Change]:
        """Every good record."""
        return [self.change(register, row) for register, rows in good_rows().items() for row in rows]


def good_rows() -> dict[str, list[dict[str, Any]]]:
    """The tables of the good records, by register."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted((DATA / "good").glob("*.toml")):
        for register, rows in tomllib.loads(file.read_text()).items():
            found.setdefault(register, []).extend(rows)
    return found


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
