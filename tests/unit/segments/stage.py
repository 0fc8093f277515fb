"""The two logs of a small installation with real parts: PostgreSQL, a file KMS, three folder sites, a journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hygie.database.pool import Database
from hygie.journal.entry import PLATFORM, Entry, open_entry, seal_entry
from hygie.journal.leaf import month_at, read_head
from hygie.proof.evidence import EvidenceLog
from hygie.proof.model import Evidence, Verdict, same
from hygie.proof.runs import Run
from hygie.registers.engine import Registers
from hygie.registers.orm import bound
from hygie.registers.rules import Change
from hygie.segments import rows
from hygie.segments.format import BATCHES, LOGS, PREFIX, RECORDS
from hygie.segments.named import NamedWrites
from hygie.segments.publish import Publisher, proof_keys
from hygie.segments.taking_back import TakenBack, Taking
from hygie.sites.site import Site
from tests.unit.registers.stage import Hand, small_schemas

T = TypeVar("T")
CATALOGUE = {"version": "0", "checks": [{"id": "a.one"}, {"id": "a.two"}]}
__all__ = ["BATCHES", "LOGS", "RECORDS"]


class Sealing:
    """Journal entries under the platform's own month key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def leaf(self, entry: Entry) -> bytes:
        return seal_entry(entry, month_key=self._key)


@dataclass
class Logs:
    """house: of the vault's tests; clock: of both logs, to be set; key: the month key of their entries."""

    house: Any
    records: Database
    owner: Database
    key: bytes
    clock: Hand = field(default_factory=Hand)

    def publisher(self) -> Publisher:
        """Another process's: nothing is known to it yet."""
        return Publisher(self.records, kms=self.house.kms, sites=self.house.sites, clock=self.clock)

    async def on_logs(self, act: Callable[[Registers, EvidenceLog], T]) -> T:
        """An act on registers and evidence, as the console's role."""

        def run() -> T:
            with bound(self.house.dsns.console):
                journal = Sealing(self.key)
                return act(
                    Registers(journal, self.clock, "local:anne", small_schemas()),
                    EvidenceLog(journal, self.clock, "system:work"),
                )

        return await asyncio.to_thread(run)

    async def write(self, *names: str) -> None:
        """A record each, one write."""
        changes = [Change("maker", {"name": name}) for name in names]
        await self.on_logs(lambda registers, _: registers.write(changes))

    async def evaluate(self, times: int = 1, *, runs: int = 2) -> None:
        """So many evaluations, each with something new to say."""

        def act(_: Registers, log: EvidenceLog) -> None:
            for _number in range(times):
                self.clock.ms += 1_000
                done = [run(f"a.{rank}", self.clock.ms) for rank in range(runs)]
                cadences = {one.check: 0.0 for one in done}
                log.add(done, CATALOGUE, cause="cadence", mode="trial", cadences=cadences)

        await self.on_logs(act)

    async def journal(self) -> list[Entry]:
        """What waits in the journal of these logs, oldest first."""
        async with self.owner.transaction() as connection:
            found = await (await connection.execute("SELECT leaf FROM hygie.journal_pending ORDER BY id")).fetchall()
        leaves = [leaf for (leaf,) in found if read_head(leaf).kind == "evidence"]
        return [open_entry(leaf, month_key=self.key) for leaf in leaves]

    async def named(self) -> NamedWrites:
        """What the journal names."""
        heard = NamedWrites()
        for entry in await self.journal():
            heard.hear(entry)
        return heard

    async def lose(self) -> None:
        """The database is lost, and a new one is there: both logs are empty, nothing is known to be published."""
        tables = "record, document, run, batch, catalogue, hole"
        async with self.owner.transaction() as connection:
            for table in tables.split(", "):
                await connection.execute(f"DELETE FROM hygie_proof.{table}".encode())
            await connection.execute("DELETE FROM hygie.proof_object")
            await connection.execute("UPDATE hygie_proof.head SET seq = 0, at_ms = 0, digest = %s", (bytes(32),))

    async def sql(self, statement: str) -> list[Any]:
        """As the database's owner."""
        async with self.owner.transaction() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def take_back(self, *sites: str, named: NamedWrites | None = None) -> TakenBack:
        """From these sites, all of them by default."""
        chosen: Sequence[Site] = [self.house.sites.link(name).site for name in sites] or self.house.sites.sites
        keys = await proof_keys(self.house.kms)
        return await Taking(self.owner, chosen, keys, now_ms=self.clock.ms).run(named)

    async def dump(self) -> dict[str, list[Any]]:
        """Every row of both logs."""
        tables = {"record": "seq", "document": "sha256", "catalogue": "sha256", "batch": "seq", "run": "batch, place"}
        found = {
            table: await self.sql(f"SELECT * FROM hygie_proof.{table} ORDER BY {order}")
            for table, order in tables.items()
        }
        return found | {"head": await self.sql("SELECT log, seq, digest FROM hygie_proof.head ORDER BY log")}

    async def names(self, site: str, log: str = "") -> list[str]:
        """What a site lists, without the prefix of its log."""
        prefix = f"{PREFIX}{log}/" if log else PREFIX
        listing = (await self.house.sites.list_sites(prefix))[site]
        return sorted(name.removeprefix(prefix) for name in listing or {})

    async def end(self, log: str) -> int:
        """The last published number, as the database knows it."""
        async with self.records.transaction() as connection:
            return (await rows.stored_end(connection, log)).seq

    def path(self, site: str, name: str) -> Path:
        """The file of a name on a folder site."""
        return Path(self.house.folders) / site / name


def run(check: str, ran_ms: int, verdict: Verdict = Verdict.SATISFIED) -> Run:
    """One run that nothing precedes."""
    return Run(
        check=check,
        verdict=verdict,
        evidence=Evidence.MEASURED,
        at_ms=ran_ms,
        ran_ms=ran_ms,
        fresh_until_ms=ran_ms + 3_600_000,
        why=same("yes"),
        observed=same(str(ran_ms)),
        declared=same("1"),
    )


@asynccontextmanager
async def logs_of(house: Any) -> AsyncIterator[Logs]:
    """Both logs of a house of the vault's tests."""
    records, owner = Database(house.dsns.sealer, size=2), Database(house.dsns.owner, size=2)
    await house.kms.create_tenant(PLATFORM)
    hand = Hand()
    hand.ms = house.clock.now_ms()  # the KMS makes month keys of now
    key = await house.kms.month_key(PLATFORM, "evidence", month_at(hand.ms))
    await records.open()
    await owner.open()
    try:
        yield Logs(house, records, owner, key, hand)
    finally:
        await records.close()
        await owner.close()
