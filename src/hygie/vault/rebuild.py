"""Rebuild one environment's catalogue from what a single site holds, plus the keys.

Three passes: the tables of all packs (who is where, which packs are void), the compartments, then every object that
opens is indexed again by its own blind tokens.  Packs named by the published journal win; of two others that claim
one version, or one live compartment of a patient, the higher number wins, and the loser is void whole.  What the site
lacks is named, never guessed.

Memory: about 100 bytes a version while it runs, whatever the size of the resources.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from psycopg import sql

from hygie.base.clock import Clock
from hygie.database.migrate import connect_owner
from hygie.database.pool import Database
from hygie.keys.kms import BATCH_MAX
from hygie.sites.site import Site
from hygie.vault import catalogue, set_rows, upkeep_rows
from hygie.vault.compartments import CompartmentRow
from hygie.vault.context import EnvironmentContext
from hygie.vault.erase import vacuum
from hygie.vault.errors import CatalogueNotEmptyError, LedgerStaleError
from hygie.vault.ledger import LedgerKeys, Survivors, Verdicts
from hygie.vault.pack import PackedCompartment, pack_name
from hygie.vault.patient_sets import member_rows
from hygie.vault.rebuild_packs import Batch, Claims, PackFinder, PackReader, Standing

NUMBER_MARGIN = 1_000  # packs that other sites may hold above what this one shows
BATCH_OBJECTS = 4_000  # versions of one transaction: the next batch opens while this one is copied
BATCH_BYTES = 32 * 1024 * 1024
NAMED_MAX = 10_000  # names kept in a report: more are only counted
UNWRAP_REASON = "rebuild"

Progress = Callable[[int], None]


@dataclass(slots=True)
class RebuildReport:
    """What was rebuilt from one site, and what that site lacks.

    packs, objects: put in the catalogue; live, erased: compartments; lost: compartments whose wrap is under a destroyed
    key; void: numbers of packs that never counted; damaged: names of which some bytes are wrong; missing: names that
    should be here and are not; unreadable: versions kept in the catalogue though their copy here does not open;
    unattached: versions left out because no pack of this site carries their compartment, or it is lost.
    """

    site: str
    packs: int = 0
    objects: int = 0
    live: int = 0
    erased: int = 0
    lost: int = 0
    void: list[int] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unreadable: int = 0
    unattached: int = 0

    @property
    def whole(self) -> bool:
        """Nothing that the published journal or the packs name is wanting."""
        return not (self.damaged or self.missing or self.lost or self.unreadable or self.unattached)


class Rebuilder:
    """Fills an empty catalogue. The environment's schema exists; nothing serves it meanwhile.

    Args: database: opened as the hosting role; owner_dsn: the owner, who alone may restart numbers; permit_id: named
    by the unwrap record and by the journal's entries of the rebuild.
    """

    def __init__(
        self,
        context: EnvironmentContext,
        *,
        database: Database,
        owner_dsn: str,
        site: Site,
        keys: LedgerKeys,
        permit_id: bytes,
        clock: Clock,
    ) -> None:
        self._context = context
        self._place = context.place
        self._database = database
        self._owner_dsn = owner_dsn
        self._site = site
        self._ledger_keys = keys
        self._permit_id = permit_id
        self._clock = clock

    async def run(
        self,
        *,
        published: Mapping[int, str],
        erased: Collection[bytes] = (),
        partial: bool = False,
        found: Callable[[int], None] | None = None,
        progress: Progress | None = None,
    ) -> RebuildReport:
        """Rebuild everything this site allows.

        Args: published: pack number -> SHA-256 (hex) as the published journal names them; erased: compartments that the
        journal says were erased; partial: go on when the site lacks the ledger of patients that its packs name; found:
        told how many packs there are; progress: told how many were done.
        Raises: CatalogueNotEmptyError; LedgerStaleError: nothing was written; SiteUnavailableError;
        KmsUnavailableError; DatabaseUnavailableError.
        """
        async with self._database.transaction(self._place.role) as connection:
            if await upkeep_rows.count_versions(connection):
                raise CatalogueNotEmptyError()
        report = RebuildReport(self._site.name)
        finder = PackFinder(self._site, self._context, published)
        sizes = await asyncio.to_thread(finder.sizes)
        report.missing = [pack_name(self._place.environment_id, n) for n in sorted(set(published) - set(sizes))]
        verdicts = await asyncio.to_thread(Verdicts, self._site, self._place, self._ledger_keys, erased=erased)
        if found is not None:
            found(len(sizes))
        claims = await asyncio.to_thread(finder.decide, sizes, verdicts)
        report.void = claims.void
        report.damaged = [pack_name(self._place.environment_id, n) for n in claims.damaged] + verdicts.forged
        survivors = verdicts.sort(claims.carried, claims.owners)
        report.live, report.erased, report.lost = len(survivors.live), len(survivors.erased), len(survivors.lost)
        if survivors.lost and not partial and self._lost_counts(survivors, published):
            raise LedgerStaleError(site=self._site.name, count=len(survivors.lost))
        keys = await self._compartments(survivors)
        reader = PackReader(
            self._site, self._context, claims=claims, keys=keys, survivors=survivors, published=published
        )
        await self._fill(claims, reader, report, progress)
        async with self._database.transaction(self._place.role) as connection:
            await set_rows.forget_erased(connection)
        await self._restart_numbers(max([*sizes, *published, 0]) + NUMBER_MARGIN)
        await vacuum(self._owner_dsn, self._place.role)
        return report

    def _lost_counts(self, survivors: Survivors, published: Mapping[int, str]) -> bool:
        """Whether a lost compartment is carried by a pack that the journal acknowledges."""
        return any(survivors.packs[one.compartment] in published for one in survivors.lost)

    async def _compartments(self, survivors: Survivors) -> dict[bytes, bytes]:
        """Rows of all compartments, erased ones without wrap; keys of the live ones. The catalogue holds no object."""
        keys: dict[bytes, bytes] = {}
        rows = [_row(one) for one in survivors.live]
        for begin in range(0, len(rows), BATCH_MAX):
            keys |= await self._context.compartments.keys(
                rows[begin : begin + BATCH_MAX], permit_id=self._permit_id, reason=UNWRAP_REASON
            )
        async with await connect_owner(self._owner_dsn) as connection, connection.transaction():
            await connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(self._place.role)))
            await upkeep_rows.clear_unfinished(connection)
        async with self._database.transaction(self._place.role) as connection:
            await upkeep_rows.insert_survivors(connection, survivors, self._clock.now_ms())
        return keys

    async def _fill(self, claims: Claims, reader: PackReader, report: RebuildReport, progress: Progress | None) -> None:
        """Open packs in one thread while PostgreSQL copies the batch before."""
        copying: asyncio.Task[None] | None = None
        try:
            for standing in _batches(claims.standing):
                batch = await asyncio.to_thread(reader.read, standing)
                if copying is not None:
                    await copying
                copying = asyncio.create_task(self._copy(batch))
                _account(report, batch)
                if progress is not None:
                    progress(len(standing))
            if copying is not None:
                await copying
        except BaseException:
            if copying is not None:
                copying.cancel()
            raise

    async def _copy(self, batch: Batch) -> None:
        async with self._database.transaction(self._place.role) as connection:
            if batch.packs:
                await upkeep_rows.insert_packs(connection, batch.packs)
            if batch.objects:
                await upkeep_rows.copy_encoded(connection, batch.buffer)
            for blob_id, rows in batch.chunks.items():
                await catalogue.insert_chunks(connection, blob_id, rows)
            for group, members in batch.sets:
                await set_rows.replace_members(connection, group, member_rows(self._context.index, group, members))

    async def _restart_numbers(self, number: int) -> None:
        """The next pack takes a number above ``number``; only the owner of the sequence may say so."""
        async with await connect_owner(self._owner_dsn) as connection:
            name = sql.Identifier(self._place.role, "pack_number").as_string(connection)
            await connection.execute("SELECT setval(%s::regclass, %s)", (name, number))


def _account(report: RebuildReport, batch: Batch) -> None:
    report.packs += len(batch.packs)
    report.objects += batch.objects
    report.unreadable += batch.unreadable
    report.unattached += batch.unattached
    report.damaged += [name for name in batch.damaged if name not in report.damaged][:NAMED_MAX]
    report.missing += batch.missing[:NAMED_MAX]


def _row(one: PackedCompartment) -> CompartmentRow:
    return CompartmentRow(one.compartment, one.subject, one.epoch, one.wrap)


def _batches(standing: list[Standing]) -> list[list[Standing]]:
    """Packs in order of their numbers, grouped for one transaction each."""
    groups: list[list[Standing]] = []
    objects = size = 0
    for one in sorted(standing, key=lambda one: one.number):
        if not groups or objects + one.objects > BATCH_OBJECTS or size + one.size_bytes > BATCH_BYTES:
            groups.append([])
            objects = size = 0
        groups[-1].append(one)
        objects += one.objects
        size += one.size_bytes
    return groups
