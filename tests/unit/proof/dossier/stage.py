"""An installation in this process: real PostgreSQL, folder sites, keys, sealer and witness; a clock that a test holds.

What it shows is small and whole: a catalogue of four checks, evaluations a minute apart, writes of registers, traces of
two clients. Nothing of it is random: equal calls give an equal state, but for keys and salts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hygie.app import House, MonthKeyCache
from hygie.base.actions import Action
from hygie.base.layout import DataFolder
from hygie.base.settings import Settings, default_settings
from hygie.database.cluster import Dsns
from hygie.database.pool import Database
from hygie.dossiers import Wanted, Written, write_dossier
from hygie.journal.entry import PLATFORM, Entry
from hygie.journal.sealer import Sealer
from hygie.journal.witness import run_witness
from hygie.journal.writer import JournalWriter
from hygie.keys.file_kms import FileKms
from hygie.keys.in_process import InProcessKms
from hygie.keys.sealing import Passphrase
from hygie.proof.model import Evidence, Text, Verdict, same
from hygie.proof.runs import Batch, Run
from hygie.proving import ProofPlane, with_proof
from hygie.registers.rules import Change
from tests.contract.kms_stage import PASSPHRASE, make_state
from tests.unit.sites.stage import site_set, stage

AUTHOR = "system:work"
START_MS = 1_795_478_400_000  # 2026-11-24T00:00:00Z
MINUTE_MS = 60_000
CHU, CLINIC = bytes(range(16)), bytes(range(16, 32))
CHECKS = ("a.one", "a.two", "b.one", "b.two")
CADENCES = dict.fromkeys(CHECKS, 0.0)  # every run is kept
REFERENTIAL, OTHER = "hds@2.0", "iso27001@2022"
_CHECK = {"title": ["un", "one"], "proves": ["x", "x"], "source": "fact:x", "owner": "rssi", "evidence": "measured"}
_NODE = {"title": ["x", "x"], "assessable": True, "standing": "", "applies": True, "why": ["", ""]}
CATALOGUE: dict[str, Any] = {
    "format": "hygie catalogue 1",
    "version": "0",
    "referentials": {REFERENTIAL: "00", OTHER: "11"},
    "checks": [{"id": one, "cadence_s": 600.0, "fresh_s": 3_600.0, "sabotage": "", **_CHECK} for one in CHECKS],
    "controls": [
        {"id": "c.a", "title": ["a", "a"], "owner": "rssi", "answers": [], "checks": ["a.one", "a.two"]},
        {"id": "c.b", "title": ["b", "b"], "owner": "rssi", "answers": [], "checks": ["b.one", "b.two"]},
    ],
    "requirements": [
        {"ref": f"{REFERENTIAL}#1", "id": "1", "parent": "", **_NODE, "controls": []},
        {"ref": f"{REFERENTIAL}#1.1", "id": "1.1", "parent": f"{REFERENTIAL}#1", **_NODE, "controls": ["c.a"]},
        {"ref": f"{REFERENTIAL}#2", "id": "2", "parent": "", **_NODE, "controls": ["c.b"]},
        {"ref": f"{OTHER}#A.1", "id": "A.1", "parent": "", **_NODE, "controls": ["c.a", "c.b"]},
        {"ref": f"{OTHER}#A.2", "id": "A.2", "parent": "", **_NODE, "controls": []},
    ],
}  # fmt: skip
RED = {(5, "a.two"), (6, "a.two"), (9, "b.one")}  # (batch, check)


class Hand:
    """A clock that a test moves; every reading is one millisecond later."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        self.ms += 1
        return self.ms


@dataclass
class Place:
    """One installation. records: a pool of the sealer's role."""

    house: House
    records: Database
    sealer: Sealer
    writer: JournalWriter
    clock: Hand
    folder: Path

    async def evaluate(self, count: int, *, mode: str = "production", first: int = 1) -> None:
        """Evaluations, a minute apart."""
        for number in range(first, first + count):
            await with_proof(self.house, AUTHOR, lambda plane, number=number: self._add(plane, number, mode))  # type: ignore[misc]
            self.clock.ms += MINUTE_MS

    def _add(self, plane: ProofPlane, number: int, mode: str) -> Batch | None:
        ran_ms = self.clock.now_ms()
        runs = [run(name, ran_ms, red=(number, name) in RED) for name in CHECKS]
        return plane.evidence.add(runs, CATALOGUE, cause="cadence", mode=mode, cadences=CADENCES)

    async def write(self, changes: Sequence[Change]) -> None:
        """One write of registers."""
        await with_proof(self.house, "local:anne", lambda plane: plane.registers.write(changes))

    async def attach(self, content: bytes) -> str:
        """A file that a record will name."""
        return await with_proof(
            self.house, "local:anne", lambda plane: plane.registers.put_document("p.pdf", "application/pdf", content)
        )

    async def trace(self, count: int, tenant_id: bytes = CHU) -> None:
        """Accesses of a client's people, or acts of the platform."""
        kind, action = ("platform", Action.PLATFORM_START) if tenant_id == PLATFORM else ("access", Action.OBJECT_READ)
        await self.writer.append_now(
            [Entry(action, "done", kind, self.clock.now_ms(), tenant_id, account=f"a-{rank}") for rank in range(count)]
        )

    async def seal(self) -> None:
        """Publish what waits; each call leaves a kept checkpoint."""
        self.clock.ms += MINUTE_MS + 1_000
        await self.sealer.seal_once()
        await self.house.sites.drain(5)

    async def dossier(self, name: str = "dossier.zip", **wanted: Any) -> Written:
        """Write a dossier into the folder."""
        asked = Wanted(self.folder / name, **wanted)
        return await write_dossier(self.house, self.records, asked, author="local:anne")

    async def sql(self, statement: str, values: Sequence[object] = ()) -> None:
        """What only the database's owner can do."""
        import psycopg

        async with await psycopg.AsyncConnection.connect(self.house.dsns.owner) as connection:
            await connection.execute(statement.encode(), values)


def run(check: str, ran_ms: int, *, red: bool = False) -> Run:
    """One outcome."""
    return Run(
        check=check,
        verdict=Verdict.UNSATISFIED if red else Verdict.SATISFIED,
        evidence=Evidence.MEASURED,
        at_ms=ran_ms - 5,
        ran_ms=ran_ms,
        fresh_until_ms=ran_ms + 3_000_000,
        why=Text("mesuré", "measured"),
        observed=same(f"{check} 1"),
        declared=same("1"),
        remedy=Text("réparer", "mend") if red else None,
        source="fact:x",
    )


def person(number: int, function: str = "infirmière", key: str = "") -> Change:
    """A record of the register of people."""
    fields = {"name": f"Anne {number}", "employer": "Hôte", "function": function, "starts_on": "2026-01-01"}
    return Change("person", fields, key=key)


def policy(digest: str) -> Change:
    """A record that names a file."""
    return Change("policy", {"title": "PSSI", "kind": "policy", "edition": "1", "document": digest})


@asynccontextmanager
async def opened(dsns: Dsns, folder: Path, settings: Settings | None = None) -> AsyncIterator[Place]:
    """An empty installation."""
    clock, data = Hand(), DataFolder.at(folder / "data")
    data.create()
    make_state(folder / "state")
    file = FileKms(folder / "state", clock=clock)
    file.open()
    file.unseal(Passphrase(PASSPHRASE))
    kms = InProcessKms(file)
    for tenant_id in (PLATFORM, CHU, CLINIC):
        await kms.create_tenant(tenant_id)
    sites = site_set(stage(folder / "sites"))

    house = House(
        settings or default_settings(),
        data,
        dsns,
        cast(Any, kms),
        sites,
        cast(Any, clock),
        MonthKeyCache(cast(Any, kms)),
    )
    running = asyncio.create_task(_witness(house, clock))
    while not (data.witness / "witness.pub").exists() or not data.socket("witness.sock").exists():
        await asyncio.sleep(0.01)
    records, hosting = Database(dsns.sealer, size=2), Database(dsns.hosting, size=2)
    await records.open()
    await hosting.open()
    try:
        writer = JournalWriter(hosting, house.month_keys, clock)
        yield Place(house, records, await house.sealer(records), writer, clock, folder)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        for one in (records, hosting, sites, kms):
            await one.close()


async def _witness(house: House, clock: Hand) -> None:
    await run_witness(
        house.folder.witness,
        str(house.folder.socket("witness.sock")),
        name="witness.test/w1",
        logs=[await house.log_key()],
        clock=clock,
        ready=asyncio.Event(),
    )


async def story(place: Place, batches: int = 12) -> None:
    """Evaluations with two reds, writes with a document, traces of two clients; all published."""
    await place.trace(3, PLATFORM)
    await place.evaluate(batches // 2)
    digest = await place.attach(b"%PDF a policy")
    await place.write([policy(digest)])
    await place.write([person(1), person(2), person(3)])
    await place.trace(20)
    await place.seal()
    await place.trace(20, CLINIC)
    await place.evaluate(batches - batches // 2, first=batches // 2 + 1)
    await place.write([person(2, "cadre", key="PER-0002")])
    await place.trace(5, PLATFORM)
    await place.seal()
