"""The platform's own tables in a backup and in a restore: clients, environments, accounts, habilitations, tokens.

A backup takes the newest signed ledger that ``gate.platform_ledger`` keeps on the sites.  A restore imports it, then
withdraws again every right that the journal says was withdrawn since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hygie.base.clock import Clock
from hygie.base.errors import IntegrityError, NotFoundError
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.gate.platform_ledger import (
    PREFIX,
    PlatformLedger,
    apply_revocations,
    import_platform,
    newest_platform,
    open_platform,
    platform_keys,
)
from hygie.journal.entry import Entry
from hygie.keys.kms import Kms
from hygie.sites.placement import SiteSet


async def collect_platform(records: Database, *, kms: Kms, sites: SiteSet, clock: Clock) -> tuple[str, bytes]:
    """Publish the tables as they are now, and give the newest ledger: its name and its bytes, verified.

    Args: records: opened as the sealer. Raises: SiteQuorumError; NotFoundError: no site has one that verifies.
    """
    await PlatformLedger(records, kms=kms, sites=sites, clock=clock).publish()
    keys = await platform_keys(kms)

    def verified(data: bytes) -> bytes:
        open_platform(data, keys)
        return data

    for name, _ in sorted(await sites.list(PREFIX), reverse=True):
        try:
            return name, await sites.read_valid(name, 0, None, verified)
        except (NotFoundError, IntegrityError):
            continue  # pruned meanwhile, or no intact copy of that generation
    raise NotFoundError()


async def apply_platform(sites: SiteSet, kms: Kms, owner: Database, revocations: Sequence[Entry]) -> list[Place]:
    """Fill the empty tables of a fresh place. Returns the environments that were not destroyed.

    Args: owner: opened as the owner; revocations: entries of the journal that withdrew something, in their order.
    Raises: PlatformLedgerAbsentError: none in the backup, or none that verifies.
    """
    platform = await asyncio.to_thread(newest_platform, sites.sites[0], await platform_keys(kms))
    async with owner.transaction() as connection:
        await import_platform(connection, platform)
        await apply_revocations(connection, revocations)
        cursor = await connection.execute(
            "SELECT tenant, id, role FROM hygie.environment WHERE state <> 'destroyed' ORDER BY role"
        )
        return [Place(*row) for row in await cursor.fetchall()]
