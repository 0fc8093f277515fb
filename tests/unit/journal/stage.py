"""A whole journal for the tests: real Postgres, real folder sites, real witness server, keys in memory."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.base.actions import Action
from hygie.base.errors import InvalidRequestError
from hygie.database.cluster import Dsns
from hygie.database.pool import Database
from hygie.journal.checkpoint import ED25519, VerifierKey
from hygie.journal.entry import Entry
from hygie.journal.sealer import Sealer
from hygie.journal.witness import run_witness
from hygie.journal.witness_client import WitnessClient
from hygie.journal.writer import JournalWriter
from hygie.keys.errors import KeyDestroyedError
from hygie.sites.link import SiteLimits
from hygie.sites.placement import SiteSet
from tests.unit.sites.stage import StagedSite, site_set, stage

LIMITS = SiteLimits(write_timeout_s=2.0, read_timeout_s=2.0, hedge_after_s=0.1, stall_after_s=0.5, cool_down_s=0.05)
TENANT = bytes(range(16))
OTHER_TENANT = bytes(range(16, 32))
START_MS = 1_795_478_400_000  # 2026-11-24T00:00:00Z


class TestClock:
    """A clock that a test moves; every reading is one millisecond later."""

    __test__ = False

    def __init__(self, at_ms: int = START_MS) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        self.at_ms += 1
        return self.at_ms


class MemoryMonthKeys:
    """Month keys derived from one secret; those destroyed are refused."""

    def __init__(self) -> None:
        self.destroyed: set[tuple[bytes, str, str]] = set()
        self.refused: set[tuple[bytes, str, str]] = set()

    async def month_key(self, tenant_id: bytes, kind: str, month: str) -> bytes:
        if (tenant_id, kind, month) in self.destroyed:
            raise KeyDestroyedError(part="month")
        if (tenant_id, kind, month) in self.refused:
            raise InvalidRequestError(reason="a month of another time")
        return hmac.digest(b"test", tenant_id + kind.encode() + month.encode(), "sha256")


class LocalSigner:
    """Signs with a key in memory."""

    name = "hygie.test/journal"

    def __init__(self, seed: int = 7) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    @property
    def key(self) -> VerifierKey:
        return VerifierKey(self.name, ED25519, self.public_key)


class World:
    """What a sealer needs, and ways to break it."""

    def __init__(self, dsns: Dsns, folder: Path) -> None:
        self.dsns = dsns
        self.folder = folder
        self.clock = TestClock()
        self.keys = MemoryMonthKeys()
        self.signer = LocalSigner()
        self.staged: dict[str, StagedSite] = stage(folder / "sites")
        self.database: Database
        self.hosting: Database
        self.sites: SiteSet
        self.witness: WitnessClient | None = None
        self.writer: JournalWriter

    def sealer(self, on_step: Callable[[str], None] | None = None, database: Database | None = None) -> Sealer:
        """A fresh sealer: what a restarted process has."""
        return Sealer(
            database=database or self.database,
            sites=self.sites,
            signer=self.signer,
            month_keys=self.keys,
            clock=self.clock,
            witness=self.witness,
            on_step=on_step,
        )

    def entries(self, count: int, tenant_id: bytes = TENANT, kind: str = "access") -> list[Entry]:
        """Distinct entries."""
        return [
            Entry(
                action=Action.OBJECT_READ,
                outcome="done",
                kind=kind,
                at_ms=self.clock.now_ms(),
                tenant_id=tenant_id,
                account=f"account-{number}",
                subject=hashlib.sha256(bytes([number % 3])).digest()[:16],
            )
            for number in range(count)
        ]

    async def append(self, count: int, tenant_id: bytes = TENANT, kind: str = "access") -> None:
        """Durable entries, waiting for the sealer."""
        await self.writer.append_now(self.entries(count, tenant_id, kind))

    async def sql(self, query: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """What somebody with the database's own hands does."""
        import psycopg

        async with await psycopg.AsyncConnection.connect(self.dsns.owner) as connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def leaves(self) -> list[bytes]:
        """The indexed leaves of the database, in order."""
        rows = await self.sql("SELECT leaf FROM hygie.journal_entry ORDER BY index")
        return [row[0] for row in rows]  # type: ignore[misc]

    async def checkpoint_on(self, site: str) -> bytes:
        """The note that one site shows, once the writes under way are done."""
        await self.sites.drain(5)
        return self.staged[site].inner.get("journal/checkpoint")


@asynccontextmanager
async def world(dsns: Dsns, *, witness: bool = True) -> AsyncIterator[World]:
    """A journal that runs, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-j-"))
    made = World(dsns, folder)
    made.database, made.hosting = Database(dsns.sealer, size=3), Database(dsns.hosting, size=2)
    made.sites = site_set(made.staged, limits=LIMITS)
    await made.database.open()
    await made.hosting.open()
    made.writer = JournalWriter(made.hosting, made.keys, made.clock)
    running = await start_witness(made) if witness else None
    try:
        yield made
    finally:
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        await made.sites.close()
        await made.database.close()
        await made.hosting.close()
        shutil.rmtree(folder)


async def start_witness(made: World) -> asyncio.Task[None]:
    """Run the witness and give its client to the world."""
    ready = asyncio.Event()
    state, socket = made.folder / "witness", str(made.folder / "witness.sock")
    running = asyncio.create_task(
        run_witness(state, socket, name="witness.test/w1", logs=[made.signer.key], clock=made.clock, ready=ready)
    )
    await asyncio.wait_for(ready.wait(), 10)
    made.witness = WitnessClient(socket, VerifierKey.parse((state / "witness.pub").read_text()))
    return running
