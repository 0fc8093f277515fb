"""Checks on registers, in memory: on the records of one host, then with 50,000 records in one register."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median
from typing import Any

from benchmarks.figures import Figure, tell
from hygie.demo.books import CLIENTS, WRITTEN_ON, rows_on
from hygie.proof.controls.conditions import Snapshot
from hygie.proof.controls.read import shipped_controls
from hygie.proof.controls.rules import judge_records
from hygie.registers.chain import RecordVersion
from hygie.registers.schema import shipped_schemas

NOW_MS = int(datetime(WRITTEN_ON.year, WRITTEN_ON.month, WRITTEN_ON.day, 9, tzinfo=UTC).timestamp() * 1000)
MANY = 50_000
TURNS = 5
LARGE = ("person", "asset", "contract")  # few checks, those that look through references, the most checks

Records = Mapping[str, Sequence[RecordVersion]]


def good_records() -> dict[str, list[RecordVersion]]:
    """The records of the demonstration's imaginary host, as stored."""
    return {register: [_stored(register, row) for row in rows] for register, rows in rows_on(WRITTEN_ON).items()}


def _stored(register: str, row: Mapping[str, Any]) -> RecordVersion:
    fields = {name: value for name, value in row.items() if not name.startswith("_")}
    key, state, tenant = row["_key"], row["_state"], row.get("_tenant", "")
    return RecordVersion(1, register, key, 1, NOW_MS, "local:anne", "Emma", tenant, state, "", fields)


def with_many(records: Records, register: str) -> Records:
    """The same, with 50,000 records in one register."""
    few = records[register]
    more = [replace(few[rank % len(few)], key=f"X-{rank}") for rank in range(MANY - len(few))]
    return {**records, register: [*few, *more]}


def judged_s(records: Records) -> float:
    """Seconds to judge every check, indexes made anew."""
    schemas, checks = shipped_schemas(), shipped_controls().checks
    began = time.perf_counter()
    snapshot = Snapshot(records, NOW_MS, CLIENTS)
    for one in checks:
        judge_records(one, snapshot, schemas)
    return time.perf_counter() - began


def main() -> None:
    """Judge."""
    records = good_records()
    count, checks = sum(map(len, records.values())), len(shipped_controls().checks)
    took = median(judged_s(records) for _ in range(TURNS))
    tell(Figure("controls", took, note=f"{checks} checks, {count} records"))
    for register in LARGE:
        large = with_many(records, register)
        looking = sum(register in (one.register, one.of) for one in shipped_controls().checks)
        note = f"{checks} checks, {looking} of them on it"
        tell(Figure(f"controls-{register}", median(judged_s(large) for _ in range(3)), note=note))


if __name__ == "__main__":
    main()
