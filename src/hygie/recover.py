"""Rebuild an installation's database from one site and the keys, with nobody served meanwhile.

Order: the journal's head follows what is published; the platform's tables are taken back if there are none, and what
lacks of registers and evidence; then each environment's catalogue.  Packs that the journal names win, erasures and
revocations that it names are applied.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from hygie.app import House, open_house, opened
from hygie.availability.windows import take_back
from hygie.backups.published import Published, read_published
from hygie.base.actions import Action
from hygie.base.errors import HygieError, InvalidRequestError, NotFoundError
from hygie.base.permit import Place
from hygie.custody import Custody, open_custody
from hygie.database.environments import create_environment_schema, destroy_environment_schema
from hygie.database.pool import Database
from hygie.gate.platform_ledger import (
    Connection,
    PlatformLedger,
    apply_revocations,
    import_platform,
    newest_platform,
    platform_keys,
)
from hygie.gate.rights import rights_key
from hygie.keys.sealing import Secret
from hygie.segments.named import declaration
from hygie.segments.publish import proof_keys
from hygie.segments.taking_back import TakenBack, Taking
from hygie.sites.copies import quarantine
from hygie.sites.errors import SiteQuorumError
from hygie.sites.site import Site
from hygie.start import OFFLINE, running
from hygie.vault.errors import CatalogueNotEmptyError, RebuildIncompleteError
from hygie.vault.ledger import ledger_keys
from hygie.vault.pack import pack_name
from hygie.vault.rebuild import Rebuilder, RebuildReport
from hygie.vault.upkeep_rows import count_versions

log = logging.getLogger("hygie.recover")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to rebuild. site: the one to read; tenant, environment: only these, by name; discard: throw away catalogues
    that hold objects; partial: go on although the site lacks a ledger."""

    site: str
    tenant: str | None = None
    environment: str | None = None
    discard: bool = False
    partial: bool = False


@dataclass(slots=True)
class Watcher:
    """Who is told how far it is. step: a name; total, progress: packs of the environment under way."""

    step: Tell = lambda _: None
    total: Callable[[int], None] = lambda _: None
    progress: Callable[[int], None] = lambda _: None


@dataclass(slots=True)
class Recovered:
    """imported: clients and environments came from the site; entries: of the journal that were read; foreign: indexes
    of what is no entry there, passed over; revoked: rights that the journal withdrew after the ledger; windows: planned
    ones that the database lacked; logs: what came back of registers and evidence; environments: (tenant, name) ->
    report."""

    site: str
    imported: bool = False
    entries: int = 0
    foreign: list[int] = field(default_factory=list)
    revoked: int = 0
    windows: int = 0
    logs: TakenBack = field(default_factory=TakenBack)
    environments: dict[tuple[str, str], RebuildReport] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Nothing was found wanting."""
        return self.logs.whole and all(report.whole for report in self.environments.values())


def require_whole(found: Recovered) -> None:
    """Say what a rebuild lacks. Raises: RebuildIncompleteError."""
    if found.whole:
        return
    missing = [name for report in found.environments.values() for name in report.missing] + found.logs.shown()
    damaged = [name for report in found.environments.values() for name in report.damaged]
    lacking = [f"{t}/{e}" for (t, e), report in found.environments.items() if not report.whole]
    closed = sum(one.lost + one.unattached + one.unreadable for one in found.environments.values())
    first = [*missing, *damaged, *lacking][0]
    raise RebuildIncompleteError(missing=len(missing), damaged=max(len(damaged), closed), name=first)


@dataclass(frozen=True, slots=True)
class _Named:
    tenant: str
    name: str
    place: Place


async def rebuild_installation(
    data: Path, wanted: Wanted, *, operator: str, secret: Secret | None = None, watcher: Watcher | None = None
) -> Recovered:
    """Start database, keys and witness, rebuild, stop them. Refused while the installation serves (its port is taken).

    Raises: NotFoundError: no such site, tenant or environment; CatalogueNotEmptyError: without ``discard``;
    PlatformLedgerAbsentError; LedgerStaleError; IntegrityError: the journal is damaged; PortTakenError: it serves.
    """
    watcher = watcher or Watcher()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(data, secret=secret, tell=watcher.step, only=OFFLINE))
        house = await stack.enter_async_context(open_house(data))
        return await recover(house, wanted, operator=operator, watcher=watcher)


async def recover(house: House, wanted: Wanted, *, operator: str, watcher: Watcher) -> Recovered:
    """The same over parts that run already, nobody being served."""
    if wanted.site not in house.sites.names:
        raise NotFoundError()
    site = house.sites.link(wanted.site).site
    async with opened(house.dsns.sealer, size=2) as records, open_custody(house, operator) as custody:
        sealer = await house.sealer(records)
        try:
            await sealer.recover()
        except SiteQuorumError as error:  # the database follows already; the checkpoint is shown when sites are back
            log.warning("the checkpoint waits for its sites: %s", error.code)
        watcher.step("journal")
        published = await read_published(await house.journal_reader(records))
        found = Recovered(wanted.site, entries=published.entries, foreign=published.foreign)
        async with custody.operator.act(Action.VAULT_REBUILD, detail={"site": wanted.site}) as act:
            await _platform(custody, site, published, found)
            found.logs = await _logs(custody, site, published)
            chosen = await _chosen(custody.owner, wanted)
            await _check_empty(custody, chosen, discard=wanted.discard)
            for one in chosen:
                watcher.step(f"{one.tenant}/{one.name}")
                rebuilding = _Rebuilding(custody, site, published, wanted, act.permit.permit_id, watcher)
                found.environments[one.tenant, one.name] = await rebuilding.run(one.place)
            act.count = sum(report.objects for report in found.environments.values())
            act.detail["whole"] = str(found.whole).lower()
            act.detail |= {"foreign": str(len(found.foreign))} if found.foreign else {}
            act.detail |= declaration(found.logs.lacking)
        await PlatformLedger(custody.owner, kms=house.kms, sites=house.sites, clock=house.clock).publish_if_possible()
        try:
            await sealer.seal_once()
        except HygieError as error:  # too few sites left to publish: ``hygie work`` will
            log.warning("the journal waits for its sites: %s", error.code)
    return found


async def _platform(custody: Custody, site: Site, published: Published, found: Recovered) -> None:
    """Take clients, environments and rights back if the database knows none; withdraw again what was withdrawn since.

    Tables that are kept may be older than the journal too: a copy of the database that somebody put back.
    """
    async with custody.owner.transaction() as connection:
        row = await (await connection.execute("SELECT EXISTS (SELECT FROM hygie.tenant)")).fetchone()
        known = row is not None and bool(row[0])
    platform = None
    if not known:
        platform = await asyncio.to_thread(newest_platform, site, await platform_keys(custody.house.kms))
    async with custody.owner.transaction() as connection:
        if platform is not None:
            await import_platform(connection, platform)
            found.imported = True
        found.revoked = await apply_revocations(connection, published.revocations)
        found.windows = await take_back(connection, await rights_key(custody.house.kms), published.windows)
        await _destroyed(connection, custody.house)


async def _destroyed(connection: Connection, house: House) -> None:
    """An environment whose keys the KMS destroyed stays destroyed: a site that was away since knows neither."""
    gone = [one.environment_id for one in (await house.kms.status()).environments if one.destroyed]
    await connection.execute(
        "UPDATE hygie.environment SET state = 'destroyed' WHERE id = ANY(%s) AND state <> 'destroyed'", (gone,)
    )


async def _logs(custody: Custody, site: Site, published: Published) -> TakenBack:
    """What the database lacks of registers and evidence, from this site, then from the others for what it lacks."""
    house = custody.house
    others = [one for one in house.sites.sites if one is not site]
    keys = await proof_keys(house.kms)
    return await Taking(custody.owner, [site, *others], keys, now_ms=house.clock.now_ms()).run(published.logs)


async def _chosen(owner: Database, wanted: Wanted) -> list[_Named]:
    async with owner.transaction() as connection:
        cursor = await connection.execute(
            "SELECT t.name, e.name, e.tenant, e.id, e.role FROM hygie.environment e JOIN hygie.tenant t"
            " ON t.id = e.tenant WHERE e.state <> 'destroyed' ORDER BY t.name, e.name"
        )
        listed = [_Named(row[0], row[1], Place(*row[2:])) for row in await cursor.fetchall()]
    if wanted.environment is not None and wanted.tenant is None:
        raise InvalidRequestError(reason="an environment is named with its tenant")
    chosen = [
        one
        for one in listed
        if wanted.tenant in (None, one.tenant) and (wanted.environment is None or wanted.environment == one.name)
    ]
    if not chosen and wanted.tenant is not None:
        raise NotFoundError()
    return chosen


async def _check_empty(custody: Custody, chosen: list[_Named], *, discard: bool) -> None:
    """Give each environment an empty schema; nothing is dropped before all have been looked at.

    Raises: CatalogueNotEmptyError: one holds objects, and ``discard`` was not said.
    """
    owner_dsn = custody.house.dsns.owner
    full = []
    for one in chosen:
        await create_environment_schema(owner_dsn, one.place.role)
        async with custody.hosting.transaction(one.place.role) as connection:
            if await count_versions(connection):
                full.append(one)
    if full and not discard:
        raise CatalogueNotEmptyError()
    for one in chosen if discard else []:
        await destroy_environment_schema(owner_dsn, one.place.role)
        await create_environment_schema(owner_dsn, one.place.role)


@dataclass(frozen=True, slots=True)
class _Rebuilding:
    """What every environment is rebuilt with."""

    custody: Custody
    site: Site
    published: Published
    wanted: Wanted
    permit_id: bytes
    watcher: Watcher

    async def run(self, place: Place) -> RebuildReport:
        """One environment; its void packs are set aside on every site that answers."""
        house = self.custody.house
        rebuilder = Rebuilder(
            await house.context(place),
            database=self.custody.hosting,
            owner_dsn=house.dsns.owner,
            site=self.site,
            keys=await ledger_keys(place, house.kms),
            permit_id=self.permit_id,
            clock=house.clock,
        )
        report = await rebuilder.run(
            published=self.published.packs.get(place.environment_id, {}),
            erased=self.published.erased.get(place.environment_id, ()),
            partial=self.wanted.partial,
            found=self.watcher.total,
            progress=self.watcher.progress,
        )
        for number in report.void:
            await quarantine(house.sites, pack_name(place.environment_id, number))
        return report
