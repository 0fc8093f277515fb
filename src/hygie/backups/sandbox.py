"""Reads and writes through the real doors of a restored place: the gate admits, the vault opens, the journal records.

The account, its habilitation and its token live in the sandbox's own database and die with it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from hygie.backups.keys import PlainMonthKeys
from hygie.backups.place import opened
from hygie.backups.restore import RestoredPlace
from hygie.base.actions import Action
from hygie.base.clock import Clock
from hygie.base.permit import Permit
from hygie.base.roles import Role
from hygie.database.hot import HotConnections
from hygie.gate.administration import Administration
from hygie.gate.gate import Gate
from hygie.gate.recorded import Environment
from hygie.journal.writer import JournalWriter
from hygie.vault.model import NewObject, WriteRequest, Written
from hygie.vault.vault import Vault

SAMPLE = 50  # objects read through the door of each environment; every one was opened by the rebuild already
ACCOUNT = "drill"


@dataclass(frozen=True, slots=True)
class SampleRead:
    """What one environment gave back: objects seen in its history, and read one by one with the same content."""

    environment: str
    seen: int
    equal: int


@dataclass(slots=True)
class Doors:
    """Gate and vault of a restored place, with one short-lived token for each environment."""

    gate: Gate
    vault: Vault
    environments: list[Environment]
    tokens: dict[str, str]

    async def admit(self, one: Environment, action: Action, *also: Action) -> Permit:
        """A permit from the sandbox's own gate."""
        token = self.tokens[f"{one.tenant}/{one.name}"]
        return await self.gate.admit(
            token, tenant=one.tenant, environment=one.name, action=action, also=also, purpose="drill", device="drill"
        )

    async def sample(self, one: Environment) -> SampleRead:
        """Read a sample through the door. Raises: what the vault raises, for an object that does not open."""
        page = await self.vault.history(await self.admit(one, Action.OBJECT_HISTORY), None, None, count=SAMPLE)
        latest = {(item.type, item.id): item for item in reversed(page.items)}
        living = [item for item in latest.values() if not item.deleted]
        permit = await self.admit(one, Action.OBJECT_READ)
        equal = 0
        for item in living:
            stored = await self.vault.read(permit, item.type, item.id)
            equal += (stored.version, stored.body) == (item.version, item.body)
        return SampleRead(f"{one.tenant}/{one.name}", len(living), equal)

    async def write(self, one: Environment) -> Written:
        """Write one object of the drill's own, without any patient."""
        id_ = f"drill-{secrets.token_hex(8)}"
        body = b'{"resourceType":"Basic","id":"%s"}' % id_.encode()
        permit = await self.admit(one, Action.OBJECT_CREATE)
        (written,) = await self.vault.write(permit, WriteRequest([NewObject("Basic", id_, body, [], (), new=True)]))
        return written


@asynccontextmanager
async def doors(place: RestoredPlace, clock: Clock) -> AsyncIterator[Doors]:
    """Open the doors of a restored place for as long as the context lasts."""
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(opened(place.dsns.owner, size=1))
        hot = HotConnections(place.dsns.hosting)
        stack.push_async_callback(hot.close)
        await hot.open()
        journal = JournalWriter(place.hosting, PlainMonthKeys(place.kms), clock)
        stack.push_async_callback(journal.close)
        vault = Vault(database=place.hosting, hot=hot, kms=place.kms, sites=place.sites, journal=journal, clock=clock)
        stack.push_async_callback(vault.close)
        acts = Administration(
            owner, owner_dsn=place.dsns.owner, kms=place.kms, journal=journal, clock=clock, operator="system:drill"
        )
        environments = [one for one in await acts.environments() if one.state == "open"]
        account = f"{ACCOUNT}-{secrets.token_hex(4)}"
        await acts.create_account(account, kind="application", label="drill", professional_id="", days=1)
        tokens = {}
        for one in environments:
            where = (account, one.tenant, one.name)
            await acts.grant(*where, role=Role.APPLICATION, reason="drill in a sandbox", approver="sandbox", days=1)
            _, tokens[f"{one.tenant}/{one.name}"] = await acts.create_token(*where, days=1)
        gate = Gate(place.hosting, hot, journal, clock, kms=place.kms)
        stack.push_async_callback(gate.close)
        yield Doors(gate, vault, environments, tokens)
